//! How a sink is doing: what its pages and its summary are made of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

/// How a sink is doing.
#[derive(Debug, Default)]
pub struct SinkStatus(Mutex<State>);

/// What was done since the sink began.
///
/// `read` = `stored` + `unchanged` + `dead_letters`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    /// Messages that came to their end here; one that is read again counts again.
    pub(super) read: u64,
    pub(super) read_bytes: u64,
    pub(super) stored: u64,
    pub(super) unchanged: u64,
    pub(super) held: u64,
    pub(super) dead_letters: u64,
    pub(super) batches: u64,
    pub(super) commits: u64,
    pub(super) commit_failures: u64,
    pub(super) store_failures: u64,
    pub(super) rebalances: u64,
    pub(super) broker_errors: u64,
    /// Offsets that no message was found for: expired, compacted away, or a transaction's own.
    pub(super) offsets_skipped: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) counts: Counts,
    pub(super) dead_by_reason: BTreeMap<&'static str, u64>,
    pub(super) partitions: BTreeMap<i32, PartitionState>,
    pub(super) last_commit: Option<Timestamp>,
    pub(super) are_brokers_up: bool,
    pub(super) is_store_failing: bool,
    pub(super) is_member: bool,
}

/// How far a partition is read and how far it reaches. Negative: not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartitionState {
    pub(super) committed: i64,
    pub(super) low: i64,
    pub(super) high: i64,
}

impl PartitionState {
    const UNKNOWN: Self = Self { committed: -1, low: -1, high: -1 };

    /// Returns how many offsets are not committed yet.
    pub(super) fn lag(self) -> u64 {
        let from = self.committed.max(self.low).max(0);
        u64::try_from(self.high - from).unwrap_or(0)
    }
}

impl SinkStatus {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.state().counts);
    }

    /// Takes what the library knows of the brokers, and of our partitions their low, high and committed offset.
    pub(super) fn brokers_seen(
        &self,
        is_up: bool,
        assigned: &BTreeSet<i32>,
        offsets: &BTreeMap<i32, (i64, i64, i64)>,
    ) {
        let mut state = self.state();
        state.are_brokers_up = is_up;
        state.partitions.retain(|partition, _| assigned.contains(partition));
        for partition in assigned {
            let known = state.partitions.entry(*partition).or_insert(PartitionState::UNKNOWN);
            if let Some((low, high, committed)) = offsets.get(partition).copied() {
                known.low = known.low.max(low);
                known.high = known.high.max(high);
                known.committed = known.committed.max(committed);
            }
        }
    }

    /// Notes that a partition reaches at least to `high`.
    pub(super) fn reaches(&self, partition: i32, high: i64) {
        let mut state = self.state();
        let known = state.partitions.entry(partition).or_insert(PartitionState::UNKNOWN);
        known.high = known.high.max(high);
    }

    pub(super) fn committed(&self, offsets: &BTreeMap<i32, i64>, at: Timestamp) {
        let mut state = self.state();
        state.counts.commits += 1;
        state.last_commit = Some(at);
        for (partition, next) in offsets {
            state.partitions.entry(*partition).or_insert(PartitionState::UNKNOWN).committed = *next;
        }
    }

    /// Forgets partitions that are somebody else's now.
    pub(super) fn forget(&self, partitions: &BTreeSet<i32>) {
        self.state().partitions.retain(|partition, _| !partitions.contains(partition));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_what_is_there_and_not_committed() {
        let state = |committed, low, high| PartitionState { committed, low, high };
        for (state, lag) in [
            (PartitionState::UNKNOWN, 0),
            (state(-1001, 0, 5), 5),
            (state(3, 0, 5), 2),
            (state(-1, 4, 5), 1),
            (state(5, 0, 5), 0),
            (state(7, 0, 5), 0),
        ] {
            assert_eq!(state.lag(), lag, "{state:?}");
        }
    }

    #[test]
    fn a_partition_that_is_somebody_elses_is_not_shown() {
        let status = SinkStatus::default();
        let offsets = BTreeMap::from([(0, (0, 9, -1001)), (1, (0, 4, 4))]);
        status.brokers_seen(true, &BTreeSet::from([0, 1]), &offsets);
        status.committed(&BTreeMap::from([(0, 6)]), Timestamp::UNIX_EPOCH);
        let lags = |status: &SinkStatus| -> Vec<(i32, u64)> {
            status.state().partitions.iter().map(|(partition, state)| (*partition, state.lag())).collect()
        };
        assert_eq!(lags(&status), [(0, 3), (1, 0)]);
        status.brokers_seen(true, &BTreeSet::from([1]), &offsets);
        assert_eq!(lags(&status), [(1, 0)]);
    }
}
