//! What a run takes from outside: nothing in a job reads the clock, makes up names or knows where it runs.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use cambist_engine::execution::Execution;
use cambist_engine::progress::RunProgress;
use cambist_engine::store::Stores;

use crate::error::Result;

/// One attempt at a run.
#[derive(Clone, Debug)]
pub struct RunContext {
    /// The run's id, unique.
    pub run_id: String,
    /// Which attempt at the run this is, from 1. Attempts stage their files apart, so that one that was
    /// given up and still runs somewhere cannot touch the next one's.
    pub attempt: u32,
    /// When the run starts; the same in all its attempts.
    pub now: jiff::Timestamp,
    /// The stores.
    pub stores: Stores,
    /// Who runs its plans.
    pub execution: Arc<dyn Execution>,
    /// How it gets on.
    pub progress: RunProgress,
    /// Who is told of each phase.
    pub observer: Arc<dyn RunObserver>,
}

impl RunContext {
    /// Returns the name under which this attempt stages its files, unique to it.
    pub fn staging_name(&self) -> String {
        self.staging_name_of(self.attempt)
    }

    /// Returns the names under which earlier attempts at the run staged theirs.
    pub fn earlier_staging_names(&self) -> impl Iterator<Item = String> {
        (1..self.attempt).map(|attempt| self.staging_name_of(attempt))
    }

    fn staging_name_of(&self, attempt: u32) -> String {
        match attempt {
            0 | 1 => self.run_id.clone(),
            attempt => format!("{}-{attempt}", self.run_id),
        }
    }
}

/// A phase that a run has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunPhase {
    /// The inputs and options were read and checked; work begins when the observer agrees.
    Planned {
        /// Raw bytes to read.
        input_bytes: u64,
        /// Tasks of the first pass.
        tasks: u64,
    },
    /// The tasks' results are in and balance; the commit begins when the observer agrees.
    Executed,
    /// The commit record stands: the run will be visible whatever happens now.
    Committed {
        /// The commit's number.
        commit: u64,
    },
}

/// Is told of each phase before the run goes on.
#[async_trait]
pub trait RunObserver: fmt::Debug + Send + Sync {
    /// Notes `phase`.
    ///
    /// # Errors
    /// To stop the run there: another process has taken it over, or it was cancelled.
    async fn reached(&self, phase: RunPhase) -> Result<()>;
}

/// An observer that lets everything pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

#[async_trait]
impl RunObserver for Unobserved {
    async fn reached(&self, _phase: RunPhase) -> Result<()> {
        Ok(())
    }
}

/// Returns the seconds since `started`, for a report.
#[expect(
    clippy::cast_precision_loss,
    clippy::float_arithmetic,
    reason = "a duration for a person, no amount"
)]
pub fn seconds_since(started: Instant) -> f64 {
    started.elapsed().as_millis() as f64 / 1000.0
}
