//! Plans on the cluster: submitted again as a whole where that makes sense, given up where it does not.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cambist_engine::distributed::with_lasting_leaves;
use cambist_engine::execution::{Execution, ExecutionError, StreamExecution};
use cambist_engine::failure::{FailureKind, TaskFailure};
use cambist_engine::progress::RunProgress;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::cluster::Cluster;
use super::metrics::count;
use super::outcome::Setback;
use super::submission::{Delivery, Submission};

/// The pause before a resubmission is doubled at most this often.
const DOUBLINGS_MAX: u32 = 5;

/// Runs plans on a cluster.
#[derive(Debug)]
pub(super) struct ClusterExecution {
    cluster: Arc<Cluster>,
}

impl ClusterExecution {
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster }
    }

    /// Runs a plan, again and again where that makes sense, and takes its rows by `take`.
    async fn run<T>(
        &self,
        name: &str,
        plan: Arc<dyn ExecutionPlan>,
        session: &SessionContext,
        progress: &RunProgress,
        take: impl Fn(Delivery) -> BoxFuture<'static, Result<T, Setback>> + Send + Sync,
    ) -> Result<T, ExecutionError> {
        let plan =
            with_lasting_leaves(plan).map_err(|error| ExecutionError::Task(TaskFailure::of(&error)))?;
        let submissions_max = self.cluster.settings.resubmissions_max.saturating_add(1);
        let mut submissions = 0;
        loop {
            self.cluster.wait_for_executors().await?;
            submissions += 1;
            let taking = async {
                let submission = Submission::submit(&self.cluster, name, Arc::clone(&plan), session).await?;
                take(submission.delivery(progress).await?).await
            };
            let setback = match taking.await {
                Ok(taken) => return Ok(taken),
                Err(setback) => judge(setback, submissions, submissions_max)?,
            };
            count(&self.cluster.counters.resubmissions);
            tracing::warn!(name, submissions, ?setback, "submitting a plan again");
            tokio::time::sleep(self.pause(submissions)).await;
        }
    }

    /// Executors that were lost together are noticed one by one.
    fn pause(&self, submissions: u32) -> Duration {
        let doublings = submissions.saturating_sub(1).min(DOUBLINGS_MAX);
        self.cluster.settings.resubmission_pause * (1 << doublings)
    }
}

/// Tells whether a resubmission can help; if not, what to report.
fn judge(setback: Setback, submissions: u32, submissions_max: u32) -> Result<Setback, ExecutionError> {
    let again = submissions < submissions_max;
    match setback {
        Setback::Task(failure) if failure.kind == FailureKind::Transient && again => {
            Ok(Setback::Task(failure))
        }
        Setback::Task(failure) => Err(ExecutionError::Task(failure)),
        Setback::Lost(reason) if again => Ok(Setback::Lost(reason)),
        Setback::Lost(reason) => Err(ExecutionError::Lost { attempts: submissions, reason }),
    }
}

#[async_trait]
impl Execution for ClusterExecution {
    async fn slots(&self) -> Result<usize, ExecutionError> {
        self.cluster.wait_for_executors().await
    }

    fn is_remote(&self) -> bool {
        true
    }

    async fn collect(
        &self,
        name: &str,
        plan: Arc<dyn ExecutionPlan>,
        session: &SessionContext,
        progress: &RunProgress,
    ) -> Result<Vec<RecordBatch>, ExecutionError> {
        self.run(name, plan, session, progress, |delivery| delivery.collect().boxed()).await
    }
}

#[async_trait]
impl StreamExecution for ClusterExecution {
    async fn stream(
        &self,
        name: &str,
        plan: Arc<dyn ExecutionPlan>,
        session: &SessionContext,
        progress: &RunProgress,
    ) -> Result<SendableRecordBatchStream, ExecutionError> {
        let schema = plan.schema();
        let take = |delivery: Delivery| delivery.stream(Arc::clone(&schema)).boxed();
        self.run(name, plan, session, progress, take).await
    }
}
