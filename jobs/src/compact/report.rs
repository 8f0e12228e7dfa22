//! What a compaction says of itself.

use serde::{Deserialize, Serialize};

/// How a compaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompactStatus {
    /// Its files are the table's.
    Committed,
    /// No partition has small files that could become fewer; nothing was written.
    NothingToDo,
    /// Other runs had replaced all of its batches meanwhile; nothing was written.
    Overtaken,
}

/// The summary of a compaction.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CompactReport {
    /// The run.
    pub run_id: String,
    /// How it ended.
    pub status: CompactStatus,
    /// The commit's number; 0 where there is none.
    pub commit: u64,
    /// Partitions with merged files.
    pub partitions: u64,
    /// Batches with merged files.
    pub batches: u64,
    /// Files that were merged.
    pub files_before: u64,
    /// What they became.
    pub files_after: u64,
    /// Bytes of the files that were merged.
    pub bytes_before: u64,
    /// Bytes of what they became.
    pub bytes_after: u64,
    /// Their rows.
    pub rows: u64,
    /// Batches within partitions that were left out, because another run had replaced them meanwhile; they
    /// are counted above all the same.
    pub overtaken: u64,
    /// Wall-clock seconds, milliseconds kept.
    pub seconds: f64,
}
