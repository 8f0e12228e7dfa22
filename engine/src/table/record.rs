//! The commit record: one JSON object whose existence is the commit.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::TableError;
use super::names;
use super::schema::TableSchema;
use super::staging::StagedFile;

/// The version of checkpoints, and of records that replace one batch.
pub(super) const FORMAT_VERSION: u64 = 1;

/// The version of compactions, whose files belong to several batches. A program that knows only the first
/// would give these files to a batch without a name.
pub(super) const COMPACTION_VERSION: u64 = 2;

/// The version of restatements, which replace parts of several batches, and the newest that is read. A program
/// that knows only compactions would not see that the batches have a new state.
pub(super) const RESTATEMENT_VERSION: u64 = 3;

/// One of the two tables under a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableKind {
    /// The converted rows.
    Main,
    /// The rows that were set aside, each with its reason.
    Quarantine,
}

impl fmt::Display for TableKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Main => "main",
            Self::Quarantine => "quarantine",
        })
    }
}

/// A data file and what is known of its rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// The file and how it was staged.
    pub file: StagedFile,
    /// Its rows.
    pub rows: u64,
    /// The order-free hash of its rows, in hex.
    pub content_hash: String,
    /// The exact source amounts by currency, as decimals.
    #[serde(default)]
    pub source_totals: BTreeMap<String, String>,
    /// The exact converted amounts by currency, as decimals.
    #[serde(default)]
    pub totals: BTreeMap<String, String>,
    /// The batch it belongs to, in a compaction or a restatement; else it is the record's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
}

impl DataFile {
    /// Returns the hive partition that the file lies in, such as `dt=2024-05-01`; empty where there is none.
    pub fn partition(&self) -> &str {
        names::partition_of(&self.file.path)
    }
}

/// A live file that a commit supersedes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedFile {
    /// Its path below the table's folder.
    pub path: String,
    /// The commit that added it.
    pub added_by: u64,
    /// Its rows.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
}

impl RemovedFile {
    /// Returns the hive partition that the file lay in.
    pub fn partition(&self) -> &str {
        names::partition_of(&self.path)
    }
}

/// What a commit does to one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableChange {
    /// The table's columns.
    pub schema: TableSchema,
    /// Files that become live.
    pub add: Vec<DataFile>,
    /// Files that cease to be.
    pub remove: Vec<RemovedFile>,
    /// The order-free hash of the added rows of each partition, in hex; empty in a compaction, which adds no
    /// rows.
    #[serde(default)]
    pub partitions: BTreeMap<String, String>,
}

/// The new state of one of the batches that a restatement replaces parts of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchRecord {
    /// Its name.
    pub batch: String,
    /// The name under which its files were staged.
    pub staging: String,
    /// The digest of everything that determines its result.
    pub input_digest: String,
    /// The account of its state, kept as it was given.
    pub details: serde_json::Value,
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommitRecord {
    /// The version of this form.
    pub version: u64,
    /// The table that this copy of the record lies in.
    pub table: TableKind,
    /// The commit's number, from 1 without gaps.
    pub number: u64,
    /// The run that made it.
    pub run_id: String,
    /// The name under which it staged its files, where that is not the run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staging: Option<String>,
    /// The batch whose files it replaces; empty in a compaction or a restatement, whose files name theirs.
    pub batch: String,
    /// The batches that it brings to a new state; in a restatement only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub batches: Vec<BatchRecord>,
    /// What kind of run made it, such as `normalize`.
    pub kind: String,
    /// When, as an RFC 3339 instant in UTC.
    pub committed_at: String,
    /// The digest of everything that determines the result.
    pub input_digest: String,
    /// The version of the conversion rules.
    pub rules_version: String,
    /// For how long superseded files stay where they are, in seconds.
    #[serde(default)]
    pub retain_superseded_seconds: u64,
    /// Partitions that are complete with this commit, such as `dt=2024-05-01`.
    #[serde(default)]
    pub ready: Vec<String>,
    /// What happens to the converted rows.
    pub main: TableChange,
    /// What happens to the rows set aside.
    pub quarantine: TableChange,
    /// The run's own account, kept as it was given.
    #[serde(default)]
    pub details: serde_json::Value,
}

impl CommitRecord {
    /// Returns what the commit does to one of the tables.
    pub fn change(&self, table: TableKind) -> &TableChange {
        match table {
            TableKind::Main => &self.main,
            TableKind::Quarantine => &self.quarantine,
        }
    }

    /// Returns the batches that the commit brings to a new state, each with its inputs' digest and its account;
    /// none for a compaction.
    pub fn replaced_batches(&self) -> impl Iterator<Item = (&str, &str, &serde_json::Value)> {
        let own = (!self.batch.is_empty()).then_some((
            self.batch.as_str(),
            self.input_digest.as_str(),
            &self.details,
        ));
        let restated = self.batches.iter();
        let restated = restated.map(|one| (one.batch.as_str(), one.input_digest.as_str(), &one.details));
        own.into_iter().chain(restated)
    }

    /// Returns the names under which the run staged its files.
    pub fn stagings(&self) -> Vec<&str> {
        if self.batches.is_empty() {
            return vec![self.staging.as_deref().unwrap_or(&self.run_id)];
        }
        self.batches.iter().map(|batch| batch.staging.as_str()).collect()
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, TableError> {
        serde_json::to_vec(self)
            .map_err(|source| TableError::Encode { path: names::record(self.number), source })
    }

    pub(super) fn decode(path: &str, bytes: &[u8]) -> Result<Self, TableError> {
        check_version(path, bytes)?;
        serde_json::from_slice(bytes)
            .map_err(|error| TableError::LogDamaged { path: path.to_owned(), detail: error.to_string() })
    }
}

/// Refuses a newer form before its unknown fields can be misread.
pub(super) fn check_version(path: &str, bytes: &[u8]) -> Result<(), TableError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u64,
    }
    let Versioned { version } = serde_json::from_slice(bytes)
        .map_err(|error| TableError::LogDamaged { path: path.to_owned(), detail: error.to_string() })?;
    if version > RESTATEMENT_VERSION {
        return Err(TableError::NewerVersion {
            path: path.to_owned(),
            found: version,
            known: RESTATEMENT_VERSION,
        });
    }
    Ok(())
}
