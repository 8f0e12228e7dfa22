//! The choice of the snapshot that an event is converted with: the newest eligible one that holds both
//! currencies. Never the nearest, never a later one, never two.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::presence::Newest;
use super::snapshot::{InstantMicros, RateDate};
use super::timeline::Timeline;
use crate::reason::RowReason;

/// By what a snapshot is eligible for an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AsOfMode {
    /// By the day it is for: on or before the event's.
    #[default]
    Date,
    /// By the instant from which it holds: at or before the event's. Snapshots that do not state theirs
    /// are not eligible.
    Instant,
}

impl AsOfMode {
    /// Every mode, in the order in which they are documented.
    pub const ALL: [Self; 2] = [Self::Date, Self::Instant];

    /// Returns the name that options and reports use: `date` or `instant`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::Instant => "instant",
        }
    }
}

impl fmt::Display for AsOfMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no as-of mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown as-of mode `{name}`; expected `date` or `instant`")]
pub struct UnknownAsOfMode {
    /// The name as it was given.
    pub name: String,
}

impl FromStr for AsOfMode {
    type Err = UnknownAsOfMode;

    fn from_str(name: &str) -> Result<Self, UnknownAsOfMode> {
        let found = Self::ALL.into_iter().find(|mode| mode.name() == name);
        found.ok_or_else(|| UnknownAsOfMode { name: name.to_owned() })
    }
}

/// A snapshot as its position in [`RateBook::snapshots`](super::RateBook::snapshots).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotIndex(pub u32);

impl SnapshotIndex {
    /// Returns the position as what slices are indexed by.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The snapshot that an event is converted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsOf {
    /// The snapshot; it holds both currencies.
    pub snapshot: SnapshotIndex,
    /// The days from the day the snapshot is for to the event's day; 0 if that is the earlier one.
    pub age_days: u32,
}

/// The look-up of one pair of currencies in constant time per event; in instant mode the snapshots of
/// one day are searched by halving.
///
/// It takes about two bits per snapshot of the book. Source and target are different currencies: from a
/// currency to itself the rate is 1, without a look-up.
#[derive(Clone, Debug)]
pub struct PairIndex {
    pub(super) timeline: Arc<Timeline>,
    pub(super) common: Newest,
    pub(super) first_with_source: Option<u32>,
    pub(super) age_days_max: Option<u32>,
}

impl PairIndex {
    /// Does the same as [`RateBook::at_date`](super::RateBook::at_date) for this pair.
    ///
    /// # Errors
    ///
    /// The same.
    #[inline]
    pub fn at_date(&self, day: RateDate) -> Result<AsOf, RowReason> {
        self.newest_before(self.timeline.count_at_date(day), day)
    }

    /// Does the same as [`RateBook::at_instant`](super::RateBook::at_instant) for this pair.
    ///
    /// # Errors
    ///
    /// The same.
    #[inline]
    pub fn at_instant(&self, at: InstantMicros, day: RateDate) -> Result<AsOf, RowReason> {
        self.newest_before(self.timeline.count_at_instant(at, day), day)
    }

    #[inline]
    fn newest_before(&self, end: u32, day: RateDate) -> Result<AsOf, RowReason> {
        match usable(&self.timeline, end, day, |end| self.common.before(end))? {
            Some(position) => aged(&self.timeline, position, day, self.age_days_max),
            None => Err(missing(end, self.first_with_source)),
        }
    }
}

/// Returns the newest of the positions that `newest_before` gives which may still be used for `day`.
///
/// Where all of them have expired, the pair's rates are stale.
#[inline]
pub(super) fn usable(
    timeline: &Timeline,
    end: u32,
    day: RateDate,
    newest_before: impl Fn(u32) -> Option<u32>,
) -> Result<Option<u32>, RowReason> {
    let Some(mut position) = newest_before(end) else { return Ok(None) };
    while timeline.is_expired(position, day) {
        position = newest_before(position).ok_or(RowReason::RateStale)?;
    }
    Ok(Some(position))
}

/// Returns the snapshot with its age, unless it is too old.
#[inline]
pub(super) fn aged(
    timeline: &Timeline,
    position: u32,
    day: RateDate,
    age_days_max: Option<u32>,
) -> Result<AsOf, RowReason> {
    let age_days = timeline.age_days(position, day);
    if age_days_max.is_some_and(|age_days_max| age_days > age_days_max) {
        return Err(RowReason::RateStale);
    }
    Ok(AsOf { snapshot: SnapshotIndex(position), age_days })
}

/// Says why none of the first `end` snapshots holds both currencies.
#[cold]
pub(super) fn missing(end: u32, first_with_source: Option<u32>) -> RowReason {
    match first_with_source {
        _ if end == 0 => RowReason::EventBeforeHistory,
        Some(first) if first < end => RowReason::RateMissingTarget,
        _ => RowReason::RateMissingSource,
    }
}
