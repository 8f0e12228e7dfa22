//! What is done with a ledger of rates besides converting with it: looking at it, comparing, approving, entering,
//! exporting.

mod limits;

pub use cambist_engine::rates::ledger::{GateMode, WriterOptions};
pub use limits::parse_limits;

pub use crate::input::{of_files, of_ledger, of_store};
