//! What a query says of itself.

use serde::{Deserialize, Serialize};

/// How a query ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryStatus {
    /// Its file is there.
    Committed,
    /// A file with the same rows was there; nothing was written.
    AlreadyDone,
}

/// The summary of a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueryReport {
    /// The run.
    pub run_id: String,
    /// How it ended.
    pub status: QueryStatus,
    /// Rows of the result.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// The file.
    pub output: String,
    /// A hash of the rows that does not depend on their order, 32 hex digits.
    pub content_hash: String,
    /// Records of the raw files that were left out because they are broken.
    pub broken_records: u64,
    /// Wall-clock seconds, milliseconds kept.
    pub seconds: f64,
}
