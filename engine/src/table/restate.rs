//! Restatements: commits that replace some partitions of several batches at once, because the rates that their
//! rows were converted with have been corrected.
//!
//! All or nothing: one record brings every batch to its new state, so that no reader ever sees a table of which
//! a part is corrected. What a batch wrote into other partitions stays as it is.

use std::collections::{BTreeMap, BTreeSet};

use super::commit::{ATTEMPTS_MAX, UNDECIDED_WAIT, check_paths};
use super::error::TableError;
use super::record::{BatchRecord, CommitRecord, DataFile, RESTATEMENT_VERSION, TableChange, TableKind};
use super::state::LiveFile;
use super::{Table, TableState};
use crate::fault;

/// The kind of every restatement's record.
pub const RESTATE_KIND: &str = "restate";

/// What becomes of one batch.
#[derive(Clone, Debug)]
pub struct BatchRestatement {
    /// Its name.
    pub batch: String,
    /// The commit that it stood at when its new files were made: one that has moved on is a conflict.
    pub base: u64,
    /// The name under which its new files were staged.
    pub staging: String,
    /// The digest of everything that determined the new result.
    pub input_digest: String,
    /// Partitions of the main table in which its files are replaced.
    pub partitions: BTreeSet<String>,
    /// Whether its files of the quarantine are replaced.
    pub replaces_quarantine: bool,
    /// The staged files, of both tables.
    pub files: Vec<DataFile>,
    /// The account of its new state, recorded as it is.
    pub details: serde_json::Value,
}

/// What a restatement wants to commit.
#[derive(Clone, Debug)]
pub struct Restatement {
    /// The run.
    pub run_id: String,
    /// When it commits.
    pub committed_at: jiff::Timestamp,
    /// The version of the conversion rules.
    pub rules_version: String,
    /// The batches, each once.
    pub batches: Vec<BatchRestatement>,
    /// The order-free hash of the rows that it adds to each partition of the main table, in hex.
    pub partitions: BTreeMap<String, String>,
    /// The same for the quarantine.
    pub quarantine_partitions: BTreeMap<String, String>,
    /// For how long superseded files stay where they are, in seconds; 0 moves them at once.
    pub retain_superseded_seconds: u64,
    /// The run's own account, recorded as it is.
    pub details: serde_json::Value,
}

impl Table {
    /// Writes the record that commits `restatement` and returns its number; readers see it once it is
    /// published ([`Self::publish`]).
    ///
    /// Where another writer commits first, it is tried again on the next number, unless that writer replaced
    /// one of the batches. A compaction in between does not matter: partitions are replaced, not files.
    ///
    /// # Errors
    /// [`TableError::Conflict`] where a batch has moved on, and its staged files were discarded;
    /// [`TableError::StagedFileMissing`], [`TableError::DuplicatePath`] and [`TableError::Busy`] with nothing
    /// written.
    pub async fn append_restatement(&mut self, restatement: &Restatement) -> Result<u64, TableError> {
        for batch in &restatement.batches {
            self.check_staged(&batch.staging, &batch.files).await?;
        }
        self.probe().await?;
        for _ in 0..ATTEMPTS_MAX {
            let record = match next_record(self.state(), restatement) {
                Err(overtaken @ TableError::Conflict { .. }) => {
                    self.discard_all(restatement).await;
                    return Err(overtaken);
                }
                record => record?,
            };
            fault::point("commit.before_record");
            if self.log.append(&record).await? {
                fault::point("commit.after_record");
                return Ok(record.number);
            }
            if self.log.refresh().await?.is_empty() {
                tokio::time::sleep(UNDECIDED_WAIT).await;
            }
        }
        Err(TableError::Busy { attempts: ATTEMPTS_MAX })
    }

    async fn discard_all(&self, restatement: &Restatement) {
        for batch in &restatement.batches {
            if let Err(error) = self.staging(&batch.staging).discard().await {
                tracing::warn!(%error, staging = batch.staging, "staged files are left to gc");
            }
        }
    }
}

/// Makes the record that commits `restatement` right after `state`.
fn next_record(state: &TableState, restatement: &Restatement) -> Result<CommitRecord, TableError> {
    for batch in &restatement.batches {
        check_base(state, batch)?;
    }
    let ready: BTreeSet<&String> = restatement.batches.iter().flat_map(|batch| &batch.partitions).collect();
    let record = |batch: &BatchRestatement| BatchRecord {
        batch: batch.batch.clone(),
        staging: batch.staging.clone(),
        input_digest: batch.input_digest.clone(),
        details: batch.details.clone(),
    };
    Ok(CommitRecord {
        version: RESTATEMENT_VERSION,
        table: TableKind::Main,
        number: state.last_commit() + 1,
        run_id: restatement.run_id.clone(),
        staging: None,
        batch: String::new(),
        batches: restatement.batches.iter().map(record).collect(),
        kind: RESTATE_KIND.to_owned(),
        committed_at: restatement.committed_at.to_string(),
        input_digest: String::new(),
        rules_version: restatement.rules_version.clone(),
        retain_superseded_seconds: restatement.retain_superseded_seconds,
        // What was complete is complete again, and sensors learn of it.
        ready: ready.into_iter().filter(|partition| state.ready(partition).is_some()).cloned().collect(),
        main: change(state, TableKind::Main, restatement, &restatement.partitions)?,
        quarantine: change(state, TableKind::Quarantine, restatement, &restatement.quarantine_partitions)?,
        details: restatement.details.clone(),
    })
}

fn check_base(state: &TableState, batch: &BatchRestatement) -> Result<(), TableError> {
    let (number, run_id) = match state.batch(&batch.batch) {
        Some(current) if current.number == batch.base => return Ok(()),
        Some(current) => (current.number, current.run_id.clone()),
        None => (0, String::new()),
    };
    Err(TableError::Conflict { batch: batch.batch.clone(), number, run_id })
}

fn change(
    state: &TableState,
    table: TableKind,
    restatement: &Restatement,
    partitions: &BTreeMap<String, String>,
) -> Result<TableChange, TableError> {
    let replaced = |file: &&LiveFile| {
        restatement.batches.iter().any(|batch| {
            let is_meant = match table {
                TableKind::Main => batch.partitions.contains(file.partition()),
                TableKind::Quarantine => batch.replaces_quarantine,
            };
            is_meant && batch.batch == file.batch
        })
    };
    let of_batch = |batch: &BatchRestatement| -> Vec<DataFile> {
        let files = batch.files.iter().filter(|file| file.file.table == table);
        files.map(|file| DataFile { batch: Some(batch.batch.clone()), ..file.clone() }).collect()
    };
    let mut add: Vec<DataFile> = restatement.batches.iter().flat_map(of_batch).collect();
    add.sort_unstable_by(|left, right| left.file.path.cmp(&right.file.path));
    check_paths(state, table, &add)?;
    Ok(TableChange {
        schema: state.schema(table).cloned().unwrap_or_default(),
        add,
        remove: state.files(table).filter(replaced).map(LiveFile::to_removed).collect(),
        partitions: partitions.clone(),
    })
}
