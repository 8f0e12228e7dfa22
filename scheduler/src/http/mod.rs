//! The HTTP interface of the scheduler.

mod types;

pub use types::*;
