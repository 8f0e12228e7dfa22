//! Committing: one create-only write, retried on the next number as long as nobody touched our batch.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::error::TableError;
use super::names;
use super::record::{CommitRecord, DataFile, FORMAT_VERSION, TableChange, TableKind};
use super::schema::TableSchema;
use super::staging::{StagedAs, StagedFile};
use super::{Table, TableState};
use crate::fault;

/// Each further attempt means that another writer's commit landed first.
pub(super) const ATTEMPTS_MAX: u32 = 100;

/// S3 may refuse a create-only write while another one of the same key is under way, and show neither.
pub(super) const UNDECIDED_WAIT: Duration = Duration::from_millis(20);

/// What a run wants to commit.
#[derive(Clone, Debug)]
pub struct CommitDraft {
    /// The run.
    pub run_id: String,
    /// The name under which it staged its files ([`Table::staging`]): its id, or that of a later attempt.
    pub staging: String,
    /// The batch whose files it replaces.
    pub batch: String,
    /// What kind of run it is, such as `normalize`.
    pub kind: String,
    /// When it commits.
    pub committed_at: jiff::Timestamp,
    /// The digest of everything that determined the result.
    pub input_digest: String,
    /// The version of the conversion rules.
    pub rules_version: String,
    /// The columns of the main table.
    pub schema: TableSchema,
    /// The columns of the quarantine.
    pub quarantine_schema: TableSchema,
    /// All staged files, of both tables.
    pub files: Vec<DataFile>,
    /// The order-free hash of the main table's rows in each partition, in hex.
    pub partitions: BTreeMap<String, String>,
    /// The same for the quarantine.
    pub quarantine_partitions: BTreeMap<String, String>,
    /// Partitions that are complete with this commit, such as `dt=2024-05-01`; each gets a `_ready` file.
    pub ready: Vec<String>,
    /// For how long superseded files stay where they are, in seconds; 0 moves them at once.
    pub retain_superseded_seconds: u64,
    /// The run's own account, recorded as it is.
    pub details: serde_json::Value,
}

/// How a commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// The draft's record stands.
    Committed {
        /// Its number.
        number: u64,
    },
    /// Another run committed the same inputs meanwhile; our staged files were discarded.
    AlreadyDone {
        /// The other's number.
        number: u64,
    },
}

impl Table {
    /// Commits and publishes `draft`: [`Self::append`], then [`Self::publish`].
    ///
    /// # Errors
    /// As these two.
    pub async fn commit(&mut self, draft: CommitDraft) -> Result<CommitOutcome, TableError> {
        let outcome = self.append(draft).await?;
        if let CommitOutcome::Committed { number } = outcome {
            self.publish(number).await?;
        }
        Ok(outcome)
    }

    /// Writes the record that commits `draft`: its files take the place of all that earlier runs of its batch
    /// wrote, and readers see them once it is published.
    ///
    /// Where another writer commits first, the draft is tried again on the next number, unless that writer
    /// touched the same batch. The draft's staged files are discarded where it has lost for good; they are
    /// kept where the outcome is not known, for the next command finds a commit that did land. After any
    /// other refusal they are the caller's to discard ([`super::Staging::discard`]).
    ///
    /// # Errors
    /// Nothing is written on [`TableError::SchemaMismatch`], [`TableError::StagedFileMissing`],
    /// [`TableError::DuplicatePath`], [`TableError::Conflict`] and [`TableError::Busy`].
    pub async fn append(&mut self, draft: CommitDraft) -> Result<CommitOutcome, TableError> {
        for partition in &draft.ready {
            self.roots.main.path(&names::ready(partition))?;
        }
        self.check_staged(&draft.staging, &draft.files).await?;
        self.probe().await?;
        for _ in 0..ATTEMPTS_MAX {
            let record = next_record(self.state(), &draft)?;
            fault::point("commit.before_record");
            if self.log.append(&record).await? {
                fault::point("commit.after_record");
                return Ok(CommitOutcome::Committed { number: record.number });
            }
            let winners = self.log.refresh().await?;
            if winners.is_empty() {
                tokio::time::sleep(UNDECIDED_WAIT).await;
            }
            let digest_of = |winner: &CommitRecord| {
                let mut batches = winner.replaced_batches();
                batches.find(|one| one.0 == draft.batch).map(|(_, digest, _)| digest.to_owned())
            };
            let lost_to = winners.iter().rev().find_map(|winner| Some((winner, digest_of(winner)?)));
            if let Some((winner, digest)) = lost_to {
                return self.give_way(&draft, winner, &digest).await;
            }
        }
        Err(TableError::Busy { attempts: ATTEMPTS_MAX })
    }

    /// Publishes commit `number`, which this process has just appended, with all that are pending before it.
    ///
    /// # Errors
    /// [`TableError::Unpublished`]: the commit stands, and whoever opens the table next publishes it.
    pub async fn publish(&mut self, number: u64) -> Result<(), TableError> {
        let published = self.publish_pending(Some(number)).await;
        published.map_err(|source| TableError::Unpublished { number, source: Box::new(source) })
    }

    /// The same batch was committed by another run: the same inputs are success, others are a conflict.
    async fn give_way(
        &mut self,
        draft: &CommitDraft,
        winner: &CommitRecord,
        digest: &str,
    ) -> Result<CommitOutcome, TableError> {
        if let Err(error) = self.staging(&draft.staging).discard().await {
            tracing::warn!(%error, run_id = %draft.run_id, "staged files are left to gc");
        }
        if digest != draft.input_digest {
            return Err(TableError::Conflict {
                batch: draft.batch.clone(),
                number: winner.number,
                run_id: winner.run_id.clone(),
            });
        }
        // The caller will read the result: it must be in place even if the winner died after its record.
        self.publish_pending(None).await?;
        Ok(CommitOutcome::AlreadyDone { number: winner.number })
    }

    /// A draft must not promise files that are gone: `gc` may have taken the run for dead.
    pub(super) async fn check_staged(&self, staging: &str, files: &[DataFile]) -> Result<(), TableError> {
        for table in [TableKind::Main, TableKind::Quarantine] {
            let root = self.roots.of(table);
            let mut files = files.iter().map(|file| &file.file).filter(|file| file.table == table);
            if !files.clone().any(|_| true) {
                continue;
            }
            let staged = root.list(&names::staging(staging)).await?;
            let sizes: HashMap<_, _> =
                staged.iter().map(|(path, object)| (path.as_str(), object.size)).collect();
            if let Some(missing) = files.find(|file| !is_staged(file, staging, &sizes)) {
                return Err(TableError::StagedFileMissing { path: missing.path.clone() });
            }
        }
        Ok(())
    }
}

fn is_staged(file: &StagedFile, staging: &str, sizes: &HashMap<&str, u64>) -> bool {
    match &file.staged {
        StagedAs::Local { path } => sizes.get(path.as_str()) == Some(&file.bytes),
        StagedAs::Multipart { .. } => sizes.contains_key(names::upload_journal(staging, &file.path).as_str()),
    }
}

/// Makes the record that commits `draft` right after `state`.
fn next_record(state: &TableState, draft: &CommitDraft) -> Result<CommitRecord, TableError> {
    let change = |table, schema: &TableSchema, partitions: &BTreeMap<_, _>| {
        if let Some(existing) = state.schema(table) {
            existing.check(table, schema)?;
        }
        let of_table = draft.files.iter().filter(|file| file.file.table == table);
        let mut add: Vec<DataFile> = of_table.cloned().collect();
        add.sort_unstable_by(|left, right| left.file.path.cmp(&right.file.path));
        check_paths(state, table, &add)?;
        Ok::<_, TableError>(TableChange {
            schema: schema.clone(),
            add,
            remove: state.superseded_by(table, &draft.batch),
            partitions: partitions.clone(),
        })
    };
    Ok(CommitRecord {
        version: FORMAT_VERSION,
        table: TableKind::Main,
        number: state.last_commit() + 1,
        run_id: draft.run_id.clone(),
        staging: (draft.staging != draft.run_id).then(|| draft.staging.clone()),
        batch: draft.batch.clone(),
        batches: Vec::new(),
        kind: draft.kind.clone(),
        committed_at: draft.committed_at.to_string(),
        input_digest: draft.input_digest.clone(),
        rules_version: draft.rules_version.clone(),
        retain_superseded_seconds: draft.retain_superseded_seconds,
        ready: draft.ready.clone(),
        main: change(TableKind::Main, &draft.schema, &draft.partitions)?,
        quarantine: change(TableKind::Quarantine, &draft.quarantine_schema, &draft.quarantine_partitions)?,
        details: draft.details.clone(),
    })
}

pub(super) fn check_paths(state: &TableState, table: TableKind, add: &[DataFile]) -> Result<(), TableError> {
    let mut paths = BTreeSet::new();
    for DataFile { file, .. } in add {
        if state.is_live(table, &file.path) || !paths.insert(&file.path) {
            return Err(TableError::DuplicatePath { path: file.path.clone() });
        }
    }
    Ok(())
}
