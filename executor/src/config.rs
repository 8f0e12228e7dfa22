//! What an executor may be told.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use cambist_engine::store::Stores;

/// The settings of [`crate::run`].
#[derive(Clone, Debug)]
pub struct ExecutorConfig {
    /// The host of the scheduler's gRPC endpoint.
    pub scheduler_host: String,
    /// Its port.
    pub scheduler_port: u16,
    /// The address to listen on.
    pub bind: IpAddr,
    /// The name or address under which the scheduler reaches this machine.
    pub advertised_host: String,
    /// Where results are fetched from; 0 takes a free port.
    pub port: u16,
    /// Where the scheduler gives out tasks; 0 takes a free port.
    pub rpc_port: u16,
    /// Where health and metrics are served, if anywhere.
    pub http_listen: Option<SocketAddr>,
    /// Tasks at once.
    pub vcores: usize,
    /// What the rows of all tasks together may take, in bytes; each task has an equal part of it. See
    /// [`crate::memory::default_bytes`].
    pub memory_bytes: u64,
    /// The folder in which this process makes one of its own for scratch files, removed when it leaves.
    pub work_dir: PathBuf,
    /// How often it tells the scheduler that it lives.
    pub heartbeat: Duration,
    /// How long running tasks may take to finish when the process is told to stop.
    pub drain_timeout: Duration,
    /// Results that were written this long ago are deleted, read or not: longer than a reader may take. The
    /// scheduler removes them before; these are those of one that died.
    pub result_ttl: Duration,
    /// The stores of this process.
    pub stores: Stores,
}

impl ExecutorConfig {
    /// Makes the settings of an executor on this machine, for the scheduler at the given address.
    pub fn new(scheduler_host: impl Into<String>, scheduler_port: u16) -> Self {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        Self {
            scheduler_host: scheduler_host.into(),
            scheduler_port,
            bind: loopback,
            advertised_host: loopback.to_string(),
            port: 0,
            rpc_port: 0,
            http_listen: None,
            vcores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: crate::memory::default_bytes(1),
            work_dir: std::env::temp_dir().join("cambist"),
            heartbeat: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(60),
            result_ttl: Duration::from_secs(24 * 3600),
            stores: Stores::new(),
        }
    }
}
