//! The serving process: who does the work, the job service on it, and how both are reached: HTTP, and SQL over
//! Flight.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cambist_engine::store::Stores;
use cambist_flight::{FlightServer, FlightServerError, FlightSettings};
use cambist_jobs::error::{ErrorKind, JobError};
use cambist_sql::audit::AuditLog;
use cambist_sql::{Environment, SqlError, SqlErrorKind, SqlService, SqlSettings};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::ballista::ClusterError;
use crate::http;
use crate::service::{Clock, JobService, ServiceError, ServiceSettings};
use crate::sql::ServiceRuns;
use crate::workers::{WorkerSettings, Workers};

/// How long requests at work, results among them, may take once everything else has stopped.
const CLOSE_PATIENCE: Duration = Duration::from_secs(15);

/// What a scheduler needs to know.
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    /// Where the HTTP interface listens, if it does; port 0 takes a free one. Whoever reaches it may run jobs.
    pub listen: Option<SocketAddr>,
    /// The job service.
    pub service: ServiceSettings,
    /// Who does the work.
    pub workers: WorkerSettings,
    /// SQL over Flight, if it is served.
    pub sql: Option<SqlEndpoint>,
}

/// What serving SQL needs to know.
#[derive(Clone, Debug)]
pub struct SqlEndpoint {
    /// Tables, rates, limits.
    pub settings: SqlSettings,
    /// Where it listens, and who may come in.
    pub flight: FlightSettings,
    /// Where statements are noted.
    pub audit: Arc<dyn AuditLog>,
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
    /// What SQL is told does not hold together.
    #[error("SQL cannot be served")]
    Sql(#[source] SqlError),
    /// The Flight endpoint does not start, or has failed.
    #[error("SQL cannot be served over Flight")]
    Flight(#[source] FlightServerError),
}

impl From<SchedulerError> for JobError {
    fn from(error: SchedulerError) -> Self {
        let kind = match &error {
            SchedulerError::Listen { .. } | SchedulerError::Service(ServiceError::StateUrl(_)) => {
                ErrorKind::Usage
            }
            SchedulerError::Service(ServiceError::Store(store)) if !store.is_retryable() => ErrorKind::Usage,
            SchedulerError::Sql(error) if error.kind != SqlErrorKind::Unavailable => ErrorKind::Usage,
            SchedulerError::Flight(error) if !matches!(error, FlightServerError::Serve { .. }) => {
                ErrorKind::Usage
            }
            _ => ErrorKind::Infrastructure,
        };
        let message = error.to_string();
        match error {
            SchedulerError::Listen { source, .. } | SchedulerError::Serve(source) => {
                Self::new(kind, message).caused_by(source)
            }
            SchedulerError::Cluster(source) => Self::new(kind, message).caused_by(source),
            SchedulerError::Service(source) => Self::new(kind, message).caused_by(source),
            SchedulerError::Sql(mut source) => {
                let hint = source.hint.take();
                let error = Self::new(kind, message).caused_by(source);
                Self { hint, ..error }
            }
            SchedulerError::Flight(source) => Self::new(kind, message).caused_by(source),
        }
    }
}

/// A scheduler that listens, and drives the runs that it has found.
#[derive(Debug)]
pub struct Scheduler {
    http: Option<(TcpListener, SocketAddr)>,
    workers: Workers,
    service: JobService,
    flight: Option<FlightServer>,
}

impl Scheduler {
    /// Starts a scheduler.
    ///
    /// # Errors
    /// Where an address cannot be listened on, or the runs' records are not usable.
    pub async fn start(config: SchedulerConfig, clock: Clock) -> Result<Self, SchedulerError> {
        let http = match config.listen {
            None => None,
            Some(address) => {
                let listen = |source| SchedulerError::Listen { address, source };
                let listener = TcpListener::bind(address).await.map_err(listen)?;
                let http_addr = listener.local_addr().map_err(listen)?;
                Some((listener, http_addr))
            }
        };
        // Those who send statements name places within folders that this process can read beyond.
        let stores = if config.sql.is_some() { Stores::new().passing_over_links() } else { Stores::new() };
        let workers =
            Workers::start(config.workers, stores.clone()).await.map_err(SchedulerError::Cluster)?;
        let state_url = config.service.state_url.clone();
        let execution = workers.execution();
        let service = JobService::start(config.service, stores.clone(), execution, Arc::clone(&clock));
        let service = match service.await {
            Ok(service) => service,
            Err(error) => {
                workers.shutdown().await;
                return Err(SchedulerError::Service(error));
            }
        };
        let flight = match config.sql {
            None => None,
            Some(endpoint) => {
                let environment = Environment {
                    stores,
                    execution: workers.execution(),
                    runs: Arc::new(ServiceRuns::new(service.clone())),
                    executors: workers.executors(),
                    audit: endpoint.audit,
                    clock: Arc::clone(&clock),
                    state_url: format!("{}/sql", state_url.trim_end_matches('/')),
                };
                match flight(endpoint.settings, endpoint.flight, environment).await {
                    Ok(flight) => Some(flight),
                    Err(error) => {
                        service.stop().await;
                        workers.shutdown().await;
                        return Err(error);
                    }
                }
            }
        };
        if let Some((_, http_addr)) = &http {
            tracing::info!(%http_addr, "the server listens");
        }
        Ok(Self { http, workers, service, flight })
    }

    /// Returns where the HTTP interface listens, if it does.
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(|(_, http_addr)| *http_addr)
    }

    /// Returns where executors register; nowhere where this process does the work.
    pub fn rpc_addr(&self) -> Option<SocketAddr> {
        match &self.workers {
            Workers::Cluster(cluster) => Some(cluster.rpc_addr()),
            Workers::InProcess(_) => None,
        }
    }

    /// Returns where SQL is served, if it is.
    pub fn flight_addr(&self) -> Option<SocketAddr> {
        self.flight.as_ref().map(FlightServer::addr)
    }

    /// Serves until `shutdown`; then runs may finish for a while, and what is left is resumed at the next
    /// start. The HTTP interface answers until then, but takes no new runs.
    ///
    /// # Errors
    /// Where the listener fails.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), SchedulerError> {
        let (close, closed) = watch::channel(false);
        let mut endpoints = JoinSet::new();
        if let Some((listener, _)) = self.http {
            let router = http::router(self.service.clone(), Arc::new(self.workers.clone()));
            let serving = http::serve(listener, router, told(closed.clone()));
            endpoints.spawn(async { serving.await.map_err(SchedulerError::Serve) });
        }
        if let Some(flight) = self.flight {
            let serving = flight.serve(told(closed));
            endpoints.spawn(async { serving.await.map_err(SchedulerError::Flight) });
        }
        let failed = tokio::select! {
            () = shutdown => None,
            Some(ended) = endpoints.join_next() => Some(why(ended)),
        };
        tracing::info!("stopping: no new runs");
        self.service.stop().await;
        close.send_replace(true);
        let ended = async { while endpoints.join_next().await.is_some() {} };
        if tokio::time::timeout(CLOSE_PATIENCE, ended).await.is_err() {
            endpoints.shutdown().await;
        }
        self.workers.shutdown().await;
        failed.map_or(Ok(()), Err)
    }
}

async fn told(mut close: watch::Receiver<bool>) {
    // An error means that the server itself has gone.
    let _ = close.wait_for(|close| *close).await;
}

/// Why an endpoint has ended that was not told to.
fn why(ended: Result<Result<(), SchedulerError>, tokio::task::JoinError>) -> SchedulerError {
    match ended {
        Ok(Err(error)) => error,
        Ok(Ok(())) => SchedulerError::Serve(io::Error::other("it has ended")),
        Err(failed) => SchedulerError::Serve(io::Error::other(failed)),
    }
}

/// Returns the Flight endpoint of a SQL service.
async fn flight(
    settings: SqlSettings,
    flight: FlightSettings,
    environment: Environment,
) -> Result<FlightServer, SchedulerError> {
    let clock = Arc::clone(&environment.clock);
    let sql = SqlService::start(settings, environment).await.map_err(SchedulerError::Sql)?;
    FlightServer::start(flight, sql, clock).await.map_err(SchedulerError::Flight)
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
