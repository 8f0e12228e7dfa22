//! The job service: runs as durable records, a queue, and one driver per run.
//!
//! A run survives its scheduler: every step is an object that is created before the step is taken, and a
//! scheduler that starts takes up what has not ended. Whoever fails to create the next record of a run has been
//! replaced by another driver and stops; the records thus decide, not who is believed to be alive.

mod drive;
mod error;
mod follow;
mod ids;
mod job_service;
mod metrics;
mod observe;
mod queue;
mod record;
mod records;
mod recover;
mod run;
mod settings;
#[cfg(test)]
pub(crate) mod tests;
mod view;

pub use error::ServiceError;
pub use job_service::{Clock, JobService, Prepare, Submitted};
pub use metrics::ServiceMetrics;
pub use queue::{ListedRuns, RunFilter};
pub use settings::ServiceSettings;
pub use view::{RunState, RunView};
