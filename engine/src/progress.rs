//! How a run gets on: counters of one process that a progress bar or a status page reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of one run; clones share them. Nothing in a result depends on them.
#[derive(Clone, Debug, Default)]
pub struct RunProgress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    bytes_total: AtomicU64,
    bytes_done: AtomicU64,
    records_done: AtomicU64,
    tasks_total: AtomicU64,
    tasks_done: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgressCounts {
    /// Raw bytes (as stored, before decompression) that there are to read; 0 until they are known.
    pub bytes_total: u64,
    /// Raw bytes that were read.
    pub bytes_done: u64,
    /// Records that were read.
    pub records_done: u64,
    /// Tasks of the present pass; 0 until they are known.
    pub tasks_total: u64,
    /// Of these, finished ones.
    pub tasks_done: u64,
}

impl RunProgress {
    /// Returns the counters.
    pub fn counts(&self) -> ProgressCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ProgressCounts {
            bytes_total: read(&self.0.bytes_total),
            bytes_done: read(&self.0.bytes_done),
            records_done: read(&self.0.records_done),
            tasks_total: read(&self.0.tasks_total),
            tasks_done: read(&self.0.tasks_done),
        }
    }

    /// Says how much there is to do; what was done starts anew.
    pub fn begin(&self, bytes_total: u64, tasks_total: u64) {
        self.0.bytes_total.store(bytes_total, Ordering::Relaxed);
        self.0.tasks_total.store(tasks_total, Ordering::Relaxed);
        self.set_done(0, 0, 0);
    }

    /// Sets what was done, where another process does the work and reports sums.
    pub fn set_done(&self, bytes: u64, records: u64, tasks: u64) {
        self.0.bytes_done.store(bytes, Ordering::Relaxed);
        self.0.records_done.store(records, Ordering::Relaxed);
        self.0.tasks_done.store(tasks, Ordering::Relaxed);
    }

    /// Adds raw bytes that were read.
    pub fn add_bytes(&self, bytes: u64) {
        self.0.bytes_done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Adds records that were read.
    pub fn add_records(&self, records: u64) {
        self.0.records_done.fetch_add(records, Ordering::Relaxed);
    }

    /// Adds a finished task.
    pub fn add_task(&self) {
        self.0.tasks_done.fetch_add(1, Ordering::Relaxed);
    }
}
