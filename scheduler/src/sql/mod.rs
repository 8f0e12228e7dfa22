//! The job service and the cluster as SQL sees them, and SQL inside a command.

mod embedded;
mod executors;
mod runs;

pub use embedded::EmbeddedSql;
pub use executors::ClusterExecutors;
pub use runs::ServiceRuns;
