//! What a query reads and how its stages end: raw files and tables of ours as tables of its SQL, and the
//! operators that stand at its edges.
//!
//! A query may have any number of stages. Nothing in it writes, so all of it can be run again.

mod live_table;
#[cfg(test)]
mod live_tests;
mod rates_table;
#[cfg(test)]
mod rates_tests;
mod raw_schemas;
mod raw_table;
mod record_screen;
mod settled;
mod single_task_join;
mod stage_end;
#[cfg(test)]
mod tests;
mod yielding_join;

pub use live_table::{LiveTable, live_columns};
pub use rates_table::{RatesTable, RatesTravel};
pub use raw_schemas::RawSchemas;
pub use raw_table::RawTable;
pub use record_screen::{Broken, FirstBroken, RecordScreen, Screening};
pub use single_task_join::join_unmatched_once;
pub use stage_end::{StageEnd, end_stages};
