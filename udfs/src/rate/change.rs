//! What a correction of the rates changes: for which days a pair of currencies is converted otherwise by one
//! book than by another.
//!
//! Pure and exact in date mode. In instant mode an answer is given in days, because tables are kept by day: a
//! day is told as changed where any instant that may fall on it, in whatever zone, is answered otherwise.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::as_of::{AsOfMode, PairIndex, missing, usable};
use super::book::RateBook;
use super::snapshot::{InstantMicros, RateDate, SnapshotId};
use crate::currency::CurrencyCode;
use crate::decimal::Decimal;
use crate::reason::RowReason;

/// Microseconds of a day.
const DAY_MICROS: i64 = 86_400_000_000;

/// Days from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DayRange {
    /// The first day.
    pub first: RateDate,
    /// The last day.
    pub last: RateDate,
}

impl DayRange {
    /// Tells whether `day` is one of them.
    pub fn contains(&self, day: RateDate) -> bool {
        (self.first..=self.last).contains(&day)
    }
}

/// What an event of some day is converted with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PairOutcome {
    /// A snapshot that holds both currencies.
    Quoted(PairQuote),
    /// None, for this reason.
    Refused(RowReason),
}

impl PairOutcome {
    /// Returns the rates, if there are any.
    pub const fn quote(&self) -> Option<&PairQuote> {
        match self {
            Self::Quoted(quote) => Some(quote),
            Self::Refused(_) => None,
        }
    }
}

/// One pair in one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairQuote {
    /// The snapshot's payload.
    pub snapshot: SnapshotId,
    /// The day it is for.
    pub rate_date: RateDate,
    /// Units of the source currency per unit of the base, as published.
    pub source_rate: Decimal,
    /// Units of the target currency per unit of the base, as published.
    pub target_rate: Decimal,
}

/// Days on which a pair has one outcome by the one book and another by the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairChange {
    /// The days; those of an outcome that never ends last until [`i32::MAX`].
    pub days: DayRange,
    /// By the book before.
    pub before: PairOutcome,
    /// By the book after.
    pub after: PairOutcome,
}

/// Two books by one set of rules.
#[derive(Clone, Copy, Debug)]
pub struct BookComparison<'a> {
    before: &'a RateBook,
    after: &'a RateBook,
}

impl<'a> BookComparison<'a> {
    /// Compares two books; nothing where they do not have the same mode and age limit.
    pub fn new(before: &'a RateBook, after: &'a RateBook) -> Option<Self> {
        let rules = |book: &RateBook| (book.options().mode, book.options().max_age_days);
        (rules(before) == rules(after)).then_some(Self { before, after })
    }

    /// Tells whether both answer every question alike.
    pub fn is_equal(&self) -> bool {
        self.before.digest() == self.after.digest()
    }

    /// Returns the days on which the pair is converted otherwise, in ascending order and without overlap, save
    /// that in instant mode neighbours may share a day. From a currency to itself nothing ever changes.
    ///
    /// It takes time in proportion to the snapshots of both books.
    pub fn pair(&self, source: CurrencyCode, target: CurrencyCode) -> Vec<PairChange> {
        let mut changes: Vec<PairChange> = Vec::new();
        if source == target || self.is_equal() {
            return changes;
        }
        let sides = [self.before, self.after].map(|book| Side::of(book, source, target));
        let (starts, expiries) = (self.starts(), self.expiries());
        let max_age_days = self.before.options().max_age_days;
        for (place, &start) in starts.iter().enumerate() {
            let era = self.days(start, starts.get(place + 1).copied());
            for days in cut(era, expiries.iter().copied()) {
                let choices = [sides[0].choice(start, days.first), sides[1].choice(start, days.first)];
                if choices[0] == choices[1] {
                    continue;
                }
                let quotes = choices.iter().filter_map(PairOutcome::quote);
                let stale = quotes.zip(max_age_days.into_iter().cycle());
                let stale = stale.map(|(quote, limit)| i64::from(quote.rate_date.0) + i64::from(limit) + 1);
                for days in cut(days, stale) {
                    let [before, after] =
                        choices.clone().map(|choice| aged(choice, days.first, max_age_days));
                    if before != after {
                        push(&mut changes, PairChange { days, before, after });
                    }
                }
            }
        }
        changes
    }

    /// The days or instants at which a snapshot of either book begins to hold: between two of them neither
    /// book changes its mind, but for the age of what it has chosen.
    fn starts(&self) -> Vec<i64> {
        let mode = self.before.options().mode;
        let snapshots = self.before.snapshots().iter().chain(self.after.snapshots());
        let starts: BTreeSet<i64> = snapshots
            .filter_map(|snapshot| match mode {
                AsOfMode::Date => Some(i64::from(snapshot.rate_date.0)),
                AsOfMode::Instant => snapshot.valid_at.map(|at| at.0),
            })
            .collect();
        starts.into_iter().collect()
    }

    /// The days from which a snapshot of either book may no longer be used, whoever chose it.
    fn expiries(&self) -> BTreeSet<i64> {
        let snapshots = self.before.snapshots().iter().chain(self.after.snapshots());
        snapshots.filter_map(|snapshot| snapshot.expires).map(|last| i64::from(last.0) + 1).collect()
    }

    /// The event days from `start` until before `end`. A zone moves an instant by less than a day either way,
    /// and so does a date that stands for its own first instant in some zone.
    fn days(&self, start: i64, end: Option<i64>) -> DayRange {
        let day =
            |day: i64| RateDate(i32::try_from(day).unwrap_or(if day < 0 { i32::MIN } else { i32::MAX }));
        match self.before.options().mode {
            AsOfMode::Date => {
                DayRange { first: day(start), last: end.map_or(day(i64::MAX), |end| day(end - 1)) }
            }
            AsOfMode::Instant => {
                let of = |at: i64| at.div_euclid(DAY_MICROS);
                let last = end.map_or(day(i64::MAX), |end| day(of(end - 1) + 1));
                DayRange { first: day(of(start) - 1), last }
            }
        }
    }
}

/// One book's answers for one pair.
struct Side<'a> {
    book: &'a RateBook,
    index: Option<PairIndex>,
    currencies: [CurrencyCode; 2],
}

impl<'a> Side<'a> {
    fn of(book: &'a RateBook, source: CurrencyCode, target: CurrencyCode) -> Self {
        let found = book.currencies().find(source).zip(book.currencies().find(target));
        let index = found.map(|(source, target)| book.pair(source, target));
        Self { book, index, currencies: [source, target] }
    }

    /// What is chosen at a day or an instant for an event of `day`, whatever its age.
    fn choice(&self, start: i64, day: RateDate) -> PairOutcome {
        // A currency that no snapshot carries and no list knows: the rows are refused before any look-up.
        let Some(index) = &self.index else { return PairOutcome::Refused(RowReason::CurrencyUnknown) };
        let end = match self.book.options().mode {
            AsOfMode::Date => {
                index.timeline.count_at_date(RateDate(i32::try_from(start).unwrap_or(i32::MAX)))
            }
            AsOfMode::Instant => index.timeline.count_at_instant(InstantMicros(start), RateDate(0)),
        };
        let position = match usable(&index.timeline, end, day, |end| index.common.before(end)) {
            Ok(Some(position)) => position,
            Ok(None) => return PairOutcome::Refused(missing(end, index.first_with_source)),
            Err(reason) => return PairOutcome::Refused(reason),
        };
        let Some(snapshot) = self.book.snapshots().get(position as usize) else {
            return PairOutcome::Refused(RowReason::RateMissingSource);
        };
        let rate = |code: CurrencyCode| {
            let place = snapshot.rates.binary_search_by_key(&code, |rate| rate.0).ok();
            place.and_then(|place| snapshot.rates.get(place)).map_or(Decimal::ONE, |rate| rate.1)
        };
        let [source_rate, target_rate] = self.currencies.map(rate);
        let (snapshot, rate_date) = (snapshot.id, snapshot.rate_date);
        PairOutcome::Quoted(PairQuote { snapshot, rate_date, source_rate, target_rate })
    }
}

/// Cuts days before each of `cuts` that is one of them.
fn cut(days: DayRange, cuts: impl Iterator<Item = i64>) -> Vec<DayRange> {
    let (first, last) = (i64::from(days.first.0), i64::from(days.last.0));
    let mut starts: BTreeSet<i64> = cuts.filter(|day| (first..=last).contains(day)).collect();
    starts.insert(first);
    let starts: Vec<i32> = starts.into_iter().filter_map(|day| i32::try_from(day).ok()).collect();
    let last = |place: usize| starts.get(place + 1).map_or(days.last, |next| RateDate(next - 1));
    starts
        .iter()
        .enumerate()
        .map(|(place, &first)| DayRange { first: RateDate(first), last: last(place) })
        .collect()
}

fn aged(choice: PairOutcome, day: RateDate, max_age_days: Option<u32>) -> PairOutcome {
    let age = choice.quote().map(|quote| i64::from(day.0) - i64::from(quote.rate_date.0));
    match age.zip(max_age_days) {
        Some((age, limit)) if age > i64::from(limit) => PairOutcome::Refused(RowReason::RateStale),
        _ => choice,
    }
}

/// Neighbours with the same outcomes are one change.
fn push(changes: &mut Vec<PairChange>, change: PairChange) {
    if let Some(last) = changes.last_mut()
        && last.before == change.before
        && last.after == change.after
        && i64::from(change.days.first.0) <= i64::from(last.days.last.0) + 1
    {
        last.days.last = last.days.last.max(change.days.last);
        return;
    }
    changes.push(change);
}
