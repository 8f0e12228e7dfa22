//! What the tasks of this process have done since it started, for its status page.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Returns the number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of a process. Nothing in a result depends on them.
#[derive(Debug)]
#[non_exhaustive]
pub struct TaskMetrics {
    /// Tasks that have begun.
    pub tasks_started: Counter,
    /// Of these, those that have reported a manifest.
    pub tasks_finished: Counter,
    /// Of these, those that have failed.
    pub tasks_failed: Counter,
    /// Finished tasks whose work another attempt had done before.
    pub manifests_reused: Counter,
    /// Records read, broken ones included.
    pub records_read: Counter,
    /// Raw bytes (as stored) of the inputs that were read to their end.
    pub bytes_read: Counter,
    /// Rows written to staged files of the table.
    pub rows_written: Counter,
    /// Records set aside.
    pub records_quarantined: Counter,
    /// Files staged.
    pub files_staged: Counter,
    /// Their size.
    pub bytes_staged: Counter,
    /// Times that rows were written before their buffer was full, because the memory pool gave no more.
    pub buffers_cut_short: Counter,
}

impl TaskMetrics {
    /// Returns how many tasks run.
    pub fn running(&self) -> u64 {
        let ended = self.tasks_finished.get() + self.tasks_failed.get();
        self.tasks_started.get().saturating_sub(ended)
    }
}

static METRICS: TaskMetrics = TaskMetrics {
    tasks_started: Counter::new(),
    tasks_finished: Counter::new(),
    tasks_failed: Counter::new(),
    manifests_reused: Counter::new(),
    records_read: Counter::new(),
    bytes_read: Counter::new(),
    rows_written: Counter::new(),
    records_quarantined: Counter::new(),
    files_staged: Counter::new(),
    bytes_staged: Counter::new(),
    buffers_cut_short: Counter::new(),
};

/// Returns the counters of this process.
pub fn task_metrics() -> &'static TaskMetrics {
    &METRICS
}
