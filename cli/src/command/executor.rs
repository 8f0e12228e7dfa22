//! `cambist executor`.

use std::net::{IpAddr, UdpSocket};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use cambist_executor::memory::default_bytes;
use cambist_executor::{ExecutorConfig, ExecutorError, ExecutorExit, PLAN_VERSION};
use cambist_jobs::error::{ErrorKind, JobError, Result};
use cambist_scheduler::client::Client;
use cambist_scheduler::http::ClusterInfo;

use super::server;
use crate::arguments::ExecutorArguments;

/// This program's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// An executor waits for its scheduler for as long as it takes; this is one stretch of it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What answers but is no scheduler, such as a proxy without one behind it, is asked again after this.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(arguments: ExecutorArguments) -> Result<ExitCode> {
    if arguments.detached {
        server::ignore_hangups()?;
    }
    let cluster = find_scheduler(&arguments.scheduler).await?;
    check_version(&arguments.scheduler, &cluster)?;
    let exit = cambist_executor::run(config(arguments, cluster)?).await.map_err(failed)?;
    match exit {
        ExecutorExit::Stopped => Ok(ExitCode::SUCCESS),
        ExecutorExit::Restart => Err(start_again()),
    }
}

/// Asks the scheduler what it is until it answers.
async fn find_scheduler(url: &str) -> Result<ClusterInfo> {
    let complain = |reason: &str| tracing::debug!(reason, "the scheduler is not there yet");
    let client = Client::new(url)?.with_patience(PATIENCE).with_on_trouble(Arc::new(complain));
    loop {
        match client.cluster().await {
            Err(error) if error.kind == ErrorKind::Infrastructure => {
                tracing::warn!(url, %error, "no scheduler yet; it is tried until it answers");
                tokio::time::sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
}

fn check_version(url: &str, cluster: &ClusterInfo) -> Result<()> {
    if cluster.version == VERSION && cluster.plan_version == PLAN_VERSION {
        return Ok(());
    }
    Err(JobError::usage(format!(
        "the scheduler at {url} is cambist {} (plans of version {}), and this executor is cambist {VERSION} \
         (plans of version {PLAN_VERSION})",
        cluster.version, cluster.plan_version
    ))
    .with_hint("install the same version on every machine of a cluster"))
}

fn config(arguments: ExecutorArguments, cluster: ClusterInfo) -> Result<ExecutorConfig> {
    let defaults = ExecutorConfig::new(cluster.rpc_host, cluster.rpc_port);
    let scheduler = (defaults.scheduler_host.as_str(), defaults.scheduler_port);
    let own = address_towards(scheduler)?;
    let memory_bytes = memory_bytes(arguments.memory_mib, arguments.memory_share_of);
    Ok(ExecutorConfig {
        bind: arguments.bind.unwrap_or(own),
        advertised_host: arguments.host.unwrap_or_else(|| own.to_string()),
        port: arguments.port,
        rpc_port: arguments.rpc_port,
        http_listen: arguments.http_listen,
        vcores: arguments.cores.map_or(defaults.vcores, usize::from),
        memory_bytes,
        work_dir: arguments.work_dir.unwrap_or_else(|| defaults.work_dir.clone()),
        heartbeat: Duration::from_secs(arguments.heartbeat),
        drain_timeout: Duration::from_secs(arguments.drain_timeout),
        ..defaults
    })
}

/// Returns what rows may take in a process that shares the machine with others, `share_of` of them in all.
pub(super) fn memory_bytes(given_mib: Option<u64>, share_of: u16) -> u64 {
    given_mib.map_or_else(|| default_bytes(share_of), |mebibytes| mebibytes << 20)
}

/// Returns the address from which this machine reaches the scheduler; nothing is sent.
fn address_towards(scheduler: (&str, u16)) -> Result<IpAddr> {
    let ask = |any_address| {
        let socket = UdpSocket::bind(any_address)?;
        socket.connect(scheduler)?;
        socket.local_addr()
    };
    // A socket of one family cannot look towards an address of the other.
    let address = ask("0.0.0.0:0").or_else(|_| ask("[::]:0"));
    address.map(|address| address.ip()).map_err(|error| {
        JobError::usage("this machine has no address that looks towards the scheduler").caused_by(error)
    })
}

fn failed(error: ExecutorError) -> JobError {
    let kind = match error {
        ExecutorError::Refused { .. } | ExecutorError::Listen { .. } | ExecutorError::WorkDir { .. } => {
            ErrorKind::Usage
        }
        _ => ErrorKind::Infrastructure,
    };
    JobError::new(kind, "the executor cannot work").caused_by(error)
}

/// Starts this program anew in the same process: whatever leaked is gone, and a supervisor sees no death.
fn start_again() -> JobError {
    tracing::warn!("starting again, as the scheduler has asked");
    let failed = match std::env::current_exe() {
        Ok(program) => Command::new(program).args(std::env::args_os().skip(1)).exec(),
        Err(error) => error,
    };
    JobError::new(ErrorKind::Infrastructure, "the executor cannot start itself again").caused_by(failed)
}
