//! What the service counts, for its metrics page.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

use super::view::{RunState, RunView};

/// From a tiny job to one of an hour and more, in seconds.
const SECONDS: [f64; 12] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0];

/// The counters of a service since it started; clones share them.
#[derive(Clone, Debug)]
pub struct ServiceMetrics {
    /// Runs put on record.
    pub submitted: Counter,
    /// Runs refused because the queue was full.
    pub refused: Counter,
    /// Runs taken up that another process had left.
    pub recovered: Counter,
    /// Attempts at runs.
    pub attempts: Counter,
    /// Attempts that could not be brought to an end because the store failed.
    pub suspended: Counter,
    /// Steps that another scheduler had taken already.
    pub fenced: Counter,
    /// Runs that ended well.
    pub published: Counter,
    /// Runs that failed.
    pub failed: Counter,
    /// Runs that were cancelled.
    pub cancelled: Counter,
    /// Records read by ended runs.
    pub records: Counter,
    /// Raw bytes read by ended runs.
    pub bytes: Counter,
    /// Seconds from the begin of a run's last attempt to its end.
    pub seconds: Histogram,
}

impl Default for ServiceMetrics {
    fn default() -> Self {
        Self {
            submitted: Counter::default(),
            refused: Counter::default(),
            recovered: Counter::default(),
            attempts: Counter::default(),
            suspended: Counter::default(),
            fenced: Counter::default(),
            published: Counter::default(),
            failed: Counter::default(),
            cancelled: Counter::default(),
            records: Counter::default(),
            bytes: Counter::default(),
            seconds: Histogram::new(SECONDS),
        }
    }
}

impl ServiceMetrics {
    pub(super) fn finished(&self, view: &RunView) {
        match view.state {
            RunState::Published => self.published.inc(),
            RunState::Cancelled => self.cancelled.inc(),
            _ => self.failed.inc(),
        };
        self.records.inc_by(view.records_done);
        self.bytes.inc_by(view.bytes_done);
        if view.started_at.is_some() {
            self.seconds.observe(view.elapsed_seconds);
        }
    }
}
