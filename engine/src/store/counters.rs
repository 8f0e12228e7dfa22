//! What the stores of this process did, for its metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

pub(super) static REQUESTS: Counter = Counter(AtomicU64::new(0));
pub(super) static RETRIES: Counter = Counter(AtomicU64::new(0));
pub(super) static RESUMED_READS: Counter = Counter(AtomicU64::new(0));
pub(super) static GAVE_UP: Counter = Counter(AtomicU64::new(0));
pub(super) static REFUSED: Counter = Counter(AtomicU64::new(0));

/// What the stores of this process did since it started. Local disks are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounters {
    /// Requests sent, retries among them.
    pub requests: u64,
    /// Pauses after a failure that may pass, each followed by another attempt.
    pub retries: u64,
    /// Reads that broke off and went on from there.
    pub resumed_reads: u64,
    /// Requests that failed for as long as they were worth trying.
    pub gave_up: u64,
    /// Requests that were refused for good: a permission, the credentials, the bucket.
    pub refused: u64,
}

/// Reads the counters.
pub fn store_counters() -> StoreCounters {
    StoreCounters {
        requests: REQUESTS.get(),
        retries: RETRIES.get(),
        resumed_reads: RESUMED_READS.get(),
        gave_up: GAVE_UP.get(),
        refused: REFUSED.get(),
    }
}
