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
    /// Of these, those that were cancelled at work.
    pub tasks_cancelled: Counter,
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
    const fn new() -> Self {
        Self {
            tasks_started: Counter::new(),
            tasks_finished: Counter::new(),
            tasks_failed: Counter::new(),
            tasks_cancelled: Counter::new(),
            manifests_reused: Counter::new(),
            records_read: Counter::new(),
            bytes_read: Counter::new(),
            rows_written: Counter::new(),
            records_quarantined: Counter::new(),
            files_staged: Counter::new(),
            bytes_staged: Counter::new(),
            buffers_cut_short: Counter::new(),
        }
    }

    /// Returns how many tasks run.
    pub fn running(&self) -> u64 {
        let ended = self.tasks_finished.get() + self.tasks_failed.get() + self.tasks_cancelled.get();
        self.tasks_started.get().saturating_sub(ended)
    }
}

static METRICS: TaskMetrics = TaskMetrics::new();

/// Returns the counters of this process.
pub fn task_metrics() -> &'static TaskMetrics {
    &METRICS
}

/// A task at work; dropped before it was counted as finished or failed, it was cancelled.
#[derive(Debug)]
pub(crate) struct CountedTask<'a> {
    metrics: &'a TaskMetrics,
    has_ended: bool,
}

impl<'a> CountedTask<'a> {
    pub(crate) fn begin(metrics: &'a TaskMetrics) -> Self {
        metrics.tasks_started.add(1);
        Self { metrics, has_ended: false }
    }

    pub(crate) fn finished(mut self) {
        self.has_ended = true;
        self.metrics.tasks_finished.add(1);
    }

    pub(crate) fn failed(mut self) {
        self.has_ended = true;
        self.metrics.tasks_failed.add(1);
    }
}

impl Drop for CountedTask<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.metrics.tasks_cancelled.add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_was_cancelled_runs_no_more() {
        let metrics = TaskMetrics::new();
        let task = || CountedTask::begin(&metrics);
        let (finished, failed, cancelled, _running) = (task(), task(), task(), task());
        assert_eq!(metrics.running(), 4);
        finished.finished();
        failed.failed();
        drop(cancelled);
        assert_eq!(metrics.running(), 1);
        let counts = [&metrics.tasks_finished, &metrics.tasks_failed, &metrics.tasks_cancelled];
        assert_eq!(counts.map(Counter::get), [1, 1, 1]);
    }
}
