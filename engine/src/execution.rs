//! Who runs a plan: this process, or a cluster that is given the same plan.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::{ExecutionPlan, collect_partitioned, execute_stream};
use datafusion::prelude::SessionContext;

use crate::failure::{FailureKind, TaskFailure};
use crate::progress::RunProgress;
use crate::task::with_extension;

/// Runs physical plans to their end.
///
/// Dropping a future of [`Execution::collect`] cancels the work wherever it runs.
#[async_trait]
pub trait Execution: fmt::Debug + Send + Sync {
    /// Returns how many tasks can run at once, at least 1; a cluster waits here for its first executor.
    ///
    /// # Errors
    /// [`ExecutionError::NoExecutors`] where a cluster has none for as long as it may wait.
    async fn slots(&self) -> Result<usize, ExecutionError>;

    /// Tells whether tasks run in other processes: what they share must then lie in a store.
    fn is_remote(&self) -> bool;

    /// Runs all partitions of `plan`, which was made in `session`, and returns their rows in no particular
    /// order. Meant for small results: manifest rows, a report. `name` is what status pages call it.
    ///
    /// A task may run more than once; a plan that writes must be safe under that.
    ///
    /// # Errors
    /// [`ExecutionError`], after all retries that make sense.
    async fn collect(
        &self,
        name: &str,
        plan: Arc<dyn ExecutionPlan>,
        session: &SessionContext,
        progress: &RunProgress,
    ) -> Result<Vec<RecordBatch>, ExecutionError>;
}

/// Runs physical plans whose rows are read while they come.
#[async_trait]
pub trait StreamExecution: Execution {
    /// Runs `plan`, which was made in `session`, and yields its rows, in the plan's order where it has one.
    ///
    /// In one process the rows come as they are made and the work waits for whoever reads them; on a cluster the
    /// future ends when the work has, and the rows then come from the executors that hold them. Memory does not
    /// grow with the result either way. Dropping the future or the stream cancels the work wherever it runs.
    ///
    /// # Errors
    /// [`ExecutionError`], after all retries that make sense. An error in the stream is final: some rows may
    /// have been read by then.
    async fn stream(
        &self,
        name: &str,
        plan: Arc<dyn ExecutionPlan>,
        session: &SessionContext,
        progress: &RunProgress,
    ) -> Result<SendableRecordBatchStream, ExecutionError>;
}

/// Why a plan did not run to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecutionError {
    /// A task failed for good.
    #[error("{0}")]
    Task(TaskFailure),
    /// The cluster has no executors.
    #[error(
        "no executor has joined the cluster within {waited_seconds} s; start some with `cambist executor`"
    )]
    NoExecutors {
        /// For how long it waited.
        waited_seconds: u64,
    },
    /// The work was lost again and again: executors died or made no progress.
    #[error("given up after {attempts} attempts: {reason}")]
    Lost {
        /// How often it was tried.
        attempts: u32,
        /// What happened the last time.
        reason: String,
    },
    /// Somebody cancelled it.
    #[error("cancelled")]
    Cancelled,
}

impl ExecutionError {
    /// Tells whether the same plan may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Task(failure) => failure.kind == FailureKind::Transient,
            Self::NoExecutors { .. } | Self::Lost { .. } => true,
            Self::Cancelled => false,
        }
    }
}

/// Runs plans in this process.
#[derive(Clone, Copy, Debug)]
pub struct InProcess {
    /// Tasks at once.
    pub cores: usize,
}

#[async_trait]
impl Execution for InProcess {
    async fn slots(&self) -> Result<usize, ExecutionError> {
        Ok(self.cores.max(1))
    }

    fn is_remote(&self) -> bool {
        false
    }

    async fn collect(
        &self,
        _name: &str,
        plan: Arc<dyn ExecutionPlan>,
        session: &SessionContext,
        progress: &RunProgress,
    ) -> Result<Vec<RecordBatch>, ExecutionError> {
        let context = with_extension(&session.task_ctx(), Arc::new(progress.clone()));
        let batches = collect_partitioned(plan, Arc::new(context))
            .await
            .map_err(|error| ExecutionError::Task(TaskFailure::of(&error)))?;
        Ok(batches.into_iter().flatten().collect())
    }
}

#[async_trait]
impl StreamExecution for InProcess {
    async fn stream(
        &self,
        _name: &str,
        plan: Arc<dyn ExecutionPlan>,
        session: &SessionContext,
        progress: &RunProgress,
    ) -> Result<SendableRecordBatchStream, ExecutionError> {
        let context = with_extension(&session.task_ctx(), Arc::new(progress.clone()));
        execute_stream(plan, Arc::new(context)).map_err(|error| ExecutionError::Task(TaskFailure::of(&error)))
    }
}
