//! The order of a book's snapshots in time: how many there were up to a day or an instant.

use super::as_of::AsOfMode;
use super::snapshot::{InstantMicros, RateDate, Snapshot};

/// Microseconds of a day.
const DAY_MICROS: i64 = 86_400_000_000;

/// As many days as are indexed one by one, some 540 years. Snapshots further apart than that are
/// searched for; their dates are hardly real.
const DENSE_DAYS_MAX: usize = 200_000;

/// Snapshots in the order in which they became valid.
#[derive(Debug)]
pub(super) struct Timeline {
    mode: AsOfMode,
    /// Of each snapshot the day it is for, from which its age is counted.
    rate_days: Vec<i32>,
    /// Of each snapshot the day on which it became valid; ascending.
    valid_days: Vec<i32>,
    /// Of each snapshot the instant at which it became valid; ascending, empty in date mode.
    valid_instants: Vec<i64>,
    first_day: i32,
    /// For each day from the first on, how many snapshots were valid by its end; empty if there are too
    /// many days.
    counts: Vec<u32>,
    /// The last day of each snapshot's use; empty where none expires.
    last_days: Vec<i32>,
}

impl Timeline {
    /// Takes snapshots that are in the mode's order, at most 2^32 - 2 of them.
    pub(super) fn new(snapshots: &[Snapshot], mode: AsOfMode) -> Self {
        let rate_days: Vec<i32> = snapshots.iter().map(|snapshot| snapshot.rate_date.0).collect();
        let (valid_days, valid_instants) = match mode {
            AsOfMode::Date => (rate_days.clone(), Vec::new()),
            AsOfMode::Instant => {
                let instants: Vec<i64> =
                    snapshots.iter().filter_map(|snapshot| snapshot.valid_at).map(|at| at.0).collect();
                (instants.iter().map(|at| day_of(*at)).collect(), instants)
            }
        };
        let first_day = valid_days.first().copied().unwrap_or(0);
        let counts = dense_counts(&valid_days);
        let last_days = last_days(snapshots);
        Self { mode, rate_days, valid_days, valid_instants, first_day, counts, last_days }
    }

    /// Counts the snapshots that are eligible for a day: those for it or before it; in instant mode,
    /// those valid by its first instant in UTC, so that none is later than an event of the day.
    #[inline]
    pub(super) fn count_at_date(&self, day: RateDate) -> u32 {
        match self.mode {
            AsOfMode::Date => self.count_by_day(day.0),
            AsOfMode::Instant => self.count_by_instant(i64::from(day.0).saturating_mul(DAY_MICROS)),
        }
    }

    /// Counts the snapshots that are eligible for an instant of a day; in date mode only the day counts.
    #[inline]
    pub(super) fn count_at_instant(&self, at: InstantMicros, day: RateDate) -> u32 {
        match self.mode {
            AsOfMode::Date => self.count_by_day(day.0),
            AsOfMode::Instant => self.count_by_instant(at.0),
        }
    }

    /// Returns the days from the one a snapshot is for to another; zero if that is earlier.
    #[inline]
    pub(super) fn age_days(&self, position: u32, day: RateDate) -> u32 {
        let rate_day = self.rate_days.get(position as usize).copied().unwrap_or(day.0);
        u32::try_from(i64::from(day.0) - i64::from(rate_day)).unwrap_or(0)
    }

    /// Tells whether a snapshot may no longer be used for `day`.
    #[inline]
    pub(super) fn is_expired(&self, position: u32, day: RateDate) -> bool {
        self.last_days.get(position as usize).is_some_and(|last| day.0 > *last)
    }

    #[inline]
    fn count_by_day(&self, day: i32) -> u32 {
        if day < self.first_day {
            return 0;
        }
        let Some(latest) = self.counts.last() else {
            return position(self.valid_days.partition_point(|valid| *valid <= day));
        };
        let offset = usize::try_from(i64::from(day) - i64::from(self.first_day)).unwrap_or(0);
        self.counts.get(offset).copied().unwrap_or(*latest)
    }

    fn count_by_instant(&self, at: i64) -> u32 {
        let day = day_of(at);
        let (before, by_end) = (self.count_by_day(day.saturating_sub(1)), self.count_by_day(day));
        let of_day = self.valid_instants.get(before as usize..by_end as usize).unwrap_or_default();
        before + position(of_day.partition_point(|valid| *valid <= at))
    }
}

fn last_days(snapshots: &[Snapshot]) -> Vec<i32> {
    if snapshots.iter().all(|snapshot| snapshot.expires.is_none()) {
        return Vec::new();
    }
    snapshots.iter().map(|snapshot| snapshot.expires.map_or(i32::MAX, |last| last.0)).collect()
}

fn day_of(at: i64) -> i32 {
    // 64 bits of microseconds are some 292,000 years, so the days fit.
    i32::try_from(at.div_euclid(DAY_MICROS)).unwrap_or(i32::MAX)
}

fn position(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn dense_counts(valid_days: &[i32]) -> Vec<u32> {
    let (Some(first), Some(last)) = (valid_days.first(), valid_days.last()) else {
        return Vec::new();
    };
    let span = usize::try_from(i64::from(*last) - i64::from(*first)).unwrap_or(usize::MAX);
    if span >= DENSE_DAYS_MAX {
        return Vec::new();
    }
    let mut counts = Vec::with_capacity(span + 1);
    let mut count = 0;
    for day in *first..=*last {
        while valid_days.get(count).is_some_and(|valid| *valid <= day) {
            count += 1;
        }
        counts.push(position(count));
    }
    counts
}
