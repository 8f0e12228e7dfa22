//! The flags of `cambist runs` and `cambist cluster`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ClusterArgument;

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// List the runs, newest first.
    List {
        #[command(flatten)]
        cluster: ClusterArgument,
        /// Only those in this state: submitted, planned, running, committed, published, failed or cancelled.
        #[arg(long)]
        state: Option<String>,
        /// At most so many.
        #[arg(long, value_name = "RUNS", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show one run.
    Show {
        /// The run.
        id: String,
        #[command(flatten)]
        cluster: ClusterArgument,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Follow a run to its end, as if it had been started here.
    Watch {
        /// The run.
        id: String,
        #[command(flatten)]
        cluster: ClusterArgument,
        /// Print the JSON summary only.
        #[arg(long)]
        json: bool,
    },
    /// Cancel a run that is not committed yet, and print it as JSON.
    Cancel {
        /// The run.
        id: String,
        #[command(flatten)]
        cluster: ClusterArgument,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Start a scheduler and executors as processes of their own, and print the cluster's URL as JSON.
    Up(ClusterUpArguments),
    /// Stop what `cluster up` started; what has stopped already is no fault.
    Down(ClusterDownArguments),
    /// Tell which of its processes run and which executors have joined.
    Status(ClusterStatusArguments),
}

/// Where `cluster up` keeps its logs, state and process numbers.
#[derive(Clone, Debug, Args)]
pub(crate) struct ClusterFolderArgument {
    /// The folder of the cluster's logs, state and process numbers [default: cambist/cluster below the
    /// user's folder for state].
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterUpArguments {
    /// How many executors.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) executors: u16,
    /// Tasks that each executor runs at once.
    #[arg(long, value_name = "CORES", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) cores_each: u16,
    /// Where the scheduler takes requests; port 0 takes a free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8090")]
    pub(crate) listen: SocketAddr,
    /// Where the scheduler speaks with executors [default: the host of --listen, and a free port].
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) rpc_listen: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) folder: ClusterFolderArgument,
    /// How long the cluster may take to be ready.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) ready_timeout: u64,
    /// A flag for the scheduler, such as `--scheduler-flag=--runs-at-once=1`; repeat for more.
    #[arg(long, value_name = "FLAG", allow_hyphen_values = true)]
    pub(crate) scheduler_flag: Vec<String>,
    /// A flag for every executor; repeat for more.
    #[arg(long, value_name = "FLAG", allow_hyphen_values = true)]
    pub(crate) executor_flag: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterDownArguments {
    #[command(flatten)]
    pub(crate) folder: ClusterFolderArgument,
    /// How long a process may take to finish its work before it is killed.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub(crate) timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterStatusArguments {
    #[command(flatten)]
    pub(crate) folder: ClusterFolderArgument,
}
