//! Compactions: commits that put few large files in the place of many small ones with the same rows.
//!
//! A file stays with its batch, so that a later run of the batch still replaces all that the batch wrote, and
//! the batch's own record (its inputs, its report) is not touched.

use super::commit::{ATTEMPTS_MAX, UNDECIDED_WAIT, check_paths};
use super::error::TableError;
use super::record::{COMPACTION_VERSION, CommitRecord, DataFile, TableChange, TableKind};
use super::{Table, TableState};
use crate::fault;

/// The kind of every compaction's record.
const KIND: &str = "compact";

/// Files of one batch that take the place of others with the same rows.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// The batch that all of them belong to.
    pub batch: String,
    /// Live files, by their path below the table's folder.
    pub remove: Vec<String>,
    /// Staged files with exactly their rows.
    pub add: Vec<DataFile>,
}

/// What a compaction wants to commit.
#[derive(Clone, Debug)]
pub struct Compaction {
    /// The run.
    pub run_id: String,
    /// When it commits.
    pub committed_at: jiff::Timestamp,
    /// The version of the conversion rules, for the record; nothing is converted.
    pub rules_version: String,
    /// What is replaced by what, in the main table; one is committed whole or not at all.
    pub replacements: Vec<Replacement>,
    /// For how long superseded files stay where they are, in seconds; 0 moves them at once.
    pub retain_superseded_seconds: u64,
    /// The run's own account, recorded as it is.
    pub details: serde_json::Value,
}

/// How a compaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompactionOutcome {
    /// It was committed and published.
    Committed {
        /// Its number.
        number: u64,
        /// Replacements that were left out, because another run had replaced their batch meanwhile.
        overtaken: usize,
    },
    /// Other runs had replaced all the batches meanwhile; the staged files were discarded.
    Overtaken,
}

impl Table {
    /// Commits and publishes `compaction`.
    ///
    /// A run that replaces a batch meanwhile wins: what it superseded is left out of the compaction.
    ///
    /// # Errors
    /// [`TableError::StagedFileMissing`], [`TableError::DuplicatePath`], [`TableError::Unbalanced`] and
    /// [`TableError::Busy`] with nothing written; on [`TableError::Unpublished`] the commit stands.
    pub async fn compact(&mut self, compaction: Compaction) -> Result<CompactionOutcome, TableError> {
        let files: Vec<DataFile> =
            compaction.replacements.iter().flat_map(|replacement| replacement.add.clone()).collect();
        self.check_staged(&compaction.run_id, &files).await?;
        self.probe().await?;
        for _ in 0..ATTEMPTS_MAX {
            let Some(record) = next_record(self.state(), &compaction)? else {
                if let Err(error) = self.staging(&compaction.run_id).discard().await {
                    tracing::warn!(%error, run_id = %compaction.run_id, "staged files are left to gc");
                }
                return Ok(CompactionOutcome::Overtaken);
            };
            fault::point("commit.before_record");
            let overtaken = compaction.replacements.len() - applicable(self.state(), &compaction).count();
            if self.log.append(&record).await? {
                fault::point("commit.after_record");
                let number = record.number;
                self.publish_pending(Some(number))
                    .await
                    .map_err(|source| TableError::Unpublished { number, source: Box::new(source) })?;
                return Ok(CompactionOutcome::Committed { number, overtaken });
            }
            if self.log.refresh().await?.is_empty() {
                tokio::time::sleep(UNDECIDED_WAIT).await;
            }
        }
        Err(TableError::Busy { attempts: ATTEMPTS_MAX })
    }
}

/// The replacements all of whose files are still live, and still their batch's.
fn applicable<'a>(
    state: &'a TableState,
    compaction: &'a Compaction,
) -> impl Iterator<Item = &'a Replacement> {
    let is_current = |replacement: &&Replacement| {
        let mut files = replacement.remove.iter().map(|path| state.file(TableKind::Main, path));
        files.all(|file| file.is_some_and(|file| file.batch == replacement.batch))
    };
    compaction.replacements.iter().filter(is_current)
}

/// Makes the record that commits what can be right after `state`; nothing where nothing can.
fn next_record(state: &TableState, compaction: &Compaction) -> Result<Option<CommitRecord>, TableError> {
    let mut add = Vec::new();
    let mut remove = Vec::new();
    for replacement in applicable(state, compaction) {
        let removed: Vec<_> =
            replacement.remove.iter().filter_map(|path| state.file(TableKind::Main, path)).collect();
        let (rows, added_rows) =
            (removed.iter().map(|file| file.rows).sum(), replacement.add.iter().map(|file| file.rows).sum());
        if rows != added_rows {
            let batch = replacement.batch.clone();
            return Err(TableError::Unbalanced { batch, rows, added_rows });
        }
        remove.extend(removed.into_iter().map(super::LiveFile::to_removed));
        let of_batch = |file: &DataFile| DataFile { batch: Some(replacement.batch.clone()), ..file.clone() };
        add.extend(replacement.add.iter().map(of_batch));
    }
    if remove.is_empty() {
        return Ok(None);
    }
    add.sort_unstable_by(|left, right| left.file.path.cmp(&right.file.path));
    remove.sort_unstable_by(|left, right| left.path.cmp(&right.path));
    check_paths(state, TableKind::Main, &add)?;
    let unchanged = |table| state.schema(table).cloned().unwrap_or_default();
    Ok(Some(CommitRecord {
        version: COMPACTION_VERSION,
        table: TableKind::Main,
        number: state.last_commit() + 1,
        run_id: compaction.run_id.clone(),
        staging: None,
        batch: String::new(),
        batches: Vec::new(),
        kind: KIND.to_owned(),
        committed_at: compaction.committed_at.to_string(),
        input_digest: String::new(),
        rules_version: compaction.rules_version.clone(),
        retain_superseded_seconds: compaction.retain_superseded_seconds,
        ready: Vec::new(),
        main: TableChange { schema: unchanged(TableKind::Main), add, remove, ..TableChange::default() },
        quarantine: TableChange { schema: unchanged(TableKind::Quarantine), ..TableChange::default() },
        details: compaction.details.clone(),
    }))
}
