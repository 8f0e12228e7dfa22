//! The scheduler process: the cluster, the job service on it, and the HTTP interface of both.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cambist_engine::distributed::PLAN_VERSION;
use cambist_engine::executor_id::VERSION;
use cambist_engine::store::Stores;
use cambist_jobs::error::{ErrorKind, JobError};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::ballista::{Cluster, ClusterError, ClusterSettings, ExecutorView};
use crate::http::{self, ClusterInfo, ClusterView, Measure};
use crate::service::{Clock, JobService, ServiceError, ServiceSettings};

/// How long requests at work may take once everything else has stopped.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// What a scheduler needs to know.
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    /// Where the HTTP interface listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The job service.
    pub service: ServiceSettings,
    /// The cluster.
    pub cluster: ClusterSettings,
}

/// Why a scheduler does not start, or has stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchedulerError {
    /// The address cannot be listened on: choose another, or stop who has it.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The HTTP interface has failed.
    #[error("the HTTP interface has failed")]
    Serve(#[source] io::Error),
    /// The cluster does not start.
    #[error("the cluster does not start")]
    Cluster(#[source] ClusterError),
    /// The job service does not start.
    #[error("the job service does not start")]
    Service(#[source] ServiceError),
}

impl From<SchedulerError> for JobError {
    fn from(error: SchedulerError) -> Self {
        let kind = match &error {
            SchedulerError::Listen { .. } | SchedulerError::Service(ServiceError::StateUrl(_)) => {
                ErrorKind::Usage
            }
            SchedulerError::Service(ServiceError::Store(store)) if !store.is_retryable() => ErrorKind::Usage,
            _ => ErrorKind::Infrastructure,
        };
        let message = error.to_string();
        match error {
            SchedulerError::Listen { source, .. } | SchedulerError::Serve(source) => {
                Self::new(kind, message).caused_by(source)
            }
            SchedulerError::Cluster(source) => Self::new(kind, message).caused_by(source),
            SchedulerError::Service(source) => Self::new(kind, message).caused_by(source),
        }
    }
}

/// A scheduler that listens, and drives the runs that it has found.
#[derive(Debug)]
pub struct Scheduler {
    listener: TcpListener,
    http_addr: SocketAddr,
    cluster: Arc<Cluster>,
    service: JobService,
}

impl Scheduler {
    /// Starts a scheduler.
    ///
    /// # Errors
    /// Where an address cannot be listened on, or the runs' records are not usable.
    pub async fn start(config: SchedulerConfig, clock: Clock) -> Result<Self, SchedulerError> {
        let address = config.listen;
        let listen = |source| SchedulerError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let http_addr = listener.local_addr().map_err(listen)?;
        let stores = Stores::new();
        let cluster =
            Cluster::start(config.cluster, stores.clone()).await.map_err(SchedulerError::Cluster)?;
        let service = JobService::start(config.service, stores, cluster.execution(), clock);
        let service = match service.await {
            Ok(service) => service,
            Err(error) => {
                cluster.shutdown().await;
                return Err(SchedulerError::Service(error));
            }
        };
        tracing::info!(%http_addr, rpc_addr = %cluster.rpc_addr(), "the scheduler listens");
        Ok(Self { listener, http_addr, cluster, service })
    }

    /// Returns where the HTTP interface listens.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// Returns where executors register.
    pub fn rpc_addr(&self) -> SocketAddr {
        self.cluster.rpc_addr()
    }

    /// Serves until `shutdown`; then runs may finish for a while, and what is left is resumed at the next
    /// start. The HTTP interface answers until then, but takes no new runs.
    ///
    /// # Errors
    /// Where the listener fails.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), SchedulerError> {
        let router = http::router(self.service.clone(), Arc::new(JoinedCluster(Arc::clone(&self.cluster))));
        let (close, closed) = oneshot::channel::<()>();
        let serving = http::serve(self.listener, router, async {
            // Dropped or sent: both mean the end.
            let _ = closed.await;
        });
        let mut serving = tokio::spawn(serving);
        let failed = tokio::select! {
            () = shutdown => None,
            ended = &mut serving => Some(SchedulerError::Serve(of_task(ended))),
        };
        tracing::info!("stopping: no new runs");
        self.service.stop().await;
        drop(close);
        if failed.is_none() && tokio::time::timeout(CLOSE_PATIENCE, &mut serving).await.is_err() {
            serving.abort();
        }
        self.cluster.shutdown().await;
        failed.map_or(Ok(()), Err)
    }
}

fn of_task(ended: Result<io::Result<()>, tokio::task::JoinError>) -> io::Error {
    match ended {
        Ok(Err(error)) => error,
        Ok(Ok(())) => io::Error::other("it has ended"),
        Err(failed) => io::Error::other(failed),
    }
}

/// Starts a scheduler and serves until `shutdown`.
///
/// # Errors
/// As [`Scheduler::start`] and [`Scheduler::serve`].
pub async fn run(
    config: SchedulerConfig,
    clock: Clock,
    shutdown: impl Future<Output = ()>,
) -> Result<(), SchedulerError> {
    Scheduler::start(config, clock).await?.serve(shutdown).await
}

/// The cluster as the HTTP interface tells of it.
#[derive(Debug)]
struct JoinedCluster(Arc<Cluster>);

#[async_trait]
impl ClusterView for JoinedCluster {
    fn info(&self) -> ClusterInfo {
        ClusterInfo {
            version: VERSION.to_owned(),
            plan_version: PLAN_VERSION,
            rpc_host: self.0.rpc_external_host().to_owned(),
            rpc_port: self.0.rpc_addr().port(),
        }
    }

    async fn executors(&self) -> Vec<ExecutorView> {
        self.0.executors().await
    }

    async fn measures(&self) -> Vec<Measure> {
        let counted = self.0.metrics().await;
        let measure = |name, help, value| Measure { name, help, value };
        vec![
            measure("cambist_executors", "Executors that take tasks", counted.executors),
            measure("cambist_vcores", "Tasks that the executors can run at once", counted.vcores_total),
            measure("cambist_vcores_free", "Of these, free ones", counted.vcores_free),
            measure("cambist_tasks_running", "Tasks that run", counted.tasks_running),
            measure("cambist_tasks_ended_total", "Tasks that have ended, well or badly", counted.tasks_ended),
            measure("cambist_plans_running", "Plans that run", counted.plans_running),
            measure(
                "cambist_plan_submissions_total",
                "Plans submitted, repeats included",
                counted.submissions,
            ),
            measure("cambist_plan_resubmissions_total", "Plans submitted again", counted.resubmissions),
            measure("cambist_plan_stalls_total", "Plans in which nothing moved for too long", counted.stalls),
            measure("cambist_executor_restarts_total", "Executors told to restart", counted.restarts),
        ]
    }
}
