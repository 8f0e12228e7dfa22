//! The flags of `cambist scheduler` and `cambist executor`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, value_parser};

use super::FlightArguments;

#[derive(Debug, Args)]
pub(crate) struct SchedulerArguments {
    /// Where requests are taken: runs, status, metrics. Port 0 takes a free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8090")]
    pub(crate) listen: SocketAddr,
    /// Where executors are spoken with. Port 0 takes a free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8091")]
    pub(crate) rpc_listen: SocketAddr,
    /// The name or address under which executors reach this machine [default: that of --rpc-listen]. Needed
    /// where --rpc-listen is all of its addresses (0.0.0.0).
    #[arg(long, value_name = "HOST")]
    pub(crate) external_host: Option<String>,
    /// The folder of the runs' records, which survive this process: a local path or `s3://` [default:
    /// cambist/scheduler below the user's folder for state].
    #[arg(long, value_name = "URL")]
    pub(crate) state_url: Option<String>,
    /// A folder of jobs that are written in SQL; read at the start.
    #[arg(long, value_name = "DIR")]
    pub(crate) jobs_folder: Option<PathBuf>,
    /// Runs that are worked on at once; more wait for their turn.
    #[arg(long, value_name = "RUNS", default_value_t = 2, value_parser = value_parser!(u16).range(1..=64))]
    pub(crate) runs_at_once: u16,
    /// Runs that may wait; one more is refused.
    #[arg(long, value_name = "RUNS", default_value_t = 1000, value_parser = value_parser!(u32).range(1..=100_000))]
    pub(crate) queue_length: u32,
    /// An executor that was silent for so long is given up: its tasks go to others.
    #[arg(long, value_name = "SECONDS", default_value_t = 45, value_parser = value_parser!(u64).range(2..=3600))]
    pub(crate) executor_timeout: u64,
    /// For how long a run waits for a first executor before it fails.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = value_parser!(u64).range(1..=86_400))]
    pub(crate) executor_wait: u64,
    /// Work of which nothing moves for so long is cancelled and submitted again.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = value_parser!(u64).range(5..=86_400))]
    pub(crate) stall_timeout: u64,
    /// How often the work of a run is submitted again when executors die or nothing moves; then the run fails.
    #[arg(long, value_name = "TIMES", default_value_t = 6, value_parser = value_parser!(u32).range(0..=100))]
    pub(crate) resubmissions: u32,
    /// How long running runs may take to finish when this process is told to stop; what is left is taken up
    /// at the next start.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = value_parser!(u64).range(0..=86_400))]
    pub(crate) stop_grace: u64,
    /// Serve SQL here too, over Arrow Flight SQL [default: nowhere]. Port 0 takes a free one.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) flight_listen: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) flight: FlightArguments,
    /// Go on when the terminal is closed.
    #[arg(long, hide = true)]
    pub(crate) detached: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExecutorArguments {
    /// The scheduler, such as `http://10.0.0.1:8090`; tried until it answers.
    #[arg(long, value_name = "URL")]
    pub(crate) scheduler: String,
    /// The address to listen on [default: the one that looks towards the scheduler].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) bind: Option<IpAddr>,
    /// The name or address under which the scheduler and other executors reach this machine [default: that
    /// from which it reaches the scheduler].
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Where results are fetched from. Port 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) port: u16,
    /// Where the scheduler gives out tasks. Port 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) rpc_port: u16,
    /// Where health and metrics are served. Port 0 takes a free one, which the log tells [default: nowhere].
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) http_listen: Option<SocketAddr>,
    /// Tasks to run at once [default: the machine's cores].
    #[arg(long, value_name = "CORES", value_parser = value_parser!(u16).range(1..=1024))]
    pub(crate) cores: Option<u16>,
    /// What all tasks together may take for their rows, in MiB [default: a share of the memory of the cgroup or
    /// the machine].
    #[arg(long, value_name = "MIB", value_parser = value_parser!(u64).range(64..))]
    pub(crate) memory_mib: Option<u64>,
    /// So many executors share this machine: each takes its part of the default memory.
    #[arg(long, value_name = "EXECUTORS", default_value_t = 1, value_parser = value_parser!(u16).range(1..=1024))]
    pub(crate) memory_share_of: u16,
    /// The folder for scratch files [default: one of its own in the system's temporary folder].
    #[arg(long, value_name = "DIR")]
    pub(crate) work_dir: Option<PathBuf>,
    /// How often it tells the scheduler that it lives; well below the scheduler's --executor-timeout.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = value_parser!(u64).range(1..=600))]
    pub(crate) heartbeat: u64,
    /// How long running tasks may take to finish when this process is told to stop.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = value_parser!(u64).range(0..=86_400))]
    pub(crate) drain_timeout: u64,
    /// Go on when the terminal is closed.
    #[arg(long, hide = true)]
    pub(crate) detached: bool,
}
