//! `PartitionWriter`: writes each task's rows as hive-partitioned Parquet, staged and invisible, and what
//! was quarantined beside them; yields one manifest row per task, from which the driver commits.
//!
//! One child, whose partitioning it keeps. Memory is bounded by a row buffer per task and one row group
//! under construction, whatever the number of rows and partitions.

mod content_hash;
mod exec;
mod manifest;
mod open_file;
mod quarantine_file;
mod table_files;

pub use content_hash::ContentHash;
pub use exec::{PartitionWriter, PartitionWriterSpec, WriterLimits};
pub use manifest::{TaskManifest, WrittenFile, read_manifests};
