//! One submission of a plan: it is watched until it ends, and cancelled when nobody waits for it any more.

use std::sync::Arc;
use std::time::Duration;

use ballista_core::JobId;
use ballista_core::serde::protobuf::job_status::Status;
use ballista_core::serde::protobuf::{JobStatus, PartitionLocation};
use ballista_scheduler::state::execution_graph::ExecutionGraphBox;
use cambist_engine::progress::RunProgress;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionContext;
use futures::stream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::cluster::Cluster;
use super::fetch::{FetchError, FetchedRows, fetch};
use super::metrics::count;
use super::outcome::{Reach, Setback, distrust, reach, setback, standing};
use cambist_engine::failure::{FailureKind, TaskFailure};

/// How often progress is read; the end of a plan is heard at once.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// Status messages that may wait; a plan sends one per finished stage, and its end must not be lost.
const STATUS_QUEUE: usize = 1024;

pub(super) struct Submission {
    cluster: Arc<Cluster>,
    job: JobId,
    statuses: mpsc::Receiver<JobStatus>,
    losses: watch::Receiver<u64>,
    losses_before: u64,
    ended: bool,
}

/// Cancels what nobody waits for any more, and removes the rows that it has left with the executors: they lie
/// there for as long as their reader takes, so nobody else does.
impl Drop for Submission {
    fn drop(&mut self) {
        let (cluster, job, ended) = (Arc::clone(&self.cluster), self.job.clone(), self.ended);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if !ended {
                    cluster.cancel(&job).await;
                }
                cluster.server.state.executor_manager.clean_up_job_data(job);
            });
        }
    }
}

impl Submission {
    pub(super) async fn submit(
        cluster: &Arc<Cluster>,
        name: &str,
        plan: Arc<dyn ExecutionPlan>,
        session: &SessionContext,
    ) -> Result<Self, Setback> {
        let losses = cluster.executors.losses();
        let losses_before = *losses.borrow();
        let (sender, statuses) = mpsc::channel(STATUS_QUEUE);
        let session = Arc::new(session.clone());
        let submitted = cluster.server.submit_physical_plan(name, session, plan, Some(sender)).await;
        let job = submitted.map_err(|error| Setback::Lost(error.to_string()))?;
        count(&cluster.counters.submissions);
        tracing::debug!(%job, name, "plan submitted");
        Ok(Self { cluster: Arc::clone(cluster), job, statuses, losses, losses_before, ended: false })
    }

    /// Waits for the end; the rows then lie with the executors.
    pub(super) async fn delivery(mut self, progress: &RunProgress) -> Result<Delivery, Setback> {
        let locations = self.watch(progress).await?;
        let graph = self.trusted_graph().await?;
        show(progress, reach(graph.as_ref()));
        Ok(Delivery { locations: standing(locations, graph.as_ref()), submission: self })
    }

    /// Watches the plan until it has succeeded.
    async fn watch(&mut self, progress: &RunProgress) -> Result<Vec<PartitionLocation>, Setback> {
        let mut tick = interval(PROGRESS_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watchdog = Watchdog::start();
        loop {
            tokio::select! {
                biased;
                status = self.statuses.recv() => match status.map(|status| status.status) {
                    Some(Some(Status::Successful(successful))) => {
                        self.ended = true;
                        return Ok(successful.partition_location);
                    }
                    Some(Some(Status::Failed(failed))) => {
                        self.ended = true;
                        return Err(self.failed(&failed.error).await);
                    }
                    Some(_) => {}
                    None => return Err(Setback::Lost("the scheduler has forgotten the plan".to_owned())),
                },
                _ = tick.tick() => self.look(progress, &mut watchdog).await?,
            }
        }
    }

    /// Reads progress; gives the submission up where it is lost or hangs.
    async fn look(&mut self, progress: &RunProgress, watchdog: &mut Watchdog) -> Result<(), Setback> {
        let cache = self.cluster.server.state.task_manager.get_running_job_cache();
        let Some(job) = cache.get(&self.job) else { return Ok(()) };
        let graph = job.execution_graph.read().await;
        let (now, several_stages) = (reach(graph.as_ref()), graph.stage_count() > 1);
        let executors = graph.running_tasks().into_iter().map(|task| task.executor_id);
        let executors: Vec<String> = executors.collect();
        drop(graph);
        show(progress, now);
        if several_stages {
            // Ballista's recovery of several stages can count rows twice or hang.
            self.check_losses()?;
        }
        let stall_timeout = self.cluster.settings.stall_timeout;
        if watchdog.is_stalled(now, self.cluster.executors.tasks_ended(), stall_timeout) {
            return Err(self.stalled(executors, stall_timeout).await);
        }
        Ok(())
    }

    /// Cancels a submission in which nothing moves, and restarts the executors that hold its tasks.
    async fn stalled(&mut self, mut executors: Vec<String>, stall_timeout: Duration) -> Setback {
        count(&self.cluster.counters.stalls);
        tracing::warn!(job = %self.job, "nothing has moved for {} s", stall_timeout.as_secs());
        self.ended = true;
        self.cluster.cancel(&self.job).await;
        executors.sort_unstable();
        executors.dedup();
        for executor in &executors {
            self.cluster.restart_executor(executor, "its tasks do not get on").await;
        }
        Setback::Lost(format!("no task got on for {} s", stall_timeout.as_secs()))
    }

    async fn failed(&self, error: &str) -> Setback {
        let graph = self.cluster.ended_graph(&self.job).await;
        setback(error, graph.as_deref().map(|graph| graph as _), self.executors_lost())
    }

    /// Returns Ballista's record of the finished plan, and refuses a result that may be wrong.
    async fn trusted_graph(&self) -> Result<ExecutionGraphBox, Setback> {
        let Some(graph) = self.cluster.ended_graph(&self.job).await else {
            return Err(Setback::Lost("the scheduler has no record of the finished plan".to_owned()));
        };
        if graph.stage_count() > 1 {
            if let Some(reason) = distrust(graph.as_ref()) {
                return Err(Setback::Lost(reason));
            }
            self.check_losses()?;
        }
        Ok(graph)
    }

    fn check_losses(&self) -> Result<(), Setback> {
        if self.executors_lost() {
            return Err(Setback::Lost("an executor was lost under a plan of several stages".to_owned()));
        }
        Ok(())
    }

    fn executors_lost(&self) -> bool {
        *self.losses.borrow() != self.losses_before
    }
}

/// The rows of a finished plan; they are removed from the executors when nobody wants them any more. They are
/// whole: an executor that is lost now takes with it what it has not delivered, which fetching tells, and no more.
pub(super) struct Delivery {
    submission: Submission,
    locations: Vec<PartitionLocation>,
}

impl Delivery {
    /// Fetches all rows.
    pub(super) async fn collect(mut self) -> Result<Vec<RecordBatch>, Setback> {
        let locations = std::mem::take(&mut self.locations);
        fetch(locations, &self.submission.cluster.settings).await.map_err(not_fetched)
    }

    /// Fetches the rows while they are read, in the order of the plan's partitions. The first ones are there
    /// when this returns, so that until then the plan can be run again.
    pub(super) async fn stream(mut self, schema: SchemaRef) -> Result<SendableRecordBatchStream, Setback> {
        let locations = std::mem::take(&mut self.locations);
        let settings = self.submission.cluster.settings.clone();
        let mut rows = FetchedRows::connect(locations, settings).await.map_err(not_fetched)?;
        let first = rows.next().await.map_err(not_fetched)?;
        let state = (self, rows, Some(first));
        let stream = stream::try_unfold(state, |(delivery, mut rows, first)| async move {
            let next = match first {
                Some(first) => first,
                None => rows.next().await.map_err(|error| begun(not_fetched(error)))?,
            };
            Ok(next.map(|batch| (batch, (delivery, rows, None))))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}

fn not_fetched(error: FetchError) -> Setback {
    match error {
        FetchError::Lost { .. } => Setback::Lost(error.to_string()),
        FetchError::TooLarge { .. } => Setback::Task(TaskFailure {
            kind: FailureKind::Resources,
            message: error.to_string(),
            hint: Some("select fewer rows, or write them to a table".to_owned()),
        }),
    }
}

/// A setback after rows were read: only the reader can ask again.
fn begun(setback: Setback) -> DataFusionError {
    let failure = match setback {
        Setback::Task(failure) => failure,
        Setback::Lost(reason) => TaskFailure {
            kind: FailureKind::Transient,
            message: format!("the result was lost while it was read: {reason}"),
            hint: Some("send the query again".to_owned()),
        },
    };
    failure.into_error()
}

/// Where no metric says how much was read, tasks of equal size do.
fn show(progress: &RunProgress, reach: Reach) {
    let counts = progress.counts();
    let tasks = match counts.tasks_total {
        0 => reach.tasks_done,
        total => reach.tasks_done.min(total),
    };
    let by_tasks = (u128::from(counts.bytes_total) * u128::from(tasks))
        .checked_div(u128::from(counts.tasks_total))
        .and_then(|bytes| u64::try_from(bytes).ok());
    let bytes = if reach.bytes > 0 { reach.bytes } else { by_tasks.unwrap_or_default() };
    progress.set_done(bytes.min(counts.bytes_total), reach.records, tasks);
}

/// Notices that nothing moves.
struct Watchdog {
    moved_at: Instant,
    seen: (Reach, u64),
}

impl Watchdog {
    fn start() -> Self {
        Self { moved_at: Instant::now(), seen: (Reach::default(), 0) }
    }

    /// A plan that waits for others to free vcores moves with them.
    fn is_stalled(&mut self, reach: Reach, tasks_ended: u64, patience: Duration) -> bool {
        let seen = (reach, if reach.tasks_running == 0 { tasks_ended } else { 0 });
        if seen != self.seen {
            self.seen = seen;
            self.moved_at = Instant::now();
        }
        self.moved_at.elapsed() >= patience
    }
}
