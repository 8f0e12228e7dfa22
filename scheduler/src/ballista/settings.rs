//! What a cluster may be told: addresses, patience, bounds.

use std::net::SocketAddr;
use std::time::Duration;

/// The settings of [`super::Cluster`].
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// Where executors reach the scheduler; port 0 takes a free one.
    pub rpc_listen: SocketAddr,
    /// The host that executors are told to call back; it must be reachable from them.
    pub rpc_external_host: String,
    /// An executor that sends no heartbeat for this long is given up. More than three of its heartbeats.
    pub executor_timeout: Duration,
    /// How often lost executors are looked for.
    pub expire_interval: Duration,
    /// How long work waits for an executor before it fails.
    pub executor_wait: Duration,
    /// Work in which nothing moves for this long is cancelled and submitted again.
    pub stall_timeout: Duration,
    /// How often work is submitted again after its first submission.
    pub resubmissions_max: u32,
    /// The first pause before a resubmission; doubled each time, at most 32 times as long.
    pub resubmission_pause: Duration,
    /// How often a task is tried when the store, the network or its executor has a bad moment.
    pub task_attempts_max: usize,
    /// How long the vcores of an executor may be out of balance before it is restarted.
    pub leak_patience: Duration,
    /// The most bytes of result rows that are fetched to the driver.
    pub result_bytes_max: usize,
    /// How long one result partition may take to arrive.
    pub fetch_timeout: Duration,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            rpc_listen: SocketAddr::from(([127, 0, 0, 1], 8091)),
            rpc_external_host: "127.0.0.1".to_owned(),
            executor_timeout: Duration::from_secs(45),
            expire_interval: Duration::from_secs(5),
            executor_wait: Duration::from_secs(300),
            stall_timeout: Duration::from_secs(600),
            // Of executors that vanish together each can cost one; the pauses outlast the executors' timeout.
            resubmissions_max: 6,
            resubmission_pause: Duration::from_secs(1),
            task_attempts_max: 4,
            leak_patience: Duration::from_secs(5),
            result_bytes_max: 512 << 20,
            fetch_timeout: Duration::from_secs(60),
        }
    }
}
