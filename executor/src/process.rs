//! The life of an executor: it looks for its scheduler for as long as it takes, works, and leaves in order.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::ids::new_instance_id;
use ballista_core::utils::GrpcServerConfig;
use ballista_core::{RuntimeProducer, error::BallistaError};
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_executor::health::ExecutorHealth;
use ballista_executor::metrics::ExecutorMetricCollectionPolicy;
use cambist_engine::distributed::ClusterParts;
use cambist_engine::executor_id::{executor_id, is_version_mismatch};
use cambist_engine::session::MESSAGE_BYTES_MAX;
use datafusion::prelude::SessionConfig;
use tokio::net::TcpListener;
use tonic::Code;

use crate::config::ExecutorConfig;
use crate::error::ExecutorError;
use crate::stage::StageEngine;
use crate::status::{self, Spills, Status};
use crate::stop_signal::StopSignal;
use crate::work_dir::WorkDir;

/// Pauses between tries to join a scheduler: doubled from the first to the last.
const JOIN_PAUSE_MIN: Duration = Duration::from_millis(200);
const JOIN_PAUSE_MAX: Duration = Duration::from_secs(10);

/// A server that registers many executors at once may be slow to answer.
const REQUEST_TIMEOUT_SECONDS: u64 = 60;

/// Results that nobody has fetched are looked for this often.
const CLEAN_UP_SECONDS: u64 = 60;

/// Sessions whose stores and temporary folder are kept.
const SESSIONS_MAX: usize = 16;

/// Why an executor has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutorExit {
    /// It was told to by a signal.
    Stopped,
    /// It lost its scheduler or was told by it to start anew; a new process, which has nothing left of the
    /// old one's tasks, should take its place.
    Restart,
}

/// Runs an executor until SIGTERM or SIGINT, or until it should be started anew.
///
/// On a signal it hands back what it has not begun, and finishes the rest for at most `drain_timeout`.
///
/// # Errors
/// [`ExecutorError`]; not where the scheduler does not answer, which is tried for ever.
pub async fn run(config: ExecutorConfig) -> Result<ExecutorExit, ExecutorError> {
    log_panics();
    let instance = new_instance_id();
    let work_dir = WorkDir::create(&config.work_dir, &instance)?;
    let parts = ClusterParts::new(config.stores.clone());
    let status = Status {
        health: ExecutorHealth::new(),
        parts: parts.clone(),
        spills: Spills::default(),
        vcores: config.vcores,
        memory_bytes: config.memory_bytes,
    };
    let pages = listen_for_pages(config.http_listen, status.clone()).await?;
    let mut stop = StopSignal::listen()?;
    let exit = tokio::select! {
        exit = work(&config, &instance, &work_dir, &status) => exit?,
        () = stop.overdue(&status.health, config.drain_timeout) => {
            tracing::warn!("leaving without the tasks that still run");
            ExecutorExit::Stopped
        }
        ended = pages => {
            tracing::error!(?ended, "the status pages have ended");
            ExecutorExit::Restart
        }
    };
    Ok(if stop.was_heard().await { ExecutorExit::Stopped } else { exit })
}

/// Joins the scheduler again and again until it is joined, then works until told to leave.
async fn work(
    config: &ExecutorConfig,
    instance: &str,
    work_dir: &WorkDir,
    status: &Status,
) -> Result<ExecutorExit, ExecutorError> {
    let mut pause = JOIN_PAUSE_MIN;
    loop {
        let ballista = ballista_config(config, instance, work_dir, status)?;
        match start_executor_process(Arc::new(ballista)).await {
            Ok(()) => return Ok(ExecutorExit::Restart),
            Err(error) => check_refusal(&error)?,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(JOIN_PAUSE_MAX);
    }
}

/// A scheduler of another version will not become one of this version; all else may pass.
fn check_refusal(error: &BallistaError) -> Result<(), ExecutorError> {
    let protocol_differs = match error {
        BallistaError::GrpcError(status) => status.code() == Code::FailedPrecondition,
        _ => false,
    };
    let message = error.to_string();
    if protocol_differs || is_version_mismatch(&message) {
        return Err(ExecutorError::Refused { message });
    }
    tracing::warn!(error = message, "the scheduler is not joined yet");
    Ok(())
}

fn ballista_config(
    config: &ExecutorConfig,
    instance: &str,
    work_dir: &WorkDir,
    status: &Status,
) -> Result<ExecutorProcessConfig, ExecutorError> {
    let parts = &status.parts;
    let session = |source| ExecutorError::Session { source: Box::new(source) };
    let message_bytes = u32::try_from(MESSAGE_BYTES_MAX).unwrap_or(u32::MAX);
    let work_dir = work_dir.path();
    Ok(ExecutorProcessConfig {
        executor_id: executor_id(instance),
        bind_host: config.bind.to_string(),
        external_host: Some(config.advertised_host.clone()),
        port: free_port(config.bind, config.port)?,
        grpc_port: free_port(config.bind, config.rpc_port)?,
        scheduler_host: config.scheduler_host.clone(),
        scheduler_port: config.scheduler_port,
        vcores: config.vcores,
        task_scheduling_policy: TaskSchedulingPolicy::PushStaged,
        work_dir: Some(work_dir.to_string_lossy().into_owned()),
        job_data_ttl_seconds: config.result_ttl.as_secs(),
        job_data_clean_up_interval_seconds: CLEAN_UP_SECONDS,
        grpc_max_decoding_message_size: message_bytes,
        grpc_max_encoding_message_size: message_bytes,
        grpc_server_config: GrpcServerConfig {
            timeout_seconds: REQUEST_TIMEOUT_SECONDS,
            ..GrpcServerConfig::default()
        },
        executor_heartbeat_interval_seconds: config.heartbeat.as_secs().max(1),
        metric_collection_policy: ExecutorMetricCollectionPolicy::ProcessOnly,
        memory_pool_size: Some(config.memory_bytes),
        session_runtime_cache_capacity: SESSIONS_MAX,
        override_execution_engine: Some(Arc::new(StageEngine::new())),
        override_function_registry: Some(parts.function_registry().map_err(session)?),
        override_runtime_producer: Some(runtime_producer(parts, work_dir, status.spills.clone())),
        override_config_producer: Some(parts.config_producer()),
        override_logical_codec: Some(parts.logical_codec()),
        override_physical_codec: Some(parts.physical_codec()),
        health: status.health.clone(),
        ..ExecutorProcessConfig::default()
    })
}

fn runtime_producer(parts: &ClusterParts, work_dir: &Path, spills: Spills) -> RuntimeProducer {
    let produce = parts.runtime_producer(work_dir.to_owned());
    Arc::new(move |config: &SessionConfig| {
        let runtime = produce(config)?;
        spills.watch(&runtime.disk_manager);
        Ok(runtime)
    })
}

/// Ballista tells the scheduler its ports before it listens, so that a free one is chosen here.
fn free_port(bind: IpAddr, port: u16) -> Result<u16, ExecutorError> {
    if port != 0 {
        return Ok(port);
    }
    let address = SocketAddr::new(bind, port);
    std::net::TcpListener::bind(address)
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|source| ExecutorError::Listen { address, source })
}

/// Listens before anything else is started, so that a taken port is told at once.
async fn listen_for_pages(
    address: Option<SocketAddr>,
    status: Status,
) -> Result<impl Future<Output = io::Result<()>>, ExecutorError> {
    let listener = match address {
        Some(address) => {
            let listen = |source| ExecutorError::Listen { address, source };
            let listener = TcpListener::bind(address).await.map_err(listen)?;
            tracing::info!(address = %listener.local_addr().map_err(listen)?, "serving health and metrics");
            Some(listener)
        }
        None => None,
    };
    Ok(async {
        match listener {
            Some(listener) => status::serve(listener, status).await,
            None => std::future::pending().await,
        }
    })
}

/// A panicking task is reported by its writer; where it panicked is only known here.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("of unknown kind");
        tracing::error!(message, place, "panic");
    }));
}
