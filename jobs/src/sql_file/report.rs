//! What a run of a job that is written in SQL says of itself, and the account that its commit keeps.

use std::collections::BTreeMap;

use cambist_engine::rate_join::TargetCurrency;
use serde::{Deserialize, Serialize};

use crate::normalize::InputFile;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SqlJobStatus {
    /// Its result is the table's.
    Committed,
    /// An earlier run of the same inputs had committed the same result.
    AlreadyDone,
}

/// The summary of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SqlJobReport {
    /// The run.
    pub run_id: String,
    /// How it ended.
    pub status: SqlJobStatus,
    /// The job.
    pub job: String,
    /// The values of its parameters.
    pub parameters: BTreeMap<String, String>,
    /// The table.
    pub output: String,
    /// What it replaced.
    pub batch: String,
    /// The commit's number.
    pub commit: u64,
    /// Rows written.
    pub rows: u64,
    /// Hive partitions written.
    pub partitions: u64,
    /// Data files written.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The order-free hash of the rows, 32 hex digits.
    pub content_hash: String,
    /// Files of earlier runs of the batch that this commit superseded.
    pub superseded_files: u64,
    /// Wall-clock seconds, milliseconds kept.
    pub seconds: f64,
}

/// The account that a commit keeps of its run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SqlJobDetails {
    /// The job; tells this account from that of `normalize`.
    pub(super) job: String,
    /// The report, as it was printed.
    pub(super) report: SqlJobReport,
    /// The currencies whose totals are kept: none, which columns are amounts is the SELECT's matter.
    pub(super) targets: Vec<TargetCurrency>,
    /// The sha256 of the job's file, hex.
    pub(super) file_sha256: String,
    /// What it read, by table.
    pub(super) inputs: BTreeMap<String, Vec<InputFile>>,
    /// The digest of the snapshots that it was allowed to use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rates_digest: Option<String>,
}
