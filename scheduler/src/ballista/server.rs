//! Ballista's scheduler with our settings, and its gRPC endpoint with an orderly end.

use std::net::SocketAddr;
use std::sync::Arc;

use ballista_core::ConfigProducer;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use ballista_core::utils::{GrpcServerConfig, create_grpc_server};
use ballista_scheduler::SessionBuilder;
use ballista_scheduler::cluster::memory::InMemoryJobState;
use ballista_scheduler::cluster::{BallistaCluster, JobState};
use ballista_scheduler::config::{SchedulerConfig, TaskDistributionPolicy};
use ballista_scheduler::scheduler_process::create_scheduler;
use ballista_scheduler::scheduler_server::SchedulerServer;
use cambist_engine::distributed::ClusterParts;
use cambist_engine::session::MESSAGE_BYTES_MAX;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;

use super::error::ClusterError;
use super::executors::WatchedExecutors;
use super::settings::ClusterSettings;

pub(super) type Server = SchedulerServer<LogicalPlanNode, PhysicalPlanNode>;

/// Finished work stays known for this long; the results of a plan are checked and fetched well within it,
/// and two hundred plans in a row leave nothing behind.
const FINISHED_STATE_SECONDS: u64 = 60;

/// Never by the clock: whoever reads the rows of a plan removes them, however long that takes. What a scheduler
/// that died has left, executors remove themselves.
const FINISHED_DATA_SECONDS: u64 = 0;

pub(super) struct StartedServer {
    pub(super) server: Server,
    pub(super) job_state: Arc<dyn JobState>,
    pub(super) executors: Arc<WatchedExecutors>,
}

pub(super) async fn start(
    settings: &ClusterSettings,
    rpc_addr: SocketAddr,
    parts: &ClusterParts,
) -> Result<StartedServer, ClusterError> {
    let config_producer: ConfigProducer = parts.config_producer();
    let session_builder: SessionBuilder = parts.session_builder();
    let timeout_seconds = settings.executor_timeout.as_secs().max(1);
    let message_bytes = u32::try_from(MESSAGE_BYTES_MAX).unwrap_or(u32::MAX);
    let mut config = SchedulerConfig::default()
        .with_hostname(settings.rpc_external_host.clone())
        .with_port(rpc_addr.port())
        .with_task_distribution(TaskDistributionPolicy::RoundRobin)
        .with_finished_job_data_clean_up_interval_seconds(FINISHED_DATA_SECONDS)
        .with_finished_job_state_clean_up_interval_seconds(FINISHED_STATE_SECONDS)
        .with_grpc_server_max_decoding_message_size(message_bytes)
        .with_grpc_server_max_encoding_message_size(message_bytes)
        .with_grpc_client_max_message_size(message_bytes)
        // Work without executors is ours to keep: it is submitted again when one joins.
        .with_no_executors_grace_period_seconds(timeout_seconds)
        .with_override_session_builder(Arc::clone(&session_builder))
        .with_override_config_producer(Arc::clone(&config_producer));
    config.executor_timeout_seconds = timeout_seconds;
    config.expire_dead_executor_interval_seconds = settings.expire_interval.as_secs().max(1);
    config.override_physical_codec = Some(parts.physical_codec());
    config.override_logical_codec = Some(parts.logical_codec());
    config.task_max_failures = settings.task_attempts_max;

    let executors = Arc::new(WatchedExecutors::new(timeout_seconds));
    let job_state: Arc<dyn JobState> =
        Arc::new(InMemoryJobState::new(config.scheduler_id.clone(), session_builder, config_producer));
    let cluster = BallistaCluster::new(Arc::clone(&executors) as _, Arc::clone(&job_state));
    let server = create_scheduler(cluster, Arc::new(config)).await?;
    Ok(StartedServer { server, job_state, executors })
}

/// Serves executors on `listener` until `stop` turns true.
pub(super) fn serve(
    listener: TcpListener,
    server: Server,
    mut stop: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let service = SchedulerGrpcServer::new(server)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::spawn(async move {
        let stopped = async move {
            // An error means that the cluster itself has gone.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        let served = create_grpc_server(&GrpcServerConfig::default())
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, stopped)
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "the scheduler's gRPC endpoint has ended");
        }
    })
}
