//! What the service needs of those who run jobs: a job service, in this process or on a cluster.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::catalog::Catalog;
use crate::error::Result;

/// A run of a job as SQL shows it: a row of `system.runs` and the result of a `CALL`.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// Its id.
    pub run_id: String,
    /// The job's name.
    pub job: String,
    /// How far it is: `submitted`, `planning`, …, `published`, `failed`, `cancelled`.
    pub state: String,
    /// Whether it has ended.
    pub is_over: bool,
    /// When it was submitted; none where its record does not tell.
    pub submitted_at: Option<jiff::Timestamp>,
    /// When it ended.
    pub ended_at: Option<jiff::Timestamp>,
    /// How many attempts there were.
    pub attempts: u32,
    /// Records that were read.
    pub records: u64,
    /// Seconds since it was submitted, until it ended.
    pub seconds: f64,
    /// The options it was submitted with.
    pub options: Value,
    /// Its report, once there is one.
    pub report: Option<Value>,
    /// Why it failed.
    pub error: Option<String>,
}

/// Runs jobs.
#[async_trait]
pub trait Runs: fmt::Debug + Send + Sync {
    /// Submits a run.
    ///
    /// # Errors
    /// Where the job or an option is not valid, or no more runs are taken.
    async fn submit(&self, job: &str, options: Map<String, Value>) -> Result<RunRow>;

    /// Tells whether a run goes on when whoever submitted it goes away.
    fn are_kept(&self) -> bool {
        true
    }

    /// Waits until a run has ended, and returns it.
    ///
    /// # Errors
    /// Where there is no such run, or the server is being stopped.
    async fn wait(&self, run_id: &str) -> Result<RunRow>;

    /// Cancels a run.
    ///
    /// # Errors
    /// Where there is no such run, or its commit has begun.
    async fn cancel(&self, run_id: &str) -> Result<RunRow>;

    /// Returns the newest runs, newest first, at most `limit` of them.
    ///
    /// # Errors
    /// Where their records cannot be read.
    async fn list(&self, limit: usize) -> Result<Vec<RunRow>>;
}

/// An executor of the cluster: a row of `system.executors`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutorRow {
    /// Its id.
    pub executor_id: String,
    /// Its host.
    pub host: String,
    /// Whether it takes tasks: `active`, `terminating` or `lost`.
    pub status: String,
    /// Tasks that it can run at once.
    pub vcores_total: u32,
    /// Of these, free ones.
    pub vcores_free: u32,
}

/// Knows the executors.
#[async_trait]
pub trait Executors: fmt::Debug + Send + Sync {
    /// Returns the executors that are known.
    async fn list(&self) -> Vec<ExecutorRow>;
}

/// One process without a cluster.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoExecutors;

#[async_trait]
impl Executors for NoExecutors {
    async fn list(&self) -> Vec<ExecutorRow> {
        Vec::new()
    }
}

/// Runs jobs, and lets the catalog know when one that was waited for may have changed a table.
#[derive(Debug)]
pub(crate) struct NotedRuns {
    runs: Arc<dyn Runs>,
    catalog: Arc<Catalog>,
}

impl NotedRuns {
    pub(crate) fn new(runs: Arc<dyn Runs>, catalog: Arc<Catalog>) -> Self {
        Self { runs, catalog }
    }
}

#[async_trait]
impl Runs for NotedRuns {
    fn are_kept(&self) -> bool {
        self.runs.are_kept()
    }

    async fn submit(&self, job: &str, options: Map<String, Value>) -> Result<RunRow> {
        let submitted = self.runs.submit(job, options).await;
        self.catalog.note_change();
        submitted
    }

    async fn wait(&self, run_id: &str) -> Result<RunRow> {
        let ended = self.runs.wait(run_id).await;
        self.catalog.note_change();
        ended
    }

    async fn cancel(&self, run_id: &str) -> Result<RunRow> {
        self.runs.cancel(run_id).await
    }

    async fn list(&self, limit: usize) -> Result<Vec<RunRow>> {
        self.runs.list(limit).await
    }
}
