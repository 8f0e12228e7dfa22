//! Which of a batch's rows a correction touches, told from the two rate books and from what the log knows of
//! the batch, without reading a row.
//!
//! What is touched here may come out as it was: a day of a batch may hold no row of the instant that a
//! correction is for. What is not touched must come out as it was, which the run checks.

use std::collections::{BTreeMap, BTreeSet};

use cambist_engine::table::{TableKind, TableState};
use cambist_udfs::currency::CurrencyCode;
use cambist_udfs::rate::{BookComparison, DayRange, PairChange, RateBook, RateDate};
use cambist_udfs::reason::RowReason;

use crate::error::{JobError, Result};
use crate::normalize::RunDetails;

/// What the log knows of a batch's rows.
#[derive(Debug)]
pub(super) struct BatchRows {
    /// Of each event day the source currencies of its converted rows.
    days: BTreeMap<RateDate, BTreeSet<CurrencyCode>>,
    /// The source currencies of rows set aside, where they were known.
    set_aside: BTreeSet<CurrencyCode>,
    /// Whether rows were set aside because nothing is known of their currency.
    has_unknown: bool,
    targets: Vec<CurrencyCode>,
}

/// A pair whose outcome has changed for event days of a batch.
#[derive(Clone, Debug)]
pub(super) struct TouchedKey {
    pub(super) source: CurrencyCode,
    pub(super) target: CurrencyCode,
    pub(super) change: PairChange,
    /// The first and the last event day that the log says has rows of it; none where they may be among those
    /// set aside only.
    pub(super) event_days: Option<DayRange>,
}

/// What a correction touches of a batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Touch {
    /// Event days whose rows may come out otherwise.
    pub(super) days: Vec<DayRange>,
    /// Why.
    pub(super) keys: Vec<TouchedKey>,
    /// Whether the rows set aside may be others, or for other reasons.
    pub(super) set_aside: bool,
}

impl Touch {
    pub(super) fn is_nothing(&self) -> bool {
        self.days.is_empty() && !self.set_aside
    }

    pub(super) fn contains(&self, day: RateDate) -> bool {
        self.days.iter().any(|days| days.contains(day))
    }
}

impl BatchRows {
    /// Gathers what `state` knows of `batch`.
    pub(super) fn of(state: &TableState, batch: &str, details: &RunDetails) -> Result<Self> {
        let mut days: BTreeMap<RateDate, BTreeSet<CurrencyCode>> = BTreeMap::new();
        for file in state.files(TableKind::Main).filter(|file| file.batch == batch) {
            let day = day_of(file.partition()).ok_or_else(|| {
                JobError::data(format!("the partition `{}` of batch `{batch}` is no date", file.partition()))
            })?;
            days.entry(day).or_default().extend(codes(file.source_totals.keys()));
        }
        let unknown = [RowReason::CurrencyUnknown.code(), RowReason::CurrencyNotMoney.code()];
        Ok(Self {
            days,
            set_aside: codes(details.report.quarantined_source_totals.keys()).collect(),
            has_unknown: unknown
                .iter()
                .any(|reason| details.report.quarantined_by_reason.contains_key(*reason)),
            targets: codes(details.targets.iter().map(|target| &target.code)).collect(),
        })
    }

    /// Tells what of these rows comes out otherwise by the one book than by the other.
    pub(super) fn touched_by(&self, before: &RateBook, after: &RateBook) -> Touch {
        let mut touch = Touch::default();
        let Some(comparison) = BookComparison::new(before, after).filter(|both| !both.is_equal()) else {
            return touch;
        };
        let mut set_aside = self.set_aside.clone();
        if self.has_unknown {
            set_aside.extend(newly_known(before, after));
        }
        let converted: BTreeSet<CurrencyCode> = self.days.values().flatten().copied().collect();
        let mut days: BTreeSet<DayRange> = BTreeSet::new();
        for source in converted.union(&set_aside).copied() {
            let mut of_source: Vec<(CurrencyCode, PairChange)> = Vec::new();
            for target in self.targets.iter().copied() {
                of_source.extend(comparison.pair(source, target).into_iter().map(|change| (target, change)));
            }
            let is_set_aside = set_aside.contains(&source);
            touch.set_aside |= is_set_aside && !of_source.is_empty();
            for (target, change) in of_source {
                let with_rows = self.days_with(source, change.days);
                days.extend(with_rows.iter().map(|day| DayRange { first: *day, last: *day }));
                // Rows that were set aside because this failed may be converted now, on whatever day they are.
                let is_mended =
                    is_set_aside && change.before.quote().is_none() && change.after.quote().is_some();
                if is_mended {
                    days.insert(change.days);
                }
                let event_days = with_rows.first().zip(with_rows.last());
                let event_days = event_days.map(|(first, last)| DayRange { first: *first, last: *last });
                if event_days.is_some() || is_mended {
                    touch.keys.push(TouchedKey { source, target, change, event_days });
                }
            }
        }
        touch.days = days.into_iter().collect();
        touch
    }

    /// The event days in `range` with rows of `source`.
    fn days_with(&self, source: CurrencyCode, range: DayRange) -> Vec<RateDate> {
        let days = self.days.range(range.first..=range.last);
        days.filter(|(_, sources)| sources.contains(&source)).map(|(day, _)| *day).collect()
    }
}

/// Codes that rows may be of now and could not before.
fn newly_known(before: &RateBook, after: &RateBook) -> Vec<CurrencyCode> {
    let after = after.currencies().entries().iter().map(|entry| entry.code);
    after.filter(|code| before.currencies().find(*code).is_none()).collect()
}

fn codes<'a>(texts: impl Iterator<Item = &'a String>) -> impl Iterator<Item = CurrencyCode> {
    texts.filter_map(|text| CurrencyCode::parse(text))
}

/// Reads the event day of a partition such as `dt=2024-05-01`.
pub(super) fn day_of(partition: &str) -> Option<RateDate> {
    let date: jiff::civil::Date = partition.split_once('=')?.1.parse().ok()?;
    let days = date.duration_since(jiff::civil::date(1970, 1, 1)).as_hours() / 24;
    i32::try_from(days).ok().map(RateDate)
}
