//! Ballista's scheduler inside this process, and plans that run on its executors.
//!
//! Ballista forgets everything when its process ends and recovers only plans of a single stage exactly;
//! what the job service needs beyond that is here: whole resubmission, a watchdog, the restart of executors
//! whose vcores Ballista lost count of.

mod cluster;
mod error;
mod execution;
mod executors;
mod fetch;
mod leak_guard;
mod metrics;
mod outcome;
mod server;
mod settings;
mod submission;
mod turns;

pub use cluster::Cluster;
pub use error::ClusterError;
pub use executors::{ExecutorStatus, ExecutorView};
pub use metrics::ClusterMetrics;
pub use settings::ClusterSettings;

#[cfg(test)]
mod tests;
