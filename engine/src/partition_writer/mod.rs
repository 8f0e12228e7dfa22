//! `PartitionWriter`: writes each task's rows as hive-partitioned Parquet, staged and invisible, and what
//! was quarantined beside them; yields one manifest row per task, from which the driver commits.
//!
//! A task is known by what it reads. Where a run may give a task to several machines it leaves its manifest
//! beside the staged files, created once: whoever finds one there takes it over instead of working, so that
//! a task counts once however often, late or twice it ran.
//!
//! One child, whose partitioning it keeps. Memory is bounded by a row buffer per task, which asks the memory pool
//! and is written earlier where that refuses, and one row group under construction, whatever the number of
//! rows and partitions.

mod attempt;
mod content_hash;
mod exec;
mod figures;
mod file_names;
mod manifest;
mod open_file;
mod quarantine_file;
mod row_memory;
mod table_files;
mod tally;
#[cfg(test)]
mod tests;
mod totals;

pub use content_hash::ContentHash;
pub use exec::{BYTES_IN, PartitionWriter, PartitionWriterSpec, RECORDS_IN, WriterLimits};
pub use figures::{BySource, Figures, SourceFigures, TalliedPartition, merge_by_source};
pub use manifest::{TaskManifest, WrittenFile, read_manifests};
pub use tally::TallySpec;
