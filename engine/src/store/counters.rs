//! What the stores of this process did, for its status page. Local disks are not counted.

use crate::metrics::Counter;

/// The counters of a process. Nothing in a result depends on them.
#[derive(Debug)]
#[non_exhaustive]
pub struct StoreMetrics {
    /// Requests sent, retries among them.
    pub requests: Counter,
    /// Pauses after a failure that may pass, each followed by another attempt.
    pub retries: Counter,
    /// Reads that broke off and went on from there.
    pub resumed_reads: Counter,
    /// Requests that failed for as long as they were worth trying.
    pub gave_up: Counter,
    /// Requests that were refused for good: a permission, the credentials, the bucket.
    pub refused: Counter,
}

static METRICS: StoreMetrics = StoreMetrics {
    requests: Counter::new(),
    retries: Counter::new(),
    resumed_reads: Counter::new(),
    gave_up: Counter::new(),
    refused: Counter::new(),
};

/// Returns the counters of this process.
pub fn store_metrics() -> &'static StoreMetrics {
    &METRICS
}
