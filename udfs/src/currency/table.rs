//! The register of known currencies: ISO 4217 first, then what a rate book carries.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::code::CurrencyCode;
use super::iso_4217::{CURRENT, HISTORIC};
use crate::rate::RateDate;
use crate::reason::RowReason;

/// How many codes of three letters there are.
const THREE_LETTER_CODES: usize = 26 * 26 * 26;

/// In the index of three-letter codes: no such currency.
const UNKNOWN: u16 = u16::MAX;

/// In the index of three-letter codes: a code that stands for no money.
const NOT_MONEY: u16 = u16::MAX - 1;

/// Codes of list one that stand for no currency and for testing.
const NOT_MONEY_CODES: [&[u8; 3]; 2] = [b"XTS", b"XXX"];

/// A currency as an index into the [`CurrencyTable`] that gave it. The indices of ISO 4217 are the same
/// in every table of one build; later ones depend on the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency(u16);

impl Currency {
    /// Returns the position in [`CurrencyTable::entries`].
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a currency is known from, and so when it may be converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CurrencyStatus {
    /// In ISO 4217 list one.
    Active,
    /// Withdrawn: in ISO 4217 list three or known to be withdrawn since its edition.
    Historic {
        /// The last day on which the currency is convertible: the end of the month or year of the
        /// withdrawal; none if that is not known.
        valid_until: Option<RateDate>,
        /// The withdrawal as the list words it: `2006-10`, `1989 to 1990`.
        withdrawal: &'static str,
    },
    /// Not in ISO 4217, carried by a rate book.
    FromBook,
}

/// What is known of one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrencyEntry {
    /// The code.
    pub code: CurrencyCode,
    /// The English name of ISO 4217; empty for a currency from a rate book.
    pub name: &'static str,
    /// The decimals of an amount; none where ISO 4217 gives none (metals, funds, withdrawn currencies)
    /// and for currencies from a rate book. A target without them needs an explicit scale.
    pub minor_units: Option<u8>,
    /// Where the currency is known from.
    pub status: CurrencyStatus,
}

impl CurrencyEntry {
    /// Says whether the currency may be converted on a day: withdrawn ones only through their last.
    #[inline]
    pub fn valid_on(&self, day: RateDate) -> bool {
        match self.status {
            CurrencyStatus::Historic { valid_until: Some(last), .. } => day <= last,
            _ => true,
        }
    }
}

/// The currency that a cell of text stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParsedCurrency {
    /// The currency.
    pub currency: Currency,
    /// Whether the amount is in hundredths of it: pence, cents, agorot.
    pub hundredths: bool,
}

/// The register of known currencies; immutable, and shared by all that convert with one rate book.
///
/// ```
/// use cambist_udfs::currency::CurrencyTable;
///
/// let table = CurrencyTable::iso();
/// let pence = table.parse(b"GBp")?;
/// assert_eq!(table.code(pence.currency).as_str(), "GBP");
/// assert!(pence.hundredths);
/// # Ok::<(), cambist_udfs::reason::RowReason>(())
/// ```
#[derive(Clone, Debug)]
pub struct CurrencyTable {
    entries: Vec<CurrencyEntry>,
    three_letters: Box<[u16]>,
    other_codes: HashMap<CurrencyCode, u16>,
}

static ISO: LazyLock<CurrencyTable> = LazyLock::new(CurrencyTable::from_lists);

impl CurrencyTable {
    /// Returns the register of ISO 4217 alone.
    pub fn iso() -> &'static Self {
        &ISO
    }

    /// Returns the register of ISO 4217 with the codes it lacks, in the order of the codes. Codes that
    /// stand for no money are left out; so is what exceeds 65,000 currencies.
    pub fn with_extra(codes: impl IntoIterator<Item = CurrencyCode>) -> Self {
        let mut table = ISO.clone();
        let mut codes: Vec<CurrencyCode> = codes.into_iter().collect();
        codes.sort_unstable();
        codes.dedup();
        for code in codes {
            if matches!(table.look_up(code.as_bytes()), Err(RowReason::CurrencyUnknown)) {
                table.add(CurrencyEntry {
                    code,
                    name: "",
                    minor_units: None,
                    status: CurrencyStatus::FromBook,
                });
            }
        }
        table
    }

    /// Reads a cell of text: trims ASCII white space, tries the case-sensitive names of hundredths
    /// (`GBX` and `GBp`, `ZAc` and `ZAC`, `ILA` and `ILa`), then the upper-cased code. Allocates nothing.
    ///
    /// # Errors
    ///
    /// [`RowReason::CurrencyMissing`] for a blank cell, [`RowReason::CurrencyNotMoney`] for `XXX` and
    /// `XTS`, [`RowReason::CurrencyUnknown`] for anything else that is not in the table.
    #[inline]
    pub fn parse(&self, text: &[u8]) -> Result<ParsedCurrency, RowReason> {
        let text = text.trim_ascii();
        let (code, hundredths): (&[u8], bool) = match text {
            b"" => return Err(RowReason::CurrencyMissing),
            b"GBX" | b"GBp" => (b"GBP", true),
            b"ZAc" | b"ZAC" => (b"ZAR", true),
            b"ILA" | b"ILa" => (b"ILS", true),
            code => (code, false),
        };
        self.look_up(code).map(|currency| ParsedCurrency { currency, hundredths })
    }

    /// Returns the currency of a code, if the table has it.
    pub fn find(&self, code: CurrencyCode) -> Option<Currency> {
        self.look_up(code.as_bytes()).ok()
    }

    /// Returns what is known of a currency of this table.
    #[inline]
    pub fn entry(&self, currency: Currency) -> &CurrencyEntry {
        &self.entries[currency.index()]
    }

    /// Returns the code of a currency of this table.
    #[inline]
    pub fn code(&self, currency: Currency) -> CurrencyCode {
        self.entry(currency).code
    }

    /// Returns every currency by its index: current ones by code, withdrawn ones by code, others by code.
    pub fn entries(&self) -> &[CurrencyEntry] {
        &self.entries
    }

    /// Returns every currency with what is known of it.
    pub fn iter(&self) -> impl Iterator<Item = (Currency, &CurrencyEntry)> {
        (0..NOT_MONEY).map(Currency).zip(&self.entries)
    }

    fn look_up(&self, code: &[u8]) -> Result<Currency, RowReason> {
        let index = match three_letter_index(code) {
            Some(index) => self.three_letters[index],
            None => CurrencyCode::from_bytes(code)
                .and_then(|code| self.other_codes.get(&code).copied())
                .unwrap_or(UNKNOWN),
        };
        match index {
            UNKNOWN => Err(RowReason::CurrencyUnknown),
            NOT_MONEY => Err(RowReason::CurrencyNotMoney),
            index => Ok(Currency(index)),
        }
    }

    fn from_lists() -> Self {
        let mut table = Self {
            entries: Vec::new(),
            three_letters: vec![UNKNOWN; THREE_LETTER_CODES].into(),
            other_codes: HashMap::new(),
        };
        for code in NOT_MONEY_CODES {
            if let Some(index) = three_letter_index(code) {
                table.three_letters[index] = NOT_MONEY;
            }
        }
        for (code, name, minor_units) in CURRENT {
            table.add_listed(code, name, minor_units, CurrencyStatus::Active);
        }
        for (code, name, minor_units, last, withdrawal) in HISTORIC {
            let status = CurrencyStatus::Historic { valid_until: Some(RateDate(last)), withdrawal };
            table.add_listed(code, name, minor_units, status);
        }
        table
    }

    fn add_listed(
        &mut self,
        code: &str,
        name: &'static str,
        minor_units: Option<u8>,
        status: CurrencyStatus,
    ) {
        if let Some(code) = CurrencyCode::parse(code) {
            self.add(CurrencyEntry { code, name, minor_units, status });
        }
    }

    fn add(&mut self, entry: CurrencyEntry) {
        let Some(index) = u16::try_from(self.entries.len()).ok().filter(|index| *index < NOT_MONEY) else {
            return;
        };
        match three_letter_index(entry.code.as_bytes()) {
            Some(position) => self.three_letters[position] = index,
            None => drop(self.other_codes.insert(entry.code, index)),
        }
        self.entries.push(entry);
    }
}

/// Returns the position of a code of three ASCII letters in either case.
#[inline]
fn three_letter_index(code: &[u8]) -> Option<usize> {
    let [first, second, third] = *code else {
        return None;
    };
    let letter = |byte: u8| {
        let letter = (byte | 0x20).wrapping_sub(b'a');
        (letter < 26).then_some(usize::from(letter))
    };
    Some((letter(first)? * 26 + letter(second)?) * 26 + letter(third)?)
}
