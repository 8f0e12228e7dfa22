//! Where a job runs, and the flags of `cambist run`.

use std::path::PathBuf;

use clap::Args;

use crate::environment;

/// Which cluster is spoken to.
#[derive(Clone, Debug, Args)]
pub(crate) struct ClusterArgument {
    /// The cluster's scheduler, such as `http://10.0.0.1:8090`.
    #[arg(long, value_name = "URL", env = environment::CLUSTER)]
    pub(crate) cluster: Option<String>,
}

/// Where a job runs.
#[derive(Clone, Debug, Args)]
pub(crate) struct PlaceArguments {
    /// Run it on the cluster of this scheduler, such as `http://10.0.0.1:8090`; in this process where none is given.
    #[arg(long, value_name = "URL", env = environment::CLUSTER)]
    pub(crate) cluster: Option<String>,
    /// Submit it to the cluster, print the run as JSON and do not wait.
    #[arg(long)]
    pub(crate) detach: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The job; `cambist jobs` lists them.
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
    /// A TOML file with the job's options. `cambist jobs JOB` lists its keys.
    #[arg(long, value_name = "FILE")]
    pub(crate) spec: Option<PathBuf>,
    /// One option, such as `output.url=out` or `target.currencies=["INR","SGD"]`: JSON where the value is
    /// JSON, else text. Overrides the spec; repeat for more.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) options: Vec<String>,
    /// A folder of jobs that are written in SQL. On a cluster its scheduler must have the same.
    #[arg(long, value_name = "DIR")]
    pub(crate) jobs_folder: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: PlaceArguments,
    /// Print the JSON summary only.
    #[arg(long)]
    pub(crate) json: bool,
}
