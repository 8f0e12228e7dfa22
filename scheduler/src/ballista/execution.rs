//! Plans on the cluster: submitted again as a whole where that makes sense, given up where it does not.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cambist_engine::execution::{Execution, ExecutionError};
use cambist_engine::failure::FailureKind;
use cambist_engine::progress::RunProgress;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;

use super::cluster::Cluster;
use super::metrics::count;
use super::outcome::Setback;
use super::submission::Submission;

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

    async fn submit_once(
        &self,
        name: &str,
        plan: &Arc<dyn ExecutionPlan>,
        session: &SessionContext,
        progress: &RunProgress,
    ) -> Result<Vec<RecordBatch>, Setback> {
        let submission = Submission::submit(&self.cluster, name, Arc::clone(plan), session).await?;
        submission.rows(progress).await
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
        let submissions_max = self.cluster.settings.resubmissions_max.saturating_add(1);
        let mut submissions = 0;
        loop {
            self.cluster.wait_for_executors().await?;
            submissions += 1;
            let setback = match self.submit_once(name, &plan, session, progress).await {
                Ok(rows) => return Ok(rows),
                Err(setback) => judge(setback, submissions, submissions_max)?,
            };
            count(&self.cluster.counters.resubmissions);
            tracing::warn!(name, submissions, ?setback, "submitting a plan again");
            tokio::time::sleep(self.pause(submissions)).await;
        }
    }
}
