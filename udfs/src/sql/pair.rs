//! What the `fx_` functions share: source, target and event of a row, and the snapshot they lead to.

use datafusion::common::Result;
use datafusion::logical_expr::ScalarFunctionArgs;

use super::argument::{Event, Events, Texts};
use super::error::shown;
use crate::currency::{Currency, ParsedCurrency};
use crate::decimal::Decimal;
use crate::rate::{AsOfMode, RateBook, RateDate, SnapshotIndex};
use crate::reason::RowReason;

/// Where the arguments of a pair stand in a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct PairPositions {
    pub(super) source: usize,
    pub(super) target: usize,
    pub(super) event: usize,
}

/// The pairs and events of a call's rows.
pub(super) struct Pairs<'b> {
    book: &'b RateBook,
    sources: Texts,
    targets: Texts,
    events: Events,
}

/// What a row asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) source: ParsedCurrency,
    pub(super) target: ParsedCurrency,
    event: Event,
}

/// What decides the rate of a row, as it is written: rows with equal keys have the same rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PairKey {
    /// The text of the source, and its length in the last byte.
    source: u64,
    event: Event,
}

/// Texts of so many bytes fit a key beside their length; codes of currencies do.
const KEY_BYTES_MAX: usize = 7;

impl PairKey {
    /// Returns a number that differs for most other keys of a batch.
    #[inline]
    pub(super) fn hash(&self) -> u64 {
        // Odd numbers without a pattern: the golden ratio in 64 bits, and a prime of xxHash.
        let day = u64::from(self.event.day.0.cast_unsigned()).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (self.source ^ day).wrapping_mul(0xC2B2_AE3D_27D4_EB4F)
    }
}

/// The rates of a row: none are needed from a currency to itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Quote {
    Same,
    Published(SnapshotIndex),
}

impl<'b> Pairs<'b> {
    pub(super) fn of(
        book: &'b RateBook,
        args: &ScalarFunctionArgs,
        positions: PairPositions,
    ) -> Result<Self> {
        Ok(Self {
            book,
            sources: Texts::of(args, positions.source)?,
            targets: Texts::of(args, positions.target)?,
            events: Events::of(args, positions.event)?,
        })
    }

    /// Reads a row; currencies must be valid on the day of the event.
    #[inline]
    pub(super) fn get(&self, row: usize) -> Result<Pair, RowReason> {
        let currency = |texts: &Texts| {
            let text = texts.get(row).ok_or(RowReason::CurrencyMissing)?;
            self.book.currencies().parse(text.as_bytes())
        };
        let pair = Pair {
            source: currency(&self.sources)?,
            target: currency(&self.targets)?,
            event: self.events.get(row)?,
        };
        let is_valid = |currency: Currency| self.book.currencies().entry(currency).valid_on(pair.event.day);
        if !is_valid(pair.source.currency) || !is_valid(pair.target.currency) {
            return Err(RowReason::CurrencyNotValidAtDate);
        }
        Ok(pair)
    }

    /// Returns the key of a row without reading its currencies; nothing where the targets of rows differ, or
    /// where the row is none that keys are made for.
    #[inline]
    pub(super) fn key(&self, row: usize) -> Option<PairKey> {
        if !self.targets.is_constant() {
            return None;
        }
        let text = self.sources.get(row)?.as_bytes();
        let mut source = [0; KEY_BYTES_MAX + 1];
        source.get_mut(..KEY_BYTES_MAX)?.get_mut(..text.len())?.copy_from_slice(text);
        // Without it, a text with zero bytes at its end would be taken for a shorter one.
        source[KEY_BYTES_MAX] = text.len() as u8;
        let mut event = self.events.get(row).ok()?;
        if self.book.options().mode == AsOfMode::Date {
            event.at = None;
        }
        Some(PairKey { source: u64::from_le_bytes(source), event })
    }

    /// Chooses the snapshot for a pair.
    #[inline]
    pub(super) fn quote(&self, pair: &Pair) -> Result<Quote, RowReason> {
        let (source, target, event) = (pair.source.currency, pair.target.currency, pair.event);
        if source == target {
            return Ok(Quote::Same);
        }
        let found = match event.at {
            Some(at) => self.book.at_instant(source, target, at, event.day),
            None => self.book.at_date(source, target, event.day),
        };
        found.map(|found| Quote::Published(found.snapshot))
    }

    /// Returns a rate that the chosen snapshot holds.
    #[inline]
    pub(super) fn rate(&self, snapshot: SnapshotIndex, currency: Currency) -> Result<Decimal, RowReason> {
        self.book.rate(snapshot, currency).ok_or(RowReason::RateMissingSource)
    }

    /// Says why a row has no rate.
    pub(super) fn explain(&self, row: usize, reason: RowReason) -> String {
        match reason {
            RowReason::EventTimeMissing | RowReason::EventTimeInvalid => self.events.explain(row, reason),
            RowReason::CurrencyMissing | RowReason::CurrencyUnknown | RowReason::CurrencyNotMoney => {
                self.explain_currency(row, reason)
            }
            _ => match self.day_of(row) {
                Some(day) => self.explain_rate(row, reason, day),
                None => "no rate for the row".to_owned(),
            },
        }
    }

    fn day_of(&self, row: usize) -> Option<RateDate> {
        self.events.get(row).ok().map(|event| event.day)
    }

    fn explain_currency(&self, row: usize, reason: RowReason) -> String {
        let table = self.book.currencies();
        let is_at_fault =
            |texts: &&Texts| texts.get(row).is_none_or(|text| table.parse(text.as_bytes()).is_err());
        let texts = [&self.sources, &self.targets].into_iter().find(is_at_fault);
        let text = texts.and_then(|texts| texts.get(row)).unwrap_or_default();
        explain_currency(text, reason)
    }

    fn explain_rate(&self, row: usize, reason: RowReason, day: RateDate) -> String {
        let code = |texts: &Texts| shown(texts.get(row).unwrap_or_default().trim());
        let (source, target) = (code(&self.sources), code(&self.targets));
        match reason {
            RowReason::CurrencyNotValidAtDate => {
                format!(
                    "`{source}` or `{target}` was withdrawn before {day}; expected currencies in force on that day"
                )
            }
            RowReason::EventBeforeHistory => {
                format!("{day} lies before the first snapshot of rates, {}", self.book.first_date())
            }
            RowReason::RateMissingSource => format!("no snapshot up to {day} has a rate for `{source}`"),
            RowReason::RateMissingTarget => {
                format!("no snapshot up to {day} has rates for both `{source}` and `{target}`")
            }
            RowReason::RateStale => {
                let limit = self.book.options().max_age_days.unwrap_or(u32::MAX);
                format!(
                    "the newest snapshot with `{source}` and `{target}` is more than {limit} days older than {day}"
                )
            }
            _ => format!("no rate from `{source}` to `{target}` on {day}"),
        }
    }
}

/// Says what is wrong with a currency.
pub(super) fn explain_currency(text: &str, reason: RowReason) -> String {
    let text = shown(text);
    match reason {
        RowReason::CurrencyMissing => "the currency is missing; expected an ISO 4217 code".to_owned(),
        RowReason::CurrencyNotMoney => {
            format!("code `{text}` stands for no currency; expected one that does")
        }
        _ => format!(
            "unknown currency code `{text}`; expected an ISO 4217 code or one that the session's rates carry"
        ),
    }
}
