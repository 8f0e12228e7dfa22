//! The folded log: what is live after a commit. A pure function of the records up to it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::TableError;
use super::names;
use super::record::{CommitRecord, DataFile, RemovedFile, TableChange, TableKind};
use super::schema::TableSchema;

/// A file that readers see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveFile {
    /// Its path below the table's folder.
    pub path: String,
    /// Its rows.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// The order-free hash of its rows, in hex.
    pub content_hash: String,
    /// The exact source amounts by currency, as decimals.
    pub source_totals: BTreeMap<String, String>,
    /// The exact converted amounts by currency, as decimals.
    pub totals: BTreeMap<String, String>,
    /// The batch it belongs to.
    pub batch: String,
    /// The commit that added it.
    pub commit: u64,
}

impl LiveFile {
    /// Returns the hive partition that the file lies in, such as `dt=2024-05-01`; empty where there is none.
    pub fn partition(&self) -> &str {
        names::partition_of(&self.path)
    }
}

/// The latest commit of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchState {
    /// Its number.
    pub number: u64,
    /// The run that made it.
    pub run_id: String,
    /// When, as an RFC 3339 instant in UTC.
    pub committed_at: String,
    /// The digest of everything that determined the result.
    pub input_digest: String,
    /// The version of the conversion rules.
    pub rules_version: String,
    /// The run's own account.
    pub details: serde_json::Value,
}

/// The latest commit that declared a partition complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyState {
    /// Its number.
    pub number: u64,
    /// The run that made it.
    pub run_id: String,
}

/// One of the two tables after a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct TableFold {
    schema: TableSchema,
    files: BTreeMap<String, LiveFile>,
}

/// A table after a commit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableState {
    last_commit: u64,
    main: TableFold,
    quarantine: TableFold,
    batches: BTreeMap<String, BatchState>,
    ready: BTreeMap<String, ReadyState>,
}

impl TableState {
    /// Returns the newest commit's number; 0 before the first.
    pub fn last_commit(&self) -> u64 {
        self.last_commit
    }

    /// Returns the columns of one of the tables, or nothing before the first commit.
    pub fn schema(&self, table: TableKind) -> Option<&TableSchema> {
        (self.last_commit > 0).then(|| &self.fold(table).schema)
    }

    /// Checks that a run's columns are those that one of the tables already has, if it has any.
    ///
    /// # Errors
    /// [`TableError::SchemaMismatch`] that names the first difference.
    pub fn check_schema(&self, table: TableKind, found: &TableSchema) -> Result<(), TableError> {
        self.schema(table).map_or(Ok(()), |schema| schema.check(table, found))
    }

    /// Returns the live files of one of the tables, sorted by path.
    pub fn files(&self, table: TableKind) -> impl Iterator<Item = &LiveFile> {
        self.fold(table).files.values()
    }

    /// Returns the live files of a partition, sorted by path.
    pub fn partition_files<'a>(
        &'a self,
        table: TableKind,
        partition: &'a str,
    ) -> impl Iterator<Item = &'a LiveFile> {
        let from = if partition.is_empty() { String::new() } else { format!("{partition}/") };
        let range = self.fold(table).files.range(from.clone()..);
        let in_partition = range.take_while(move |(path, _)| path.starts_with(&from)).map(|(_, file)| file);
        in_partition.filter(move |file| file.partition() == partition)
    }

    /// Returns a live file.
    pub fn file(&self, table: TableKind, path: &str) -> Option<&LiveFile> {
        self.fold(table).files.get(path)
    }

    /// Tells whether a file is live.
    pub fn is_live(&self, table: TableKind, path: &str) -> bool {
        self.fold(table).files.contains_key(path)
    }

    /// Returns the latest commit of a batch.
    pub fn batch(&self, batch: &str) -> Option<&BatchState> {
        self.batches.get(batch)
    }

    /// Returns all batches by name, each with its latest commit.
    pub fn batches(&self) -> impl Iterator<Item = (&str, &BatchState)> {
        self.batches.iter().map(|(name, batch)| (name.as_str(), batch))
    }

    /// Returns the latest commit that declared `partition` complete.
    pub fn ready(&self, partition: &str) -> Option<&ReadyState> {
        self.ready.get(partition)
    }

    /// Returns what a commit of `batch` supersedes in one of the tables: all of the batch's live files.
    pub(super) fn superseded_by(&self, table: TableKind, batch: &str) -> Vec<RemovedFile> {
        let files = self.files(table).filter(|file| file.batch == batch);
        files.map(LiveFile::to_removed).collect()
    }

    /// Folds the next record in.
    pub(super) fn apply(&mut self, record: &CommitRecord) -> Result<(), TableError> {
        let damaged = |detail: String| TableError::LogDamaged { path: names::record(record.number), detail };
        if record.number != self.last_commit + 1 {
            return Err(damaged(format!(
                "it is number {}, expected {}",
                record.number,
                self.last_commit + 1
            )));
        }
        self.main.apply(record, &record.main).map_err(damaged)?;
        self.quarantine.apply(record, &record.quarantine).map_err(damaged)?;
        self.last_commit = record.number;
        for (batch, input_digest, details) in record.replaced_batches() {
            self.batches.insert(batch.to_owned(), BatchState::of(record, input_digest, details));
        }
        let ready = ReadyState { number: record.number, run_id: record.run_id.clone() };
        self.ready.extend(record.ready.iter().map(|partition| (partition.clone(), ready.clone())));
        Ok(())
    }

    fn fold(&self, table: TableKind) -> &TableFold {
        match table {
            TableKind::Main => &self.main,
            TableKind::Quarantine => &self.quarantine,
        }
    }
}

impl TableFold {
    fn apply(&mut self, record: &CommitRecord, change: &TableChange) -> Result<(), String> {
        self.schema.clone_from(&change.schema);
        for removed in &change.remove {
            if self.files.remove(&removed.path).is_none() {
                return Err(format!("it removes `{}`, which is not live", removed.path));
            }
        }
        for added in &change.add {
            let path = added.file.path.clone();
            if self.files.insert(path, LiveFile::of(record, added)).is_some() {
                return Err(format!("it adds `{}`, which is live already", added.file.path));
            }
        }
        Ok(())
    }
}

impl LiveFile {
    /// The file as a commit names it that supersedes it.
    pub(super) fn to_removed(&self) -> RemovedFile {
        RemovedFile { path: self.path.clone(), added_by: self.commit, rows: self.rows, bytes: self.bytes }
    }

    fn of(record: &CommitRecord, added: &DataFile) -> Self {
        Self {
            path: added.file.path.clone(),
            rows: added.rows,
            bytes: added.file.bytes,
            content_hash: added.content_hash.clone(),
            source_totals: added.source_totals.clone(),
            totals: added.totals.clone(),
            batch: added.batch.as_ref().unwrap_or(&record.batch).clone(),
            commit: record.number,
        }
    }
}

impl BatchState {
    fn of(record: &CommitRecord, input_digest: &str, details: &serde_json::Value) -> Self {
        Self {
            number: record.number,
            run_id: record.run_id.clone(),
            committed_at: record.committed_at.clone(),
            input_digest: input_digest.to_owned(),
            rules_version: record.rules_version.clone(),
            details: details.clone(),
        }
    }
}
