//! The table: hive-partitioned files whose truth is a log of create-only commit records.
//!
//! **Invariants.** A commit record exists or it does not: writing it is the commit. Records are numbered
//! without gaps and never changed. Everything after the record (files in place, manifests, history, ready
//! files, marker) can be redone any number of times, in any state it was left in, by whoever opens the table.
//!
//! This guards against the death of a process at any point. It does not call fsync: after a power cut a
//! local table is as good as its file system.

mod commit;
mod compact;
mod ddl;
mod error;
mod files;
mod followed;
mod gc;
mod lock;
mod log;
mod names;
mod publish;
mod record;
mod restate;
mod root;
mod schema;
mod sink;
mod snapshot;
mod snapshot_store;
mod snapshots;
mod staging;
mod staging_objects;
mod state;
mod unstage;

pub use commit::{CommitDraft, CommitOutcome};
pub use compact::{Compaction, CompactionOutcome, Replacement};
pub use ddl::{DdlDialect, DdlOptions};
pub use error::TableError;
pub use files::{TableFile, Whereabouts};
pub use gc::GcReport;
pub use record::{BatchRecord, CommitRecord, DataFile, RemovedFile, TableChange, TableKind};
pub use restate::{BatchRestatement, RESTATE_KIND, Restatement};
pub use schema::{Column, TableSchema};
pub use snapshot::{SnapshotFile, TableSnapshot};
pub(crate) use snapshot_store::{SnapshotStore, snapshot_store_url};
pub use snapshots::TableSnapshots;
pub use staging::{StagedAs, StagedFile, StagedWriter, Staging};
pub use staging_objects::PutNew;
pub use state::{BatchState, LiveFile, ReadyState, TableState};

use crate::location::Location;
use crate::store::Stores;
use log::Log;
use root::Roots;

/// A main table and its sibling, the quarantine, under one log.
#[derive(Debug)]
pub struct Table {
    roots: Roots,
    log: Log,
    /// Whether the store was seen to keep its promise of create-only writes.
    probed: bool,
}

impl Table {
    /// Tells whether there is a table, without opening it.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn exists(stores: &Stores, root: &Location) -> Result<bool, TableError> {
        let roots = Roots::new(stores, root)?;
        Ok(roots.main.refuse_file().is_ok() && roots.main.any_commit().await?.is_some())
    }

    /// Opens a table that exists, to read or maintain it; commits that were left unpublished are published first.
    ///
    /// # Errors
    /// [`TableError::NoTable`] where there is none, [`TableError::NotAFolder`] where a file lies there, [`TableError::IsQuarantine`] where `root` is the sibling
    /// of one; otherwise where the log is damaged or the store fails.
    pub async fn open(stores: &Stores, root: &Location) -> Result<Self, TableError> {
        let roots = Roots::new(stores, root)?;
        roots.main.refuse_file()?;
        let log = Log::load(&roots.main).await?;
        if log.state().last_commit() == 0 {
            return Err(TableError::NoTable { root: root.to_string() });
        }
        let mut table = Self { roots, log, probed: false };
        table.publish_pending(None).await?;
        Ok(table)
    }

    /// Opens a table to write to it; a folder that is missing or empty will become one.
    ///
    /// Nothing is created before the first file is staged. A store in the cloud is probed for create-only
    /// writes here, a local disk at the first commit.
    ///
    /// # Errors
    /// [`TableError::NotATable`] where the folder, or its sibling, holds anything that is not ours;
    /// [`crate::store::StoreError::IgnoresCreateOnly`] where concurrent writers would be unsafe; otherwise
    /// as [`Self::open`].
    pub async fn open_or_create(stores: &Stores, root: &Location) -> Result<Self, TableError> {
        let roots = Roots::new(stores, root)?;
        roots.main.refuse_file()?;
        let mut log = Log::load(&roots.main).await?;
        if log.state().last_commit() == 0
            && let Err(refused) = roots.refuse_foreign().await
        {
            // What was found may be another writer's first commit.
            log.refresh().await?;
            if log.state().last_commit() == 0 {
                return Err(refused);
            }
        }
        let mut table = Self { roots, log, probed: false };
        if !table.roots.main.location.is_local() {
            table.probe().await?;
        }
        table.publish_pending(None).await?;
        Ok(table)
    }

    /// Returns the folded log: what is live, and the latest commit of each batch.
    pub fn state(&self) -> &TableState {
        self.log.state()
    }

    /// Returns the place of one of the two tables.
    pub fn location(&self, kind: TableKind) -> &Location {
        &self.roots.of(kind).location
    }

    /// Returns where a run stages its files.
    pub fn staging(&self, run_id: &str) -> Staging {
        Staging::in_roots(self.roots.clone(), run_id)
    }

    /// Returns the newest commit records, newest first, at most `limit` of them.
    ///
    /// # Errors
    /// Where the store fails or a record is damaged.
    pub async fn log(&self, limit: u64) -> Result<Vec<CommitRecord>, TableError> {
        let last = self.state().last_commit();
        let mut records = self.log.read(last.saturating_sub(limit) + 1..=last).await?;
        records.reverse();
        Ok(records)
    }

    /// Returns one commit record.
    ///
    /// # Errors
    /// [`TableError::NoSuchCommit`] where the log has no such number; otherwise where the store fails.
    pub async fn record(&self, number: u64) -> Result<CommitRecord, TableError> {
        let last = self.state().last_commit();
        let missing = || TableError::NoSuchCommit { number, last };
        if number == 0 || number > last {
            return Err(missing());
        }
        self.log.read(number..=number).await?.pop().ok_or_else(missing)
    }

    async fn probe(&mut self) -> Result<(), TableError> {
        if !self.probed {
            let main = &self.roots.main;
            let folder = main.location.join(names::COMMITS)?;
            crate::store::probe_create_only(main.store(), &folder).await?;
            self.probed = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
