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
    /// The source currencies of rows that were set aside for want of a rate, with the first and the last of
    /// their event days.
    set_aside: BTreeMap<CurrencyCode, DayRange>,
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
            set_aside: details
                .unrated_days
                .iter()
                .filter_map(|(code, days)| Some((CurrencyCode::parse(code)?, *days)))
                .collect(),
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
            // Their events were not looked at.
            let ever = DayRange { first: RateDate(i32::MIN), last: RateDate(i32::MAX) };
            set_aside.extend(newly_known(before, after).into_iter().map(|code| (code, ever)));
        }
        let converted: BTreeSet<CurrencyCode> = self.days.values().flatten().copied().collect();
        let mut days: BTreeSet<DayRange> = BTreeSet::new();
        for source in converted.into_iter().chain(set_aside.keys().copied()).collect::<BTreeSet<_>>() {
            let mut of_source: Vec<(CurrencyCode, PairChange)> = Vec::new();
            for target in self.targets.iter().copied() {
                of_source.extend(comparison.pair(source, target).into_iter().map(|change| (target, change)));
            }
            for (target, change) in of_source {
                let unrated = set_aside.get(&source).and_then(|days| overlap(*days, change.days));
                touch.set_aside |= unrated.is_some();
                let with_rows = self.days_with(source, change.days);
                days.extend(with_rows.iter().map(|day| DayRange { first: *day, last: *day }));
                // Rows that were set aside may be converted now, also those whose result was beyond 38 digits.
                let mended = unrated.filter(|_| change.after.quote().is_some());
                days.extend(mended);
                let event_days = with_rows.first().zip(with_rows.last());
                let event_days = event_days.map(|(first, last)| DayRange { first: *first, last: *last });
                if event_days.is_some() || mended.is_some() {
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

fn overlap(left: DayRange, right: DayRange) -> Option<DayRange> {
    let both = DayRange { first: left.first.max(right.first), last: left.last.min(right.last) };
    (both.first <= both.last).then_some(both)
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
    partition.split_once('=')?.1.parse().ok().map(RateDate::of)
}

#[cfg(test)]
mod tests {
    use cambist_udfs::rate::{AsOfMode, BookOptions, InstantMicros, Snapshot, SnapshotId};

    use super::*;

    fn code(text: &str) -> CurrencyCode {
        CurrencyCode::parse(text).unwrap()
    }

    /// A book of one snapshot a day: `(day, payload, "GBP 0.5, INR 50")`.
    fn book(snapshots: &[(i32, u8, &str)]) -> RateBook {
        let rate = |text: &str| {
            let (currency, rate) = text.split_once(' ').unwrap();
            (code(currency), rate.parse().unwrap())
        };
        let snapshot = |&(day, payload, rates): &(i32, u8, &str)| Snapshot {
            id: SnapshotId([payload; 32]),
            provider: "test".to_owned(),
            base: code("USD"),
            rate_date: RateDate(day),
            valid_at: None,
            known_at: InstantMicros(0),
            location: String::new(),
            rates: rates.split(", ").map(rate).collect(),
            expires: None,
            held: Vec::new(),
        };
        let options =
            BookOptions { mode: AsOfMode::Date, max_age_days: Some(2), known_as_of: InstantMicros(1) };
        RateBook::build(snapshots.iter().map(snapshot).collect(), &options).unwrap()
    }

    /// Rows of pounds on the days 10 and 11 and of euros on day 11, all into rupees.
    fn rows(set_aside: &[(&str, i32, i32)], has_unknown: bool) -> BatchRows {
        let of = |codes: &[&str]| codes.iter().map(|text| code(text)).collect::<BTreeSet<_>>();
        let days = |&(text, first, last): &(&str, i32, i32)| {
            (code(text), DayRange { first: RateDate(first), last: RateDate(last) })
        };
        BatchRows {
            days: BTreeMap::from([(RateDate(10), of(&["GBP"])), (RateDate(11), of(&["GBP", "EUR"]))]),
            set_aside: set_aside.iter().map(days).collect(),
            has_unknown,
            targets: vec![code("INR")],
        }
    }

    fn days(touch: &Touch) -> Vec<(i32, i32)> {
        touch.days.iter().map(|days| (days.first.0, days.last.0)).collect()
    }

    const BEFORE: [(i32, u8, &str); 2] =
        [(10, 1, "EUR 0.9, GBP 0.5, INR 50"), (11, 2, "EUR 0.9, GBP 0.5, INR 51")];

    #[test]
    fn days_with_rows_of_a_corrected_pair_are_touched_and_no_others() {
        let before = book(&BEFORE);
        let corrected = book(&[BEFORE[0], (11, 3, "EUR 0.8, GBP 0.5, INR 51")]);
        let touch = rows(&[], false).touched_by(&before, &corrected);
        assert_eq!(days(&touch), [(11, 11)]);
        assert!(!touch.set_aside && touch.contains(RateDate(11)) && !touch.contains(RateDate(10)));
        assert_eq!(touch.keys.len(), 2, "euros and pounds: both rows name the snapshot");
        let later = book(&[BEFORE[0], BEFORE[1], (12, 3, "EUR 0.8, GBP 0.5, INR 51")]);
        assert!(rows(&[], false).touched_by(&before, &later).is_nothing());
        assert!(rows(&[("JPY", 0, 99)], false).touched_by(&before, &before).is_nothing());
    }

    #[test]
    fn rows_that_were_set_aside_are_touched_where_they_have_a_rate_now() {
        let before = book(&BEFORE);
        let mended = book(&[BEFORE[0], (11, 3, "EUR 0.9, GBP 0.5, INR 51, JPY 80")]);
        let touch = rows(&[("JPY", 5, 30)], false).touched_by(&before, &mended);
        // The correction is of day 11; what it holds may be used until day 13.
        assert_eq!(days(&touch), [(11, 11), (11, 13)]);
        assert!(touch.set_aside);
        let narrow = rows(&[("JPY", 12, 12)], false).touched_by(&before, &mended);
        assert_eq!(days(&narrow), [(11, 11), (12, 12)]);
        let later = book(&[BEFORE[0], BEFORE[1], (12, 3, "INR 51, JPY 80")]);
        assert!(rows(&[("JPY", 9, 11)], false).touched_by(&before, &later).is_nothing());
        let yen = touch.keys.iter().find(|key| key.source == code("JPY")).unwrap();
        assert_eq!(yen.event_days, None);
    }

    #[test]
    fn a_code_that_nobody_knew_is_known_with_its_first_rate() {
        let before = book(&BEFORE);
        let known = book(&[BEFORE[0], BEFORE[1], (12, 3, "INR 51, QQB 2")]);
        assert!(rows(&[], false).touched_by(&before, &known).is_nothing());
        let touch = rows(&[], true).touched_by(&before, &known);
        assert!(touch.set_aside && touch.contains(RateDate(12)) && !touch.contains(RateDate(10)));
    }

    #[test]
    fn a_partition_names_its_day() {
        assert_eq!(day_of("dt=2024-05-01"), Some(RateDate(19_844)));
        assert_eq!(day_of("dt=1969-12-31"), Some(RateDate(-1)));
        assert_eq!(day_of("dt=tomorrow"), None);
        assert_eq!(day_of("2024-05-01"), None);
    }
}
