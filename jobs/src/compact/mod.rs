//! `compact`: a table that grew small-grained gets fewer and larger files, with the same rows.
//!
//! **Inputs and output** are the live files of one table's main folder; its quarantine is left alone.
//! Files are merged within a partition and a batch, never across batches: a later run of a batch must find
//! exactly its own files to replace. **Idempotence**: a second run finds nothing to do. **Failure policy**:
//! rows, content hashes and totals of every partition must come out as they went in, or nothing is
//! committed; a run that replaces a batch meanwhile wins, and that batch is left out. **Memory** is that of the
//! partition writer, whatever the table's size.

mod options;
mod plan;
mod prepared;
mod report;
mod run;

pub use options::{CompactConfig, CompactOutputSpec, CompactSpec, describe};
pub(crate) use prepared::Prepared;
pub use report::{CompactReport, CompactStatus};
pub use run::compact;
