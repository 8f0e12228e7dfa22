//! What a driver learns from its job while it runs: each phase becomes a record before the job goes on.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cambist_engine::execution::{Execution, ExecutionError};
use cambist_engine::progress::RunProgress;
use cambist_jobs::context::{RunObserver, RunPhase};
use cambist_jobs::error::{ErrorKind, JobError};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;

use super::error::ServiceError;
use super::job_service::{Inner, lock};
use super::record::{BEGUN, COMMITTING, RunRecord};
use super::records::Written;
use super::run::Run;
use super::view::RunState;

/// A cluster that answers within this time has executors.
const SLOTS_AT_ONCE: Duration = Duration::from_millis(50);

/// How often a plan at work is looked after for executors.
const EXECUTORS_TICK: Duration = Duration::from_secs(1);

/// Why the observer has stopped a job.
#[derive(Debug)]
pub(super) enum Stopped {
    /// Another scheduler has taken over.
    Fenced,
    /// The run is committed, and the table has gone on since: there is nothing left to do.
    Superseded,
    /// A record cannot be written.
    Store(ServiceError),
}

/// Writes down each phase.
pub(super) struct Observer {
    inner: Arc<Inner>,
    run: Arc<Run>,
    stopped: Mutex<Option<Stopped>>,
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observer({})", self.run.id)
    }
}

impl Observer {
    pub(super) fn new(inner: Arc<Inner>, run: Arc<Run>) -> Self {
        Self { inner, run, stopped: Mutex::default() }
    }

    /// Returns why this observer has stopped the job, if it has.
    pub(super) fn stopped(&self) -> Option<Stopped> {
        lock(&self.stopped).take()
    }

    async fn write(&self, state: RunState, fill: impl FnOnce(&mut RunRecord) + Send) -> Result<(), JobError> {
        match self.inner.write(&self.run, state, fill).await {
            Ok(Written::Ours) => Ok(()),
            Ok(Written::Lost) => Err(self.stop(Stopped::Fenced)),
            Err(error) => Err(self.stop(Stopped::Store(error))),
        }
    }

    fn stop(&self, why: Stopped) -> JobError {
        let message = match &why {
            Stopped::Fenced => "another scheduler has taken over the run".to_owned(),
            Stopped::Superseded => "the run is committed already".to_owned(),
            Stopped::Store(error) => error.to_string(),
        };
        *lock(&self.stopped) = Some(why);
        JobError::new(ErrorKind::Infrastructure, message)
    }

    fn enter(&self, stage: &str) {
        self.run.update(|live| live.stage = Some(stage.to_owned()));
    }

    async fn planned(&self, bytes_total: u64, tasks_total: u64) -> Result<(), JobError> {
        let state = self.run.live().state;
        if state == RunState::Committed {
            return Err(self.stop(Stopped::Superseded));
        }
        if state < RunState::Planned {
            let counts = super::record::Counts { bytes_total, tasks_total, ..Default::default() };
            self.write(RunState::Planned, |record| record.counts = Some(counts)).await?;
        }
        self.write(RunState::Running, |record| record.detail = Some(BEGUN.to_owned())).await?;
        self.run.update(|live| live.is_past_cancel = false);
        self.enter("running");
        Ok(())
    }

    async fn executed(&self) -> Result<(), JobError> {
        if !self.run.pass_cancel() {
            return Err(JobError::new(ErrorKind::Infrastructure, "the run was cancelled"));
        }
        if self.run.live().state < RunState::Committed {
            self.write(RunState::Running, |record| record.detail = Some(COMMITTING.to_owned())).await?;
        }
        self.enter("committing");
        Ok(())
    }

    async fn committed(&self, commit: u64) -> Result<(), JobError> {
        let counts = self.run.counts();
        let detail = format!("commit {commit}");
        self.write(RunState::Committed, |record| {
            record.detail = Some(detail);
            record.counts = Some(counts);
        })
        .await?;
        self.enter("publishing");
        Ok(())
    }
}

#[async_trait]
impl RunObserver for Observer {
    async fn reached(&self, phase: RunPhase) -> Result<(), JobError> {
        match phase {
            RunPhase::Planned { input_bytes, tasks } => self.planned(input_bytes, tasks).await,
            RunPhase::Executed => self.executed().await,
            RunPhase::Committed { commit } => self.committed(commit).await,
        }
    }
}

/// An execution that tells in the run's view what it waits for and works on.
#[derive(Debug)]
pub(super) struct ObservedExecution {
    inner: Arc<dyn Execution>,
    run: Arc<Run>,
}

impl ObservedExecution {
    pub(super) fn new(inner: Arc<dyn Execution>, run: Arc<Run>) -> Self {
        Self { inner, run }
    }

    /// Tells in the view where that takes longer than a moment.
    async fn wait_for_slots(&self) -> Result<usize, ExecutionError> {
        let mut slots = std::pin::pin!(self.inner.slots());
        if let Ok(slots) = tokio::time::timeout(SLOTS_AT_ONCE, &mut slots).await {
            return slots;
        }
        let _waiting = Waiting::begin(&self.run);
        slots.await
    }

    /// Tells in the view for as long as all executors are lost. Never ends.
    async fn watch_executors(&self) {
        if !self.is_remote() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(EXECUTORS_TICK).await;
            // How long there may be none is decided by whoever waits for them in order to go on.
            let _ = self.wait_for_slots().await;
        }
    }
}

/// A run that waits for executors; dropped, it waits no more.
struct Waiting<'a>(&'a Run);

impl<'a> Waiting<'a> {
    fn begin(run: &'a Run) -> Self {
        run.update(|live| live.waiting = Some("no executors".to_owned()));
        Self(run)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.update(|live| live.waiting = None);
    }
}

#[async_trait]
impl Execution for ObservedExecution {
    async fn slots(&self) -> Result<usize, ExecutionError> {
        self.wait_for_slots().await
    }

    fn is_remote(&self) -> bool {
        self.inner.is_remote()
    }

    async fn collect(
        &self,
        name: &str,
        plan: Arc<dyn ExecutionPlan>,
        session: &SessionContext,
        progress: &RunProgress,
    ) -> Result<Vec<RecordBatch>, ExecutionError> {
        // Passes after the first have names of their own behind the run's id.
        let pass = name.strip_prefix(&self.run.id).unwrap_or(name).trim_start_matches('-');
        let stage = if pass.is_empty() { "running" } else { pass };
        self.run.update(|live| live.stage = Some(stage.to_owned()));
        tokio::select! {
            biased;
            rows = self.inner.collect(name, plan, session, progress) => rows,
            () = self.watch_executors() => Err(ExecutionError::Cancelled),
        }
    }
}
