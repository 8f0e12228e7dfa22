//! Merging: many small files of a partition become few, with the same rows.
//!
//! A merge is a map-only plan like any other: a task scans whole Parquet files of some partitions and writes
//! them through [`PartitionWriter`](crate::partition_writer::PartitionWriter). What comes out is compared with
//! what went in, to the last digit, before anybody commits it.

mod check;
mod pass;
mod scan;
mod staged;
mod tasks;

pub use check::{Mismatch, Owned, check, figures_of_live, figures_of_written};
pub use pass::{MergeError, MergePass};
pub use scan::{merge_columns, scan};
pub use staged::{StagedLayout, staged_layout};
pub use tasks::{MergeFile, MergeSet, MergeTask, plan_tasks};

#[cfg(test)]
mod tests;
