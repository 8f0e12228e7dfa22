//! Ballista's scheduler with Cambist's session, and the job service on top of it.

pub mod ballista;
pub mod client;
mod error_chain;
pub mod http;
mod scheduler;
pub mod service;

use error_chain::chain;
pub use scheduler::{Scheduler, SchedulerConfig, SchedulerError, run};
