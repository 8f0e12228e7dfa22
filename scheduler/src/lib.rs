//! Ballista's scheduler with Cambist's session, and the job service on top of it.

pub mod ballista;
pub mod client;
pub mod http;
mod scheduler;
pub mod service;
pub mod sql;
mod workers;

use cambist_engine::failure::chain;
pub use scheduler::{Scheduler, SchedulerConfig, SchedulerError, SqlEndpoint, run};
pub use workers::WorkerSettings;
