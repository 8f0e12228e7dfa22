//! The registered jobs: what they are called, what options they take, and how they run.
//!
//! A job is options → plan → run → report. Building a plan reads schemas and rates but writes nothing;
//! only the run writes, through the table commit.

mod commit;
pub mod compact;
pub mod context;
mod digest;
pub mod error;
pub mod explain;
mod input;
pub mod maintenance;
pub mod normalize;
pub mod options;
pub mod query;
pub mod rates;
pub mod ready;
pub mod registry;
pub mod restate;
pub mod sql_file;
mod staged;
pub mod table_reader;
pub mod verify;

pub use cambist_engine::execution::{Execution, InProcess};
pub use cambist_engine::fault::POINTS as FAULT_POINTS;
pub use cambist_engine::progress::{ProgressCounts, RunProgress};
pub use cambist_engine::store::Stores;
