//! What can be asked of the job service.

use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cambist_engine::execution::Execution;
use cambist_engine::store::Stores;
use cambist_jobs::error::JobError;
use cambist_jobs::registry::{self, PreparedJob};
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::error::ServiceError;
use super::ids;
use super::metrics::ServiceMetrics;
use super::queue::{Reserved, Runs, keep_busy};
use super::record::{RunLog, RunRecord, Submission};
use super::records::{Records, Written};
use super::run::{Place, Run};
use super::settings::ServiceSettings;
use super::view::{RunState, RunView};

/// Tells the present instant.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Reads and checks a job's options, as [`registry::prepare`] does.
pub type Prepare = Arc<dyn Fn(&str, Value) -> Result<Box<dyn PreparedJob>, JobError> + Send + Sync>;

/// How often the counters of a run are looked at while somebody waits for a change.
const WATCH_TICK: Duration = Duration::from_millis(200);
/// How long a caller waits for a driver to let go of a cancelled run.
const CANCEL_WAIT: Duration = Duration::from_secs(20);
/// When a caller should come back who finds the queue full.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Submissions under ids of the callers' choice are looked at one by one in each of so many groups.
const ID_LOCKS: usize = 64;

/// The job service; clones share it.
#[derive(Clone)]
pub struct JobService {
    pub(super) inner: Arc<Inner>,
}

impl fmt::Debug for JobService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobService({})", self.inner.settings.state_url)
    }
}

pub(super) struct Inner {
    pub(super) settings: ServiceSettings,
    pub(super) stores: Stores,
    pub(super) records: Records,
    pub(super) execution: Arc<dyn Execution>,
    pub(super) clock: Clock,
    pub(super) prepare: Prepare,
    pub(super) scheduler_id: String,
    pub(super) metrics: ServiceMetrics,
    pub(super) runs: Mutex<Runs>,
    pub(super) drivers: Mutex<JoinSet<()>>,
    /// Told when a run at work has ended.
    pub(super) place_freed: Arc<Notify>,
    /// Follow other schedulers' runs, read the past, begin waiting runs; nothing is lost when these are aborted.
    pub(super) readers: Mutex<JoinSet<()>>,
    /// No new runs.
    pub(super) is_stopping: watch::Sender<bool>,
    /// Nothing happens any more.
    pub(super) is_stopped: watch::Sender<bool>,
    /// Whether the runs of the past were read.
    pub(super) is_past_known: watch::Sender<bool>,
    id_locks: Vec<tokio::sync::Mutex<()>>,
}

/// A run that was submitted.
#[derive(Clone, Debug, PartialEq)]
pub struct Submitted {
    /// The run.
    pub run: RunView,
    /// Whether this submission put it on record; otherwise an earlier one under the same id did.
    pub is_new: bool,
}

impl JobService {
    /// Starts the service with the registered jobs, and takes up the runs that have not ended.
    ///
    /// # Errors
    /// Where the records' store is not usable.
    pub async fn start(
        settings: ServiceSettings,
        stores: Stores,
        execution: Arc<dyn Execution>,
        clock: Clock,
    ) -> Result<Self, ServiceError> {
        Self::start_with(settings, stores, execution, clock, Arc::new(registry::prepare)).await
    }

    /// Starts the service with other jobs than the registered ones.
    ///
    /// # Errors
    /// Where the records' store is not usable.
    pub async fn start_with(
        settings: ServiceSettings,
        stores: Stores,
        execution: Arc<dyn Execution>,
        clock: Clock,
        prepare: Prepare,
    ) -> Result<Self, ServiceError> {
        let records = Records::open(&stores, &settings.state_url, settings.record_timeout).await?;
        let scheduler_id = ids::new(clock());
        let inner = Arc::new(Inner {
            settings,
            stores,
            records,
            execution,
            clock,
            prepare,
            scheduler_id,
            metrics: ServiceMetrics::default(),
            runs: Mutex::default(),
            drivers: Mutex::default(),
            place_freed: Arc::default(),
            readers: Mutex::default(),
            is_stopping: watch::Sender::new(false),
            is_stopped: watch::Sender::new(false),
            is_past_known: watch::Sender::new(false),
            id_locks: (0..ID_LOCKS).map(|_| tokio::sync::Mutex::default()).collect(),
        });
        lock(&inner.readers).spawn(keep_busy(Arc::downgrade(&inner), Arc::clone(&inner.place_freed)));
        inner.recover().await?;
        Ok(Self { inner })
    }

    /// Puts a run on record and into the queue.
    ///
    /// Under an `id` of the caller's choice this can be done any number of times: the same job with the same
    /// options is the same run.
    ///
    /// # Errors
    /// [`ServiceError::Invalid`] for a job or options that are not valid, [`ServiceError::IdTaken`],
    /// [`ServiceError::QueueFull`], [`ServiceError::Stopping`].
    pub async fn submit(
        &self,
        job: &str,
        options: Map<String, Value>,
        id: Option<String>,
    ) -> Result<Submitted, ServiceError> {
        let inner = &self.inner;
        (inner.prepare)(job, Value::Object(options.clone())).map_err(ServiceError::Invalid)?;
        let submission = Submission { job: job.to_owned(), options };
        match id {
            None => inner.submit_new(ids::new((inner.clock)()), submission).await,
            Some(id) if !ids::is_valid(&id) => Err(ServiceError::InvalidId { id }),
            Some(id) => {
                let hasher = BuildHasherDefault::<DefaultHasher>::default();
                let lock = usize::try_from(hasher.hash_one(&id)).unwrap_or_default() % ID_LOCKS;
                let _one_by_one = inner.id_locks[lock].lock().await;
                inner.submit_new(id, submission).await
            }
        }
    }

    /// Returns a run as it stands.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`], or where a run of long ago cannot be read.
    pub async fn get(&self, id: &str) -> Result<RunView, ServiceError> {
        let run = self.inner.find(id).await?;
        Ok(self.inner.view(&run))
    }

    /// Returns a run once its version differs from `since`; after `wait` as it stands.
    ///
    /// # Errors
    /// As for [`JobService::get`].
    pub async fn watch(&self, id: &str, since: u64, wait: Duration) -> Result<RunView, ServiceError> {
        let run = self.inner.find(id).await?;
        let deadline = Instant::now() + wait;
        let mut versions = run.versions();
        let mut stopped = self.inner.is_stopped.subscribe();
        loop {
            versions.mark_unchanged();
            let view = self.inner.view(&run);
            let is_over = view.state.is_terminal() || *stopped.borrow();
            if view.version != since || is_over || Instant::now() >= deadline {
                return Ok(view);
            }
            tokio::select! {
                _ = versions.changed() => {}
                _ = stopped.changed() => {}
                () = tokio::time::sleep_until(deadline.min(Instant::now() + WATCH_TICK)) => {}
            }
        }
    }

    /// Cancels a run: one that waits at once, one at work as soon as its driver has let go of it. Cancelling a
    /// cancelled run changes nothing.
    ///
    /// # Errors
    /// [`ServiceError::TooLate`] once its commit has begun, [`ServiceError::NotFound`].
    pub async fn cancel(&self, id: &str) -> Result<RunView, ServiceError> {
        let inner = &self.inner;
        let run = inner.find(id).await?;
        let (place, state) = {
            let live = run.live();
            (live.place, live.state)
        };
        match place {
            Place::Past if state == RunState::Cancelled => {}
            Place::Past => return Err(ServiceError::too_late(id, state)),
            Place::Queued if inner.take_from_queue(&run) => inner.cancel_waiting(&run).await?,
            Place::Queued | Place::Driven => {
                if !run.request_cancel() {
                    return Err(ServiceError::too_late(id, run.live().state.max(RunState::Committed)));
                }
                let mut versions = run.versions();
                let is_over = versions.wait_for(|_| run.live().state.is_terminal());
                let _ = tokio::time::timeout(CANCEL_WAIT, is_over).await;
            }
            Place::Followed => inner.cancel_followed(&run).await?,
        }
        let view = inner.view(&run);
        let ended_otherwise = view.state.is_terminal() && view.state != RunState::Cancelled;
        if ended_otherwise { Err(ServiceError::too_late(id, view.state)) } else { Ok(view) }
    }

    /// Tells whether the records' store answers.
    ///
    /// # Errors
    /// Where it does not, or the service is being stopped.
    pub async fn check(&self) -> Result<(), ServiceError> {
        if self.inner.is_stopping() {
            return Err(ServiceError::Stopping);
        }
        self.inner.records.check().await
    }

    /// Tells whether it is being stopped: no new runs, and those at work are left to the next start.
    pub fn is_stopping(&self) -> bool {
        self.inner.is_stopping()
    }

    /// Returns the service's own counters.
    pub fn metrics(&self) -> &ServiceMetrics {
        &self.inner.metrics
    }

    /// Stops: refuses new runs, lets those at work finish for a while, and leaves the others to the next start.
    pub async fn stop(&self) {
        let inner = &self.inner;
        inner.is_stopping.send_replace(true);
        let mut readers = std::mem::take(&mut *lock(&inner.readers));
        readers.shutdown().await;
        let mut drivers = std::mem::take(&mut *lock(&inner.drivers));
        let finished = async { while drivers.join_next().await.is_some() {} };
        if tokio::time::timeout(inner.settings.stop_grace, finished).await.is_err() {
            tracing::warn!(runs = drivers.len(), "runs are left to the next start");
        }
        drivers.shutdown().await;
        inner.is_stopped.send_replace(true);
    }
}

impl Inner {
    async fn submit_new(
        self: &Arc<Self>,
        id: String,
        submission: Submission,
    ) -> Result<Submitted, ServiceError> {
        if let Some(known) = self.known(&id) {
            return self.submitted_before(&known, &submission);
        }
        let place = self.reserve(RETRY_AFTER)?;
        self.records.mark_open(&id).await?;
        let now = (self.clock)();
        let mut record = RunRecord::new(1, RunState::Submitted, 0, &self.scheduler_id, now);
        record.submission = Some(submission.clone());
        if self.records.create(&id, &record).await? == Written::Lost {
            return self.submitted_elsewhere(&id, &submission, place).await;
        }
        let Submission { job, options } = submission;
        let run = Arc::new(Run::new(id, job, options, now, Place::Queued, self.first_version()));
        self.metrics.submitted.inc();
        place.fill(Arc::clone(&run));
        self.pump();
        Ok(Submitted { run: self.view(&run), is_new: true })
    }

    /// A run of this id is on record but not in memory: another scheduler's, one of long ago, or our own whose
    /// record was written although the store said that it was not.
    async fn submitted_elsewhere(
        self: &Arc<Self>,
        id: &str,
        submission: &Submission,
        place: Reserved<'_>,
    ) -> Result<Submitted, ServiceError> {
        let is_lost_and_ours = |log: &RunLog| match log.records.as_slice() {
            [only] => only.scheduler_id == self.scheduler_id,
            _ => false,
        };
        let log = self.records.log(id).await?;
        let known = match log.filter(is_lost_and_ours) {
            Some(log) => {
                let run = Run::of_log(id, log, Place::Queued, self.first_version());
                place.fill(Arc::clone(&run));
                self.pump();
                run
            }
            None => self.find(id).await?,
        };
        self.submitted_before(&known, submission)
    }

    fn submitted_before(&self, known: &Arc<Run>, submission: &Submission) -> Result<Submitted, ServiceError> {
        if known.job == submission.job && known.options == submission.options {
            Ok(Submitted { run: self.view(known), is_new: false })
        } else {
            Err(ServiceError::IdTaken { id: known.id.clone() })
        }
    }

    async fn cancel_waiting(self: &Arc<Self>, run: &Arc<Run>) -> Result<(), ServiceError> {
        match self.write(run, RunState::Cancelled, |_| {}).await {
            Ok(Written::Ours) => {
                self.finished(run).await;
                Ok(())
            }
            Ok(Written::Lost) => {
                self.follow(run);
                Err(ServiceError::too_late(&run.id, run.live().state))
            }
            Err(error) => {
                self.put_back(run);
                Err(error)
            }
        }
    }

    /// Takes the next step of a run: creates its record, and if it stands makes it known.
    pub(super) async fn write(
        &self,
        run: &Run,
        state: RunState,
        fill: impl FnOnce(&mut RunRecord),
    ) -> Result<Written, ServiceError> {
        let (seq, attempt) = {
            let live = run.live();
            debug_assert!(live.state.may_become(state), "{:?} to {state:?}", live.state);
            (live.seq + 1, live.attempt)
        };
        let mut record = RunRecord::new(seq, state, attempt, &self.scheduler_id, (self.clock)());
        fill(&mut record);
        let written = self.records.create(&run.id, &record).await?;
        match written {
            Written::Ours => run.absorb(record),
            Written::Lost => {
                self.metrics.fenced.inc();
                tracing::error!(
                    run = run.id,
                    seq,
                    "another scheduler has taken over this run: do two schedulers share one --state-url?"
                );
            }
        }
        Ok(written)
    }

    /// Returns a version above all that an earlier process may have told: those grow by far less than one per
    /// millisecond.
    pub(super) fn first_version(&self) -> u64 {
        u64::try_from((self.clock)().as_millisecond()).unwrap_or_default()
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.is_stopping.borrow()
    }
}

/// What a panic leaves behind is whole: every change is one assignment or one collection's operation.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
