//! `restate`: what corrected rates touch in a table is converted again, and what has changed is told.
//!
//! | | |
//! |---|---|
//! | reads | the table's log, the rates as they were known and as they are, the recorded source files of the batches that a correction touches, the old files of the partitions that change |
//! | writes | the partitions that come out otherwise, and the quarantine of their batches; one atomic commit for all batches |
//! | second run | finds nothing to do |
//! | order | as in `normalize` |
//! | memory | that of one run of `normalize` at a time, and two rate books |
//! | failure | a source file that changed, rates that are no longer what a batch was run with, or a row that came out otherwise without a corrected rate: nothing is committed; a run that replaces one of the batches meanwhile wins |

mod batch;
mod delta;
mod materiality;
mod options;
mod prepared;
mod report;
mod run;
mod source;
mod survey;
mod touch;

pub use materiality::Materiality;
pub use options::{KnownSpec, RestateConfig, RestateOutputSpec, RestateRunSpec, RestateSpec, describe};
pub(crate) use prepared::Prepared;
pub use report::{
    BatchDelta, DayDelta, KeyChange, KeyOutcome, PairDelta, RestateReport, RestateStatus, TargetDelta,
};
pub use run::restate;
