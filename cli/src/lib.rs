//! The `cambist` command as a library: a program of one's own has all its commands, and jobs and SQL functions
//! beside ours.
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     cambist::run(cambist::Extensions::new())
//! }
//! ```
//!
//! Scheduler, executors and clients of one cluster must be the same program: a function travels by its name.

mod arguments;
mod clock;
mod command;
mod duration;
mod environment;
mod extensions;
mod job;
mod local_cluster;
mod output;
mod progress;
mod start;
mod surroundings;

pub use extensions::Extensions;
pub use start::run;
