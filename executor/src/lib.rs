//! An executor: Ballista's, with Cambist's stores, codecs, functions and bounds.
//!
//! It knows no job. It joins a scheduler, runs the tasks it is given, and leaves when it is told to.

mod clients;
pub mod config;
pub mod error;
pub mod memory;
mod process;
mod stage;
#[cfg(test)]
mod stage_tests;
mod status;
mod stop_signal;
mod work_dir;

pub use cambist_engine::distributed::PLAN_VERSION;
pub use config::ExecutorConfig;
pub use error::ExecutorError;
pub use process::{ExecutorExit, run};
