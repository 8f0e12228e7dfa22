//! Of all snapshots that were ever received, those that a book may use.
//!
//! What is received twice is one snapshot, known since the first time. Of several versions of one
//! publication the one that was received last counts, as far as it was known in time.

use std::collections::BTreeMap;

use super::as_of::AsOfMode;
use super::book::BookOptions;
use super::snapshot::{InstantMicros, RateDate, Snapshot};
use crate::reason::SnapshotReason;

/// Why snapshots do not make a rate book.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BookError {
    /// Which of two payloads corrects the other cannot be told: remove one, or state when each was received.
    #[error(
        "two different payloads of `{provider}` for {rate_date} were received at the same time, {known_at}: `{first}` and `{second}`; expected one payload, or different times of arrival"
    )]
    Conflict {
        /// The publisher.
        provider: String,
        /// The day that both are for.
        rate_date: RateDate,
        /// When both were received.
        known_at: InstantMicros,
        /// Where one of them lies; of the two, the first in the order of texts.
        first: String,
        /// Where the other lies.
        second: String,
    },
    /// There is nothing to convert with: give snapshots, or a later `known_as_of`.
    #[error(
        "none of {given} rate snapshots is usable: {known_later} were received after {known_as_of}, {without_instant} do not say from which instant they hold; expected at least one"
    )]
    NoSnapshot {
        /// How many snapshots there were.
        given: usize,
        /// How many of them were received too late.
        known_later: usize,
        /// How many of the others lack the instant that instant mode needs.
        without_instant: usize,
        /// The latest time of arrival that was allowed.
        known_as_of: InstantMicros,
    },
    /// More snapshots than an index can number.
    #[error("{given} rate snapshots; expected at most 4,294,967,294")]
    TooMany {
        /// How many snapshots there were.
        given: usize,
    },
}

impl BookError {
    /// Returns the stable code of a snapshot's refusal, where it is one.
    pub const fn reason(&self) -> Option<SnapshotReason> {
        match self {
            Self::Conflict { .. } => Some(SnapshotReason::SnapshotConflict),
            Self::NoSnapshot { .. } | Self::TooMany { .. } => None,
        }
    }
}

/// What orders publications and tells versions of one from each other: the time from which it is valid,
/// whether people entered it (their word is the last on its day), then the publisher. The time is a day or
/// an instant, by the mode.
type Publication = (i64, bool, String);

/// Returns the snapshots that the options admit, in the order in which they became valid.
pub(super) fn admit(snapshots: Vec<Snapshot>, options: &BookOptions) -> Result<Vec<Snapshot>, BookError> {
    let given = snapshots.len();
    if !u32::try_from(given).is_ok_and(|given| given < u32::MAX) {
        return Err(BookError::TooMany { given });
    }
    let (mut known_later, mut without_instant) = (0, 0);
    let mut publications: BTreeMap<Publication, Vec<Snapshot>> = BTreeMap::new();
    for snapshot in snapshots {
        if snapshot.known_at > options.known_as_of {
            known_later += 1;
        } else if let Some(time) = time_of(&snapshot, options.mode) {
            publications
                .entry((time, snapshot.is_manual(), snapshot.provider.clone()))
                .or_default()
                .push(snapshot);
        } else {
            without_instant += 1;
        }
    }
    if publications.is_empty() {
        return Err(BookError::NoSnapshot {
            given,
            known_later,
            without_instant,
            known_as_of: options.known_as_of,
        });
    }
    let mut admitted = Vec::with_capacity(publications.len());
    for versions in publications.into_values() {
        admitted.extend(latest(versions)?);
    }
    Ok(admitted)
}

fn time_of(snapshot: &Snapshot, mode: AsOfMode) -> Option<i64> {
    match mode {
        AsOfMode::Date => Some(i64::from(snapshot.rate_date.0)),
        AsOfMode::Instant => snapshot.valid_at.map(|at| at.0),
    }
}

/// Returns the version that was received last, if there is any.
///
/// The same payload received again is the same version, unless the provider published another one in between
/// and has come back to it.
fn latest(mut versions: Vec<Snapshot>) -> Result<Option<Snapshot>, BookError> {
    versions.sort_by(|left, right| arrival(left).cmp(&arrival(right)));
    let mut current: Option<Snapshot> = None;
    let mut rival: Option<Snapshot> = None;
    for at_once in versions.chunk_by(|left, right| left.known_at == right.known_at) {
        let is_news = |version: &&Snapshot| {
            rival.is_some() || current.as_ref().is_none_or(|current| current.id != version.id)
        };
        let mut news = at_once.iter().filter(is_news);
        let Some(first) = news.next().cloned() else { continue };
        rival = news.find(|version| version.id != first.id).cloned();
        current = Some(first);
    }
    match (current, rival) {
        (Some(first), Some(second)) => Err(BookError::Conflict {
            provider: first.provider,
            rate_date: first.rate_date,
            known_at: first.known_at,
            first: first.location,
            second: second.location,
        }),
        (current, _) => Ok(current),
    }
}

/// The place is part of it only so that the same snapshots in another order give the same book.
fn arrival(snapshot: &Snapshot) -> (InstantMicros, &str) {
    (snapshot.known_at, &snapshot.location)
}
