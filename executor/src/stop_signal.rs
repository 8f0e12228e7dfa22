//! SIGTERM and SIGINT, which Ballista hears as well and drains its tasks at: here is how long that may take.

use std::time::Duration;

use ballista_executor::health::ExecutorHealth;
use cambist_engine::metrics::task_metrics;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::ExecutorError;

/// A signal to a whole cluster reaches its processes within this time, and some hear of it from others first.
const LAST_WORD: Duration = Duration::from_millis(100);

pub(crate) struct StopSignal {
    terminations: Signal,
    interrupts: Signal,
    heard: bool,
}

impl StopSignal {
    pub(crate) fn listen() -> Result<Self, ExecutorError> {
        let begin = |kind| signal(kind).map_err(|source| ExecutorError::Signals { source });
        Ok(Self {
            terminations: begin(SignalKind::terminate())?,
            interrupts: begin(SignalKind::interrupt())?,
            heard: false,
        })
    }

    /// Tells whether a signal came, also one that comes now: whoever starts anew would forget it.
    pub(crate) async fn was_heard(&mut self) -> bool {
        let comes = async {
            tokio::select! {
                _ = self.terminations.recv() => {}
                _ = self.interrupts.recv() => {}
            }
        };
        self.heard || tokio::time::timeout(LAST_WORD, comes).await.is_ok()
    }

    /// Ends when a signal came and the tasks have had their time; at once where no scheduler is joined and no
    /// task runs, as nobody else listens then. Tasks may outlive their scheduler's silence: what they finish is
    /// found by the next attempt.
    pub(crate) async fn overdue(&mut self, health: &ExecutorHealth, drain_timeout: Duration) {
        tokio::select! {
            _ = self.terminations.recv() => {}
            _ = self.interrupts.recv() => {}
        }
        self.heard = true;
        if health.is_ready() || task_metrics().running() > 0 {
            tracing::info!(drain_timeout_seconds = drain_timeout.as_secs(), "draining");
            tokio::time::sleep(drain_timeout).await;
        }
    }
}
