//! Reading and appending to the commit log, with checkpoints so that a long one opens as fast as a short one.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use futures::{Stream, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::error::TableError;
use super::names::{self, LogName};
use super::record::{CommitRecord, FORMAT_VERSION, TableKind, check_version};
use super::root::TableRoot;
use super::state::TableState;

/// Records read at once.
const READS_AT_ONCE: usize = 16;

/// Published commits between two checkpoints: a bound on the records read at open.
pub(super) const CHECKPOINT_COMMITS: u64 = 64;

#[derive(Serialize, Deserialize)]
struct Checkpoint {
    version: u64,
    state: TableState,
}

#[derive(Serialize, Deserialize)]
struct LastCheckpoint {
    number: u64,
}

/// The log as far as it was read.
#[derive(Debug)]
pub(super) struct Log {
    root: TableRoot,
    state: TableState,
    /// Commits without a marker, in order.
    unpublished: Vec<CommitRecord>,
    checkpoint: u64,
}

impl Log {
    /// Returns a log of which nothing is read yet, to read single records or the states after them.
    pub(super) fn unread(root: &TableRoot) -> Self {
        Self { root: root.clone(), state: TableState::default(), unpublished: Vec::new(), checkpoint: 0 }
    }

    /// Reads the log; a missing one is empty.
    pub(super) async fn load(root: &TableRoot) -> Result<Self, TableError> {
        let mut log = Self::unread(root);
        let hint = log.last_checkpoint_hint().await?;
        log.start_at(hint).await?;
        log.refresh().await?;
        Ok(log)
    }

    pub(super) fn state(&self) -> &TableState {
        &self.state
    }

    pub(super) fn unpublished(&self) -> &[CommitRecord] {
        &self.unpublished
    }

    /// Reads what others have appended since, and drops what they have published; returns the new records.
    pub(super) async fn refresh(&mut self) -> Result<Vec<CommitRecord>, TableError> {
        let next = self.state.last_commit() + 1;
        let from = self.unpublished.first().map_or(next, |record| record.number);
        let mut numbers = BTreeSet::new();
        let mut published = BTreeSet::new();
        for name in self.root.list_log(from).await? {
            match name {
                LogName::Record(number) if number >= next => drop(numbers.insert(number)),
                LogName::Published(number) => drop(published.insert(number)),
                LogName::Record(_) | LogName::Checkpoint(_) => {}
            }
        }
        self.unpublished.retain(|record| !published.contains(&record.number));
        let Some(&last) = numbers.last() else { return Ok(Vec::new()) };
        let records = self.read(next..=last).await?;
        for record in &records {
            self.state.apply(record)?;
            if !published.contains(&record.number) {
                self.unpublished.push(record.clone());
            }
        }
        Ok(records)
    }

    /// Writes the next record if no one else has; tells whether it is in the log now.
    pub(super) async fn append(&mut self, record: &CommitRecord) -> Result<bool, TableError> {
        let path = names::record(record.number);
        let bytes = record.encode()?;
        if !self.root.create(&path, bytes.clone()).await? {
            // A request whose answer got lost is sent again and then meets itself.
            let ours = self.root.get(&path).await?.is_some_and(|found| found.as_ref() == bytes);
            if !ours {
                return Ok(false);
            }
        }
        self.state.apply(record)?;
        self.unpublished.push(record.clone());
        Ok(true)
    }

    /// Forgets what is published by now.
    pub(super) fn set_published(&mut self, numbers: &BTreeSet<u64>) {
        self.unpublished.retain(|record| !numbers.contains(&record.number));
    }

    /// Writes a checkpoint if one is due; everything in the log must be published.
    pub(super) async fn checkpoint_if_due(&mut self) -> Result<bool, TableError> {
        let number = self.state.last_commit();
        if number - self.checkpoint < CHECKPOINT_COMMITS || !self.unpublished.is_empty() {
            return Ok(false);
        }
        let path = names::checkpoint(number);
        let encode = |source| TableError::Encode { path: path.clone(), source };
        let checkpoint = Checkpoint { version: FORMAT_VERSION, state: self.state.clone() };
        self.root.put(&path, serde_json::to_vec(&checkpoint).map_err(encode)?).await?;
        let hint = serde_json::to_vec(&LastCheckpoint { number }).map_err(encode)?;
        self.root.put(names::LAST_CHECKPOINT, hint).await?;
        self.checkpoint = number;
        Ok(true)
    }

    /// Reads records by number, in order; all must be there.
    pub(super) fn records(
        &self,
        numbers: RangeInclusive<u64>,
    ) -> impl Stream<Item = Result<CommitRecord, TableError>> + Unpin + Send {
        futures::stream::iter(numbers).map(|number| self.read_one(number)).buffered(READS_AT_ONCE).boxed()
    }

    /// Reads records into memory.
    pub(super) async fn read(&self, numbers: RangeInclusive<u64>) -> Result<Vec<CommitRecord>, TableError> {
        self.records(numbers).try_collect().await
    }

    /// Returns the state after an earlier commit.
    pub(super) async fn state_at(&self, number: u64) -> Result<TableState, TableError> {
        if number == self.state.last_commit() {
            return Ok(self.state.clone());
        }
        let start = self.newest_checkpoint(number).await?;
        let mut state = self.read_checkpoint(start).await?.unwrap_or_default();
        let mut records = self.records(state.last_commit() + 1..=number);
        while let Some(record) = records.try_next().await? {
            state.apply(&record)?;
        }
        Ok(state)
    }

    /// The hint spares listing a long log; without a usable one the whole log is listed.
    async fn last_checkpoint_hint(&self) -> Result<u64, TableError> {
        let hint = self.root.get(names::LAST_CHECKPOINT).await?;
        match hint.and_then(|bytes| serde_json::from_slice::<LastCheckpoint>(&bytes).ok()) {
            Some(hint) => Ok(hint.number),
            None => self.newest_checkpoint(u64::MAX).await,
        }
    }

    async fn newest_checkpoint(&self, number_max: u64) -> Result<u64, TableError> {
        let names = self.root.list_log(0).await?;
        let checkpoints = names.into_iter().filter_map(|name| match name {
            LogName::Checkpoint(number) if number <= number_max => Some(number),
            _ => None,
        });
        Ok(checkpoints.max().unwrap_or(0))
    }

    async fn start_at(&mut self, checkpoint: u64) -> Result<(), TableError> {
        if let Some(state) = self.read_checkpoint(checkpoint).await? {
            self.state = state;
            self.checkpoint = checkpoint;
        }
        Ok(())
    }

    async fn read_checkpoint(&self, number: u64) -> Result<Option<TableState>, TableError> {
        if number == 0 {
            return Ok(None);
        }
        let path = names::checkpoint(number);
        let Some(bytes) = self.root.get(&path).await? else { return Ok(None) };
        check_version(&path, &bytes)?;
        let damaged = |detail: String| TableError::LogDamaged { path: path.clone(), detail };
        let checkpoint: Checkpoint =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if checkpoint.state.last_commit() != number {
            return Err(damaged(format!("it holds the state after {}", checkpoint.state.last_commit())));
        }
        Ok(Some(checkpoint.state))
    }

    async fn read_one(&self, number: u64) -> Result<CommitRecord, TableError> {
        let path = names::record(number);
        let Some(bytes) = self.root.get(&path).await? else {
            return Err(TableError::LogDamaged { path, detail: "the record is missing".to_owned() });
        };
        let record = CommitRecord::decode(&path, &bytes)?;
        if record.table == TableKind::Quarantine {
            return Err(TableError::IsQuarantine { root: self.root.location.to_string() });
        }
        Ok(record)
    }
}
