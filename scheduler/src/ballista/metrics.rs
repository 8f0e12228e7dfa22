//! What a cluster counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// The state of a cluster at one moment, and what it has counted since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterMetrics {
    /// Executors that take tasks.
    pub executors: u64,
    /// Their vcores.
    pub vcores_total: u64,
    /// How many of these are free.
    pub vcores_free: u64,
    /// Tasks that run.
    pub tasks_running: u64,
    /// Tasks that have ended, well or badly.
    pub tasks_ended: u64,
    /// Plans that run.
    pub plans_running: u64,
    /// Plans that were submitted, resubmissions included.
    pub submissions: u64,
    /// Plans that were submitted again.
    pub resubmissions: u64,
    /// Submissions in which nothing moved for too long.
    pub stalls: u64,
    /// Executors that were told to restart.
    pub restarts: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) submissions: AtomicU64,
    pub(super) resubmissions: AtomicU64,
    pub(super) stalls: AtomicU64,
    pub(super) restarts: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub(super) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
