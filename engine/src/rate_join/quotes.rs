//! The quotes one task has used: for each (source, target, snapshot, amount scale) the ratio, reduced once.
//!
//! A look-up per row is three array accesses: the source currency's slot, the day's snapshot, the
//! snapshot's quote.

use std::sync::Arc;

use cambist_udfs::convert::{Conversion, round_amount};
use cambist_udfs::currency::{Currency, CurrencyEntry, CurrencyStatus};
use cambist_udfs::decimal::{Decimal, MAX_SCALE};
use cambist_udfs::rate::{AsOf, AsOfMode, PairIndex, RateBook, RateDate};
use cambist_udfs::reason::RowReason;
use cambist_udfs::rounding::RoundingMode;
use datafusion::common::{Result, plan_err};

use super::amount::Amount;
use super::event_time::EventTime;
use super::exec::Refused;
use super::spec::TargetCurrency;

/// A snapshot's rates for one pair, ready to convert.
#[derive(Debug)]
pub(super) struct Quote {
    conversion: Conversion,
    pub(super) snapshot: u32,
    pub(super) rate_date: i32,
    /// Mantissas at 18 decimals, as published.
    pub(super) source_rate: i128,
    pub(super) target_rate: i128,
}

/// One row converted into one target.
#[derive(Clone, Copy, Debug)]
pub(super) enum Converted<'q> {
    /// By a snapshot's rates.
    ByRate { amount: i128, quote: &'q Quote, age_days: u32 },
    /// The source is the target: rate 1, no snapshot.
    Same { amount: i128 },
}

/// The quotes of one source currency.
struct SourceQuotes {
    source: Currency,
    /// The last day on which the source is convertible, where it has been withdrawn.
    valid_until: Option<RateDate>,
    pairs: Vec<Option<Pair>>,
}

struct Pair {
    index: PairIndex,
    quotes: Vec<Quote>,
    /// By amount scale, then snapshot: the quote's place plus one, 0 where none is made yet.
    places: Vec<Vec<u32>>,
}

struct Target {
    currency: Currency,
    code: String,
    minor_units: u8,
    valid_until: Option<RateDate>,
}

/// All quotes of a task.
pub(super) struct Quotes {
    pub(super) book: Arc<RateBook>,
    targets: Vec<Target>,
    rounding: RoundingMode,
    mode: AsOfMode,
    sources: Vec<Option<SourceQuotes>>,
}

impl Quotes {
    pub(super) fn new(
        book: Arc<RateBook>,
        targets: &[TargetCurrency],
        rounding: RoundingMode,
    ) -> Result<Self> {
        let mut found = Vec::new();
        for target in targets {
            match book.currencies().parse(target.code.as_bytes()) {
                Ok(parsed) if !parsed.hundredths => found.push(Target {
                    currency: parsed.currency,
                    code: target.code.clone(),
                    minor_units: target.minor_units,
                    valid_until: last_day(book.currencies().entry(parsed.currency)),
                }),
                _ => return plan_err!("target currency `{}` is not known", target.code),
            }
        }
        let mode = book.options().mode;
        Ok(Self { book, targets: found, rounding, mode, sources: Vec::new() })
    }

    /// Prepares the quotes of `source`, to be done before [`Self::convert`] asks for them.
    #[inline]
    pub(super) fn prepare(&mut self, source: Currency) {
        if !matches!(self.sources.get(source.index()), Some(Some(_))) {
            self.add_source(source);
        }
    }

    #[cold]
    fn add_source(&mut self, source: Currency) {
        let slot = source.index();
        if self.sources.len() <= slot {
            self.sources.resize_with(slot + 1, || None);
        }
        let pair = |target: &Target| {
            (target.currency != source).then(|| Pair {
                index: self.book.pair(source, target.currency),
                quotes: Vec::new(),
                places: vec![Vec::new(); usize::from(MAX_SCALE) + 1],
            })
        };
        let pairs = self.targets.iter().map(pair).collect();
        let valid_until = last_day(self.book.currencies().entry(source));
        self.sources[slot] = Some(SourceQuotes { source, valid_until, pairs });
    }

    /// Converts one amount into target number `target`.
    #[inline]
    pub(super) fn convert(
        &mut self,
        source: Currency,
        target: usize,
        amount: Amount,
        event: EventTime,
    ) -> std::result::Result<Converted<'_>, Refused> {
        let (book, mode, rounding) = (&self.book, self.mode, self.rounding);
        let wanted = &self.targets[target];
        let overflow = || {
            let detail = format!("the result in {} has more than 38 digits", wanted.code);
            Refused::new(RowReason::ResultOverflow, detail)
        };
        let Some(Some(quotes)) = self.sources.get_mut(source.index()) else {
            return Err(Refused::new(RowReason::CurrencyUnknown, "the currency was not prepared".to_owned()));
        };
        let day = RateDate(event.day);
        if quotes.valid_until.is_some_and(|until| day > until) {
            return Err(withdrawn(book, quotes.source));
        }
        if wanted.valid_until.is_some_and(|until| day > until) {
            return Err(withdrawn(book, wanted.currency));
        }
        let Some(pair) = &mut quotes.pairs[target] else {
            let amount = round_amount(amount.mantissa, amount.scale, wanted.minor_units, rounding)
                .ok_or_else(overflow)?;
            return Ok(Converted::Same { amount });
        };
        let found = match mode {
            AsOfMode::Date => pair.index.at_date(day),
            AsOfMode::Instant => {
                pair.index.at_instant(cambist_udfs::rate::InstantMicros(event.instant_micros), day)
            }
        };
        let found = found.map_err(|reason| no_rate(book, reason, quotes.source, wanted.currency, day))?;
        let quote = pair.quote(
            book,
            found,
            (quotes.source, wanted.currency),
            amount.scale,
            wanted.minor_units,
            rounding,
        );
        let converted = quote.conversion.convert(amount.mantissa).ok_or_else(overflow)?;
        Ok(Converted::ByRate { amount: converted, quote, age_days: found.age_days })
    }
}

impl Pair {
    #[inline]
    fn quote(
        &mut self,
        book: &RateBook,
        found: AsOf,
        (source, target): (Currency, Currency),
        scale: u8,
        minor_units: u8,
        rounding: RoundingMode,
    ) -> &Quote {
        let snapshot = found.snapshot.0 as usize;
        let places = &mut self.places[usize::from(scale)];
        if places.is_empty() {
            places.resize(book.snapshots().len(), 0);
        }
        if places[snapshot] == 0 {
            let rate = |currency| book.rate(found.snapshot, currency).unwrap_or(Decimal::ONE);
            let (source_rate, target_rate) = (rate(source), rate(target));
            self.quotes.push(Quote {
                conversion: Conversion::new(source_rate, target_rate, scale, minor_units, rounding),
                snapshot: found.snapshot.0,
                rate_date: book.snapshots()[snapshot].rate_date.0,
                source_rate: at_full_scale(source_rate),
                target_rate: at_full_scale(target_rate),
            });
            places[snapshot] = self.quotes.len() as u32;
        }
        &self.quotes[places[snapshot] as usize - 1]
    }
}

/// A rate has at most 20 integer digits, so that 18 decimals always fit.
fn at_full_scale(rate: Decimal) -> i128 {
    rate.rescale(MAX_SCALE).unwrap_or(i128::MAX)
}

fn last_day(currency: &CurrencyEntry) -> Option<RateDate> {
    match currency.status {
        CurrencyStatus::Historic { valid_until, .. } => valid_until,
        _ => None,
    }
}

#[cold]
fn withdrawn(book: &RateBook, currency: Currency) -> Refused {
    let currency = book.currencies().entry(currency);
    Refused::new(
        RowReason::CurrencyNotValidAtDate,
        format!("currency `{}` was withdrawn before the event", currency.code),
    )
}

#[cold]
fn no_rate(book: &RateBook, reason: RowReason, source: Currency, target: Currency, day: RateDate) -> Refused {
    let code = |currency| book.currencies().code(currency).to_string();
    let (source, target) = (code(source), code(target));
    let detail = match reason {
        RowReason::EventBeforeHistory => match book.snapshots().first() {
            Some(first) => format!("the event of {day} lies before the first snapshot, {}", first.rate_date),
            None => format!("no snapshot for the event of {day}"),
        },
        RowReason::RateMissingSource => format!("no snapshot up to {day} has a rate for `{source}`"),
        RowReason::RateMissingTarget => {
            format!("no snapshot up to {day} has rates for both `{source}` and `{target}`")
        }
        _ => format!("the newest snapshot with `{source}` and `{target}` is too old for the event of {day}"),
    };
    Refused::new(reason, detail)
}
