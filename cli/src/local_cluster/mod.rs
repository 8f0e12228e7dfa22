//! A cluster of processes on this machine, for trying out: what `cambist cluster` starts and stops.
//!
//! All it knows lies in one folder, so that any later command finds it: `cluster.json` with the processes,
//! one log per process, the scheduler's state and the executors' scratch space.
//! Neither Ctrl-C nor the end of the terminal stops the processes.

mod folder;
mod process;
mod start;
mod stop;

pub(crate) use self::folder::ClusterFolder;
pub(crate) use self::process::Process;
pub(crate) use self::start::{ClusterPlan, start};
pub(crate) use self::stop::stop;
