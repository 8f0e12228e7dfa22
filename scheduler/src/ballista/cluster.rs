//! A cluster: the scheduler's server, its executors, and what is done about those that misbehave.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ballista_core::JobId;
use ballista_core::serde::protobuf::ExecutorStoppedParams;
use ballista_core::serde::protobuf::job_status::Status;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpc;
use ballista_scheduler::cluster::JobState;
use ballista_scheduler::state::execution_graph::ExecutionGraphBox;
use cambist_engine::distributed::ClusterParts;
use cambist_engine::execution::{ExecutionError, StreamExecution};
use cambist_engine::store::Stores;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::error::ClusterError;
use super::execution::ClusterExecution;
use super::executors::{ExecutorStatus, ExecutorView, WatchedExecutors};
use super::leak_guard;
use super::metrics::{ClusterMetrics, Counters, count, read};
use super::server::{self, Server, StartedServer};
use super::settings::ClusterSettings;

/// An executor that is told to stop and cannot be reached is given up after this.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// How long Ballista may take to keep the record of a plan whose end it has told, and how often it is looked for.
const RECORD_PATIENCE: Duration = Duration::from_secs(5);
const RECORD_PAUSE: Duration = Duration::from_millis(1);

/// Connections of executors are closed after this when the scheduler stops.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// Ballista's scheduler in this process, with the executors that have joined it.
pub struct Cluster {
    pub(super) server: Server,
    pub(super) job_state: Arc<dyn JobState>,
    pub(super) executors: Arc<WatchedExecutors>,
    pub(super) settings: ClusterSettings,
    pub(super) counters: Counters,
    rpc_addr: SocketAddr,
    stop: watch::Sender<bool>,
    background: Mutex<Vec<JoinHandle<()>>>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("rpc_addr", &self.rpc_addr).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Starts a cluster without executors and serves those that want to join.
    ///
    /// # Errors
    /// Where its address cannot be listened on.
    pub async fn start(settings: ClusterSettings, stores: Stores) -> Result<Arc<Self>, ClusterError> {
        let address = settings.rpc_listen;
        let listen = |source| ClusterError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let rpc_addr = listener.local_addr().map_err(listen)?;
        let StartedServer { server, job_state, executors } =
            server::start(&settings, rpc_addr, &ClusterParts::new(stores)).await?;
        let (stop, stopped) = watch::channel(false);
        let serving = server::serve(listener, server.clone(), stopped.clone());
        let cluster = Arc::new(Self {
            server,
            job_state,
            executors,
            settings,
            counters: Counters::default(),
            rpc_addr,
            stop,
            background: Mutex::default(),
        });
        cluster.executors.watch_plans_of(&cluster);
        let guarding = tokio::spawn(leak_guard::run(Arc::downgrade(&cluster), stopped));
        cluster.background().extend([serving, guarding]);
        tracing::info!(%rpc_addr, "waiting for executors");
        Ok(cluster)
    }

    /// Returns who runs plans on this cluster.
    pub fn execution(self: &Arc<Self>) -> Arc<dyn StreamExecution> {
        Arc::new(ClusterExecution::new(Arc::clone(self)))
    }

    /// Returns the executors that are known, lost ones until they are given up.
    pub async fn executors(&self) -> Vec<ExecutorView> {
        self.executors.views().await
    }

    /// Returns where executors join.
    pub fn rpc_addr(&self) -> SocketAddr {
        self.rpc_addr
    }

    /// Returns the host that executors are told to call.
    pub fn rpc_external_host(&self) -> &str {
        &self.settings.rpc_external_host
    }

    /// Returns what the cluster counts.
    pub async fn metrics(&self) -> ClusterMetrics {
        let views = self.active_executors().await;
        let vcores_total = views.iter().map(|view| u64::from(view.vcores_total)).sum();
        let vcores_free = views.iter().map(|view| u64::from(view.vcores_free)).sum();
        ClusterMetrics {
            executors: views.len() as u64,
            vcores_total,
            vcores_free,
            tasks_running: self.busy_vcores().await.values().map(|vcores| u64::from(*vcores)).sum(),
            tasks_ended: self.executors.tasks_ended(),
            plans_running: self.server.running_job_number() as u64,
            submissions: read(&self.counters.submissions),
            resubmissions: read(&self.counters.resubmissions),
            stalls: read(&self.counters.stalls),
            restarts: read(&self.counters.restarts),
        }
    }

    /// Stops serving executors; they look for another scheduler at the same address. What runs here is lost.
    pub async fn shutdown(&self) {
        self.stop.send_replace(true);
        let background: Vec<_> = self.background().drain(..).collect();
        for mut task in background {
            if timeout(CLOSE_PATIENCE, &mut task).await.is_err() {
                task.abort();
            }
        }
    }

    /// Waits for an executor and returns how many tasks can run at once.
    pub(super) async fn wait_for_executors(&self) -> Result<usize, ExecutionError> {
        let mut joined = self.executors.joined();
        let waiting = async {
            loop {
                joined.mark_unchanged();
                let slots: u32 = self.active_executors().await.iter().map(|view| view.vcores_total).sum();
                if slots > 0 {
                    return slots as usize;
                }
                // An executor that was silent for a moment becomes active without joining again.
                let _ = timeout(Duration::from_secs(1), joined.changed()).await;
            }
        };
        let patience = self.settings.executor_wait;
        timeout(patience, waiting)
            .await
            .map_err(|_| ExecutionError::NoExecutors { waited_seconds: patience.as_secs() })
    }

    pub(super) async fn active_executors(&self) -> Vec<ExecutorView> {
        let mut views = self.executors.views().await;
        views.retain(|view| view.status == ExecutorStatus::Active);
        views
    }

    /// Returns the vcores that running tasks take, by executor.
    pub(super) async fn busy_vcores(&self) -> HashMap<String, u32> {
        let mut busy = HashMap::new();
        for job in self.server.state.task_manager.get_running_job_cache().values() {
            let graph = job.execution_graph.read().await;
            for task in graph.running_tasks() {
                let vcores = graph.task_vcores(task.stage_id, task.task_id).unwrap_or(1);
                *busy.entry(task.executor_id).or_default() += vcores;
            }
        }
        busy
    }

    /// Returns Ballista's record of a plan whose end was heard. Ballista tells the end a moment before it keeps
    /// the record.
    pub(super) async fn ended_graph(&self, job: &JobId) -> Option<ExecutionGraphBox> {
        let kept = async {
            loop {
                let status = self.job_state.get_job_status(job).await.ok().flatten();
                if matches!(
                    status.and_then(|status| status.status),
                    Some(Status::Successful(_) | Status::Failed(_))
                ) {
                    return self.job_state.get_execution_graph(job).await.ok().flatten();
                }
                sleep(RECORD_PAUSE).await;
            }
        };
        timeout(RECORD_PATIENCE, kept).await.ok().flatten()
    }

    /// Returns the running plans of several stages.
    pub(super) async fn plans_of_several_stages(&self) -> Vec<JobId> {
        let mut plans = Vec::new();
        for (job, running) in self.server.state.task_manager.get_running_job_cache().iter() {
            if running.execution_graph.read().await.stage_count() > 1 {
                plans.push(job.clone());
            }
        }
        plans
    }

    /// Cancels a plan, wherever it is.
    pub(super) async fn cancel(&self, job: &JobId) {
        if let Err(error) = self.server.cancel_job(job.clone()).await {
            tracing::warn!(%job, %error, "a plan is not cancelled");
        }
    }

    /// Makes an executor start anew, with all its vcores free and nothing running.
    pub(super) async fn restart_executor(&self, executor_id: &str, reason: &str) {
        tracing::warn!(executor = executor_id, reason, "restarting an executor");
        count(&self.counters.restarts);
        self.executors.refuse(executor_id).await;
        let manager = &self.server.state.executor_manager;
        if timeout(STOP_PATIENCE, manager.stop_executor(executor_id, reason.to_owned())).await.is_err() {
            tracing::warn!(executor = executor_id, "the executor cannot be told to stop");
        }
        let stopped =
            ExecutorStoppedParams { executor_id: executor_id.to_owned(), reason: reason.to_owned() };
        if let Err(error) = self.server.executor_stopped(tonic::Request::new(stopped)).await {
            tracing::warn!(executor = executor_id, %error, "the executor is not removed");
        }
    }

    fn background(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.background.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
