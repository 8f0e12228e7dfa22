//! Starting a local cluster, and waiting until it can work.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use cambist_jobs::error::{ErrorKind, JobError, Result};
use cambist_scheduler::ballista::ExecutorStatus;
use cambist_scheduler::client::Client;
use tokio::time::{Instant, sleep, timeout};

use super::folder::{Cluster, ClusterFolder};
use super::process::Process;
use super::stop::stop;
use crate::arguments::ClusterUpArguments;
use crate::job;

/// How often a cluster is looked at that is to become ready.
const LOOK: Duration = Duration::from_millis(50);

/// What one question may take: the answer comes from this machine.
const ANSWER: Duration = Duration::from_secs(2);

/// What the processes of a cluster that did not become ready may take to leave.
const RETREAT: Duration = Duration::from_secs(5);

/// What is to be started.
#[derive(Debug)]
pub(crate) struct ClusterPlan {
    executors: u16,
    cores_each: u16,
    listen: SocketAddr,
    rpc_listen: Option<SocketAddr>,
    ready_timeout: Duration,
    scheduler_flags: Vec<String>,
    executor_flags: Vec<String>,
}

impl From<ClusterUpArguments> for ClusterPlan {
    fn from(arguments: ClusterUpArguments) -> Self {
        Self {
            executors: arguments.executors,
            cores_each: arguments.cores_each,
            listen: arguments.listen,
            rpc_listen: arguments.rpc_listen,
            ready_timeout: Duration::from_secs(arguments.ready_timeout),
            scheduler_flags: arguments.scheduler_flag,
            executor_flags: arguments.executor_flag,
        }
    }
}

/// Starts a cluster in `folder` and returns once all its executors have joined.
///
/// # Errors
/// Where it is not ready in time or a process ends; what was started is stopped again then.
pub(crate) async fn start(folder: &ClusterFolder, plan: &ClusterPlan) -> Result<Cluster> {
    let listen = free_port(plan.listen)?;
    let deadline = Instant::now() + plan.ready_timeout;
    let (scheduler, child) = launch(folder.path(), "scheduler", &scheduler_arguments(folder, plan, listen))?;
    let url = format!("http://{}", reachable(listen));
    let mut cluster = Cluster { url, scheduler, executors: Vec::new() };
    let mut children = vec![child];
    let ready = bring_up(folder, plan, &mut cluster, &mut children, deadline).await;
    let Err(failed) = ready else { return Ok(cluster) };
    stop(folder, &cluster, RETREAT).await?;
    Err(failed)
}

async fn bring_up(
    folder: &ClusterFolder,
    plan: &ClusterPlan,
    cluster: &mut Cluster,
    children: &mut Vec<Child>,
    deadline: Instant,
) -> Result<()> {
    // Written before anything is waited for: `cluster down` finds what was started even if this command dies.
    folder.write(cluster)?;
    let client = job::connect(&cluster.url)?.with_patience(Duration::ZERO);
    wait_for(&client, 0, cluster, children, deadline).await?;
    for number in 1..=plan.executors {
        let name = format!("executor-{number}");
        let (executor, child) =
            launch(folder.path(), &name, &executor_arguments(folder, plan, cluster, &name))?;
        cluster.executors.push(executor);
        children.push(child);
        folder.write(cluster)?;
    }
    wait_for(&client, usize::from(plan.executors), cluster, children, deadline).await
}

/// Waits until the scheduler answers and knows `executors` executors.
async fn wait_for(
    client: &Client,
    executors: usize,
    cluster: &Cluster,
    children: &mut [Child],
    deadline: Instant,
) -> Result<()> {
    loop {
        for (process, child) in cluster.processes().zip(children.iter_mut()) {
            // A scheduler of another cluster may answer in place of one that could not bind its port.
            if let Ok(Some(status)) = child.try_wait() {
                return Err(not_ready(&format!("a process ended: {status}"), process));
            }
        }
        let joined = match timeout(ANSWER, client.executors()).await {
            Ok(Ok(found)) => {
                Some(found.iter().filter(|executor| executor.status == ExecutorStatus::Active).count())
            }
            _ => None,
        };
        if joined.is_some_and(|joined| joined >= executors) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(match joined {
                None => not_ready("the scheduler does not answer in time", &cluster.scheduler),
                Some(joined) => {
                    let last = cluster.executors.last().unwrap_or(&cluster.scheduler);
                    not_ready(&format!("{joined} of {executors} executors joined in time"), last)
                }
            });
        }
        sleep(LOOK).await;
    }
}

fn not_ready(found: &str, process: &Process) -> JobError {
    let message = format!("the cluster did not become ready, and was stopped: {found}");
    let log = format!("the end of `{}`:\n{}", process.log.display(), process.log_tail());
    JobError::new(ErrorKind::Infrastructure, message).with_hint(log)
}

fn launch(folder: &Path, name: &str, arguments: &[String]) -> Result<(Process, Child)> {
    Process::start(arguments, &folder.join(format!("{name}.log"))).map_err(|error| {
        JobError::new(ErrorKind::Infrastructure, format!("the {name} cannot be started")).caused_by(error)
    })
}

fn scheduler_arguments(folder: &ClusterFolder, plan: &ClusterPlan, listen: SocketAddr) -> Vec<String> {
    let rpc_listen = plan.rpc_listen.unwrap_or_else(|| SocketAddr::new(listen.ip(), 0));
    let mut arguments = vec![
        "scheduler".to_owned(),
        "--detached".to_owned(),
        format!("--listen={listen}"),
        format!("--rpc-listen={rpc_listen}"),
        format!("--state-url={}", folder.path().join("state").display()),
    ];
    arguments.extend(plan.scheduler_flags.iter().cloned());
    arguments
}

fn executor_arguments(
    folder: &ClusterFolder,
    plan: &ClusterPlan,
    cluster: &Cluster,
    name: &str,
) -> Vec<String> {
    let mut arguments = vec![
        "executor".to_owned(),
        "--detached".to_owned(),
        format!("--scheduler={}", cluster.url),
        format!("--host={}", reachable(plan.listen).ip()),
        format!("--cores={}", plan.cores_each),
        format!("--memory-share-of={}", plan.executors),
        format!("--work-dir={}", folder.path().join(name).display()),
    ];
    arguments.extend(plan.executor_flags.iter().cloned());
    arguments
}

/// An address that a client on this machine can connect to.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Replaces port 0 by a free one: the executors must be told where the scheduler will be.
fn free_port(address: SocketAddr) -> Result<SocketAddr> {
    if address.port() != 0 {
        return Ok(address);
    }
    TcpListener::bind(address)
        .and_then(|listener| listener.local_addr())
        .map_err(|error| JobError::usage(format!("nothing can listen on `{address}`")).caused_by(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unspecified_address_is_reached_through_loopback() {
        assert_eq!(reachable("0.0.0.0:8090".parse().unwrap()).to_string(), "127.0.0.1:8090");
        assert_eq!(reachable("[::]:8090".parse().unwrap()).to_string(), "[::1]:8090");
        assert_eq!(reachable("10.0.0.1:8090".parse().unwrap()).to_string(), "10.0.0.1:8090");
    }

    #[test]
    fn port_zero_becomes_a_free_one() {
        assert_ne!(free_port("127.0.0.1:0".parse().unwrap()).unwrap().port(), 0);
        assert_eq!(free_port("127.0.0.1:8090".parse().unwrap()).unwrap().port(), 8090);
    }
}
