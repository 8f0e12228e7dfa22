//! The executors as the scheduler sees them: Ballista's own record of them, with its books kept in view.
//!
//! Ballista tells nobody how many vcores it believes to be free, nor which executors it has lost. Both decide
//! whether a result may be trusted and whether an executor must be restarted, so every change passes here.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::error::{BallistaError, Result};
use ballista_core::serde::protobuf::{ExecutorHeartbeat, executor_status};
use ballista_core::serde::scheduler::{ExecutorData, ExecutorMetadata};
use ballista_scheduler::cluster::memory::InMemoryClusterState;
use ballista_scheduler::cluster::{BoundTask, ClusterState, ClusterStateEventStream, ExecutorSlot};
use ballista_scheduler::config::TaskDistributionPolicy;
use ballista_scheduler::scheduler_server::timestamp_secs;
use ballista_scheduler::state::task_manager::JobInfoCache;
use cambist_engine::executor_id::version_mismatch;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

use super::cluster::Cluster;
use super::turns::in_turn;

/// Departed executors whose ids are remembered; an id is used by one process only.
const DEPARTED_MAX: usize = 4096;

/// An executor as the scheduler sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExecutorView {
    /// Its id, new with each start of its process.
    pub id: String,
    /// Where it is reached.
    pub host: String,
    /// The port that results are fetched from.
    pub port: u16,
    /// Tasks that it may run at once.
    pub vcores_total: u32,
    /// How many of these are free.
    pub vcores_free: u32,
    /// When it was last heard of.
    pub last_heartbeat_seconds_ago: u64,
    /// Whether it takes tasks.
    pub status: ExecutorStatus,
}

/// Whether an executor takes tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExecutorStatus {
    /// It takes tasks.
    Active,
    /// It finishes what it has and leaves.
    Terminating,
    /// Nothing was heard of it for too long.
    Lost,
}

impl ExecutorStatus {
    /// Returns the name that JSON has.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Terminating => "terminating",
            Self::Lost => "lost",
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Vcores {
    total: u32,
    free: u32,
}

/// How an executor left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Departure {
    /// It went silent, and may come back.
    Lost,
    /// It said that it leaves; its heartbeats go on meanwhile.
    Leaving,
    /// It was told to stop, and is not taken back.
    Stopped,
}

#[derive(Debug, Default)]
struct Book {
    vcores: HashMap<String, Vcores>,
    departed: HashMap<String, Departure>,
    tasks_ended: u64,
}

impl Book {
    /// Counts the vcores of tasks that are given out.
    fn take(&mut self, tasks: &[BoundTask]) {
        for (executor_id, task) in tasks {
            if let Some(vcores) = self.vcores.get_mut(executor_id) {
                vcores.free = vcores.free.saturating_sub(task.vcores_consumed);
            }
        }
    }
}

/// Ballista's record of the executors, watched.
pub(super) struct WatchedExecutors {
    inner: InMemoryClusterState,
    book: Mutex<Book>,
    losses: watch::Sender<u64>,
    joined: watch::Sender<u64>,
    timeout_seconds: u64,
    /// Whose plans of several stages are cancelled before Ballista hears of a loss.
    cluster: OnceLock<Weak<Cluster>>,
}

impl WatchedExecutors {
    pub(super) fn new(timeout_seconds: u64) -> Self {
        Self {
            inner: InMemoryClusterState::default(),
            book: Mutex::default(),
            losses: watch::Sender::new(0),
            joined: watch::Sender::new(0),
            timeout_seconds,
            cluster: OnceLock::new(),
        }
    }

    /// Cancels the plans of several stages of `cluster` when an executor is lost.
    pub(super) fn watch_plans_of(&self, cluster: &Arc<Cluster>) {
        // A second cluster on the same executors does not exist.
        let _ = self.cluster.set(Arc::downgrade(cluster));
    }

    /// Counts executors that were lost or have begun to leave.
    pub(super) fn losses(&self) -> watch::Receiver<u64> {
        self.losses.subscribe()
    }

    /// Counts executors that have joined.
    pub(super) fn joined(&self) -> watch::Receiver<u64> {
        self.joined.subscribe()
    }

    /// Returns how many tasks have ended on any executor so far, well or badly.
    pub(super) fn tasks_ended(&self) -> u64 {
        self.book().tasks_ended
    }

    /// Takes this executor no more: it is told to stop.
    pub(super) async fn refuse(&self, executor_id: &str) {
        self.depart(executor_id, Departure::Stopped).await;
    }

    /// Lets a vcore vanish, as Ballista does at times.
    #[cfg(test)]
    pub(super) fn leak(&self, executor_id: &str) {
        if let Some(vcores) = self.book().vcores.get_mut(executor_id) {
            vcores.free -= 1;
        }
    }

    pub(super) async fn views(&self) -> Vec<ExecutorView> {
        let now = timestamp_secs();
        let mut views: Vec<ExecutorView> = Vec::new();
        for metadata in self.inner.registered_executor_metadata().await {
            let heartbeat = self.inner.get_executor_heartbeat(&metadata.id);
            let seconds_ago = heartbeat.as_ref().map_or(0, |beat| now.saturating_sub(beat.timestamp));
            let terminating = heartbeat.as_ref().is_some_and(is_terminating);
            let status = match (terminating, seconds_ago > self.timeout_seconds) {
                (true, _) => ExecutorStatus::Terminating,
                (false, true) => ExecutorStatus::Lost,
                (false, false) => ExecutorStatus::Active,
            };
            let total = metadata.specification.vcores;
            let free = self.book().vcores.get(&metadata.id).map_or(0, |vcores| vcores.free);
            views.push(ExecutorView {
                id: metadata.id,
                host: metadata.host,
                port: metadata.port,
                vcores_total: total,
                vcores_free: free,
                last_heartbeat_seconds_ago: seconds_ago,
                status,
            });
        }
        views.sort_by(|a, b| a.id.cmp(&b.id));
        views
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a loss, and cancels the plans of several stages that were running. Ballista hears of the loss
    /// only after that: it would roll their stages back, and with them lose count of the vcores that their
    /// tasks hold on the executors that live.
    async fn depart(&self, executor_id: &str, departure: Departure) {
        let cluster = self.cluster.get().and_then(Weak::upgrade);
        let plans = match &cluster {
            // Before the loss is counted: a plan that is submitted after it has nothing to do with it.
            Some(cluster) => cluster.plans_of_several_stages().await,
            None => Vec::new(),
        };
        if !self.note_departure(executor_id, departure) {
            return;
        }
        for plan in plans {
            tracing::warn!(executor = executor_id, %plan, "cancelling a plan: it has lost an executor");
            if let Some(cluster) = &cluster {
                cluster.cancel(&plan).await;
            }
        }
    }

    /// An executor that is drained is heard of several times; it is lost once. Tells whether this was the time.
    fn note_departure(&self, executor_id: &str, departure: Departure) -> bool {
        let mut book = self.book();
        if book.departed.len() >= DEPARTED_MAX {
            book.departed.clear();
        }
        let news = match book.departed.entry(executor_id.to_owned()) {
            Entry::Vacant(entry) => {
                entry.insert(departure);
                true
            }
            Entry::Occupied(mut entry) => {
                if departure == Departure::Stopped {
                    entry.insert(departure);
                }
                false
            }
        };
        drop(book);
        if news {
            self.losses.send_modify(|count| *count += 1);
        }
        news
    }

    /// An executor that was given up for its silence is as good as a new one when it speaks again.
    fn admit(&self, executor_id: &str) -> Result<()> {
        let mut book = self.book();
        match book.departed.get(executor_id) {
            Some(Departure::Stopped) => {
                Err(BallistaError::General(format!("executor {executor_id} was told to stop")))
            }
            Some(Departure::Lost) => {
                book.departed.remove(executor_id);
                Ok(())
            }
            Some(Departure::Leaving) | None => Ok(()),
        }
    }
}

fn is_terminating(heartbeat: &ExecutorHeartbeat) -> bool {
    let status = heartbeat.status.as_ref().and_then(|status| status.status.as_ref());
    matches!(status, Some(executor_status::Status::Terminating(_)))
}

#[async_trait]
impl ClusterState for WatchedExecutors {
    async fn bind_schedulable_tasks(
        &self,
        distribution: TaskDistributionPolicy,
        active_jobs: Arc<HashMap<JobId, JobInfoCache>>,
        executors: Option<HashSet<String>>,
    ) -> Result<Vec<BoundTask>> {
        let mut bound = Vec::new();
        for (id, plan) in in_turn(&active_jobs).await {
            if self.book().vcores.values().all(|vcores| vcores.free == 0) {
                break;
            }
            let plan = Arc::new(HashMap::from([(id, plan)]));
            let tasks =
                self.inner.bind_schedulable_tasks(distribution.clone(), plan, executors.clone()).await?;
            self.book().take(&tasks);
            bound.extend(tasks);
        }
        Ok(bound)
    }

    /// Late results of an executor that was lost and came back would free vcores that it never took;
    /// no executor is ever given more tasks than it has vcores.
    async fn unbind_tasks(&self, slots: Vec<ExecutorSlot>) -> Result<()> {
        let mut returned = Vec::with_capacity(slots.len());
        {
            let mut book = self.book();
            for (executor_id, count) in slots {
                let Some(vcores) = book.vcores.get_mut(&executor_id) else { continue };
                let count = count.min(vcores.total - vcores.free);
                vcores.free += count;
                book.tasks_ended += u64::from(count);
                returned.push((executor_id, count));
            }
        }
        self.inner.unbind_tasks(returned).await
    }

    async fn register_executor(&self, metadata: ExecutorMetadata, spec: ExecutorData) -> Result<()> {
        if let Some(mismatch) = version_mismatch(&metadata.id) {
            tracing::warn!(executor = metadata.id, mismatch, "executor refused");
            return Err(BallistaError::Configuration(mismatch));
        }
        self.admit(&metadata.id)?;
        let vcores = Vcores { total: spec.total_vcores, free: spec.available_vcores };
        let id = metadata.id.clone();
        self.inner.register_executor(metadata, spec).await?;
        self.book().vcores.insert(id.clone(), vcores);
        tracing::info!(executor = id, vcores = vcores.total, "executor joined");
        self.joined.send_modify(|count| *count += 1);
        Ok(())
    }

    async fn save_executor_metadata(&self, metadata: ExecutorMetadata) -> Result<()> {
        self.inner.save_executor_metadata(metadata).await
    }

    async fn get_executor_metadata(&self, executor_id: &str) -> Result<ExecutorMetadata> {
        self.inner.get_executor_metadata(executor_id).await
    }

    async fn registered_executor_metadata(&self) -> Vec<ExecutorMetadata> {
        self.inner.registered_executor_metadata().await
    }

    async fn save_executor_heartbeat(&self, heartbeat: ExecutorHeartbeat) -> Result<()> {
        if is_terminating(&heartbeat) {
            self.depart(&heartbeat.executor_id, Departure::Leaving).await;
        }
        self.inner.save_executor_heartbeat(heartbeat).await
    }

    async fn remove_executor(&self, executor_id: &str) -> Result<()> {
        let known = self.book().vcores.remove(executor_id).is_some();
        if known {
            tracing::warn!(executor = executor_id, "executor left or lost");
            self.depart(executor_id, Departure::Lost).await;
        }
        self.inner.remove_executor(executor_id).await
    }

    fn executor_heartbeats(&self) -> HashMap<String, ExecutorHeartbeat> {
        self.inner.executor_heartbeats()
    }

    fn get_executor_heartbeat(&self, executor_id: &str) -> Option<ExecutorHeartbeat> {
        self.inner.get_executor_heartbeat(executor_id)
    }

    async fn cluster_state_events(&self) -> Result<ClusterStateEventStream> {
        self.inner.cluster_state_events().await
    }
}
