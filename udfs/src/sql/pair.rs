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
    has_keys: bool,
}

/// What a row asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) source: ParsedCurrency,
    pub(super) target: ParsedCurrency,
    event: Event,
}

/// So many days in a row make a page.
pub(super) const PAGE_DAYS: usize = 1 << PAGE_BITS;
const PAGE_BITS: u32 = 6;

/// Days since 1970 that have more bits have no key.
const DAY_BITS: u32 = 24;

/// What decides the conversion of a row, as it is written: source, day, and decimals of the amount. Rows with
/// equal keys are converted alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PairKey {
    /// Source, decimals, and the days of this row and its neighbours.
    pub(super) page: u64,
    /// Which of the page's days, from 0 to less than `PAGE_DAYS`.
    pub(super) day: usize,
}

impl PairKey {
    #[inline]
    fn new(source: &[u8], day: RateDate, amount_scale: u8) -> Option<Self> {
        let source = match *source {
            [first, second, third] => [first, second, third, 0],
            // With a zero at its end, it would be taken for the shorter one.
            [first, second, third, fourth] if fourth != 0 => [first, second, third, fourth],
            _ => return None,
        };
        let day = u32::try_from(day.0).ok().filter(|day| *day < 1 << DAY_BITS)?;
        let rest = ((day >> PAGE_BITS) << u8::BITS) | u32::from(amount_scale);
        let page = (u64::from(u32::from_le_bytes(source)) << u32::BITS) | u64::from(rest);
        Some(Self { page, day: day as usize % PAGE_DAYS })
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
        let (targets, events) = (Texts::of(args, positions.target)?, Events::of(args, positions.event)?);
        let is_by_day = book.options().mode == AsOfMode::Date || !events.are_instants();
        let has_keys = targets.is_constant() && is_by_day;
        Ok(Self { book, sources: Texts::of(args, positions.source)?, targets, events, has_keys })
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

    /// Returns the key of a row without reading its currencies, for an amount of so many decimals.
    ///
    /// There is none where more than source and day decide: the targets of rows differ, or rates are chosen
    /// by the instant; nor for a row of a null, a day before 1970, or a code of other than three or four
    /// letters.
    #[inline]
    pub(super) fn key(&self, row: usize, amount_scale: u8) -> Option<PairKey> {
        if !self.has_keys {
            return None;
        }
        PairKey::new(self.sources.get(row)?.as_bytes(), self.events.day(row)?, amount_scale)
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
