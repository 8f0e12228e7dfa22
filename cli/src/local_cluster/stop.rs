//! Stopping a local cluster.

use std::time::Duration;

use cambist_jobs::error::Result;
use tokio::time::{Instant, sleep};

use super::folder::{Cluster, ClusterFolder};
use super::process::Process;

/// How often a process is looked at that is to go.
const LOOK: Duration = Duration::from_millis(50);

/// What a killed process may take to vanish: the kernel has only to give back its memory.
const DEATH: Duration = Duration::from_secs(10);

/// Stops `cluster`; returns how many of its processes had to be killed.
///
/// The scheduler goes first, while its running jobs still have their executors to finish with.
pub(crate) async fn stop(folder: &ClusterFolder, cluster: &Cluster, patience: Duration) -> Result<usize> {
    let killed = end(&[&cluster.scheduler], patience).await;
    let executors: Vec<&Process> = cluster.executors.iter().collect();
    let killed = killed + end(&executors, patience).await;
    folder.clear()?;
    Ok(killed)
}

/// Asks processes to leave, and kills those that have not after `patience`; returns how many that were.
async fn end(processes: &[&Process], patience: Duration) -> usize {
    processes.iter().for_each(|process| process.terminate());
    wait_for_end(processes, patience).await;
    let left: Vec<&Process> = processes.iter().copied().filter(|process| process.is_alive()).collect();
    left.iter().for_each(|process| process.kill());
    wait_for_end(&left, DEATH).await;
    left.len()
}

async fn wait_for_end(processes: &[&Process], patience: Duration) {
    let deadline = Instant::now() + patience;
    while processes.iter().any(|process| process.is_alive()) && Instant::now() < deadline {
        sleep(LOOK).await;
    }
}
