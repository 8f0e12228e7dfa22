//! `RateJoin`: the broadcast as-of join of rows with the rate book, and the exact conversion.
//!
//! One child, whose partitions and row order it keeps. Each row leaves exactly once: converted, or
//! diverted to the quarantine with one primary reason. The plan carries the reference of the rate book
//! only; each process loads the book once and shares it between its tasks.

mod amount;
mod columns;
mod event_time;
mod exec;
mod quotes;
mod repeats;
mod spec;

pub use event_time::{EventTimeKind, check_time_format};
pub use exec::RateJoin;
pub use spec::{
    EVENT_DATE_COLUMN, KeptColumn, RateJoinSpec, TargetCurrency, output_schema, source_amount_scale,
};
