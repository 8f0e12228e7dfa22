//! One table's log, followed by readers: each look reads only what was appended since the last one.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::{ObjectMeta, ObjectStoreExt};

use super::error::TableError;
use super::log::Log;
use super::names;
use super::record::{CommitRecord, TableKind};
use super::root::Roots;
use super::snapshot::{FileColumns, TableSnapshot};
use super::snapshot_store::SnapshotStore;
use crate::store::StoreError;

/// What the snapshots of one table share.
#[derive(Clone, Debug)]
pub(super) struct TablePlace {
    pub(super) roots: Roots,
    pub(super) store: SnapshotStore,
    pub(super) columns: FileColumns,
}

impl TablePlace {
    pub(super) fn new(roots: Roots) -> Self {
        let store = SnapshotStore::new(Arc::clone(&roots.main.handle.store));
        Self { roots, store, columns: FileColumns::default() }
    }

    /// Returns a log to read single records and past states from.
    pub(super) fn log(&self) -> Log {
        Log::unread(&self.roots.main)
    }

    fn snapshot(&self, state: super::TableState, committed_at: Timestamp) -> TableSnapshot {
        let (store, columns) = (self.store.clone(), Arc::clone(&self.columns));
        TableSnapshot::new(self.roots.clone(), state, committed_at, store, columns)
    }

    /// Makes the snapshot after commit `number`, which is not the newest one, `last`.
    pub(super) async fn past(
        &self,
        number: u64,
        committed_at: Timestamp,
        last: u64,
    ) -> Result<TableSnapshot, TableError> {
        let log = self.log();
        let state = log.state_at(number).await?;
        let mut moved_by = HashMap::new();
        let mut later = log.records(number + 1..=last);
        while let Some(record) = later.try_next().await? {
            // One that was retained in its place is looked for when it is read.
            if record.retain_superseded_seconds > 0 {
                continue;
            }
            for kind in [TableKind::Main, TableKind::Quarantine] {
                for removed in &record.change(kind).remove {
                    if state.is_live(kind, &removed.path) {
                        moved_by.insert((kind, removed.path.clone()), record.number);
                    }
                }
            }
        }
        Ok(self.snapshot(state, committed_at).with_moved(moved_by))
    }
}

/// The log as far as it was read, and the newest state that readers see.
///
/// Readers see what is **published**, as those of the manifests do: the files of a commit that only stands may
/// be uploads that nobody has completed, and a reader may not complete them. Until then the state before it is
/// read, whose files are in their places or already in the history.
#[derive(Debug)]
pub(super) struct Followed {
    log: Log,
    /// Records after the snapshot's: they stand, but something before or in them is not published.
    pending: VecDeque<CommitRecord>,
    snapshot: Arc<TableSnapshot>,
    /// The object of the newest record, to see whether the table was removed and made again.
    newest: ObjectMeta,
}

impl Followed {
    /// Reads the log for the first time.
    pub(super) async fn load(place: &TablePlace) -> Result<Self, TableError> {
        let root = &place.roots.main;
        root.refuse_file()?;
        let log = Log::load(root).await?;
        let last = log.state().last_commit();
        if last == 0 {
            return Err(TableError::NoTable { root: root.location.to_string() });
        }
        let published = log.unpublished().first().map_or(last, |record| record.number - 1);
        if published == 0 {
            return Err(TableError::NothingPublished { root: root.location.to_string() });
        }
        let pending = log.read(published + 1..=last).await?.into();
        let state = if published == last { log.state().clone() } else { log.state_at(published).await? };
        let record = log.read(published..=published).await?;
        let committed_at = record.first().map_or(Ok(Timestamp::MIN), committed_at)?;
        let snapshot = Arc::new(place.snapshot(state, committed_at));
        let newest = newest_record(place, last).await?.ok_or_else(|| missing(last))?;
        Ok(Self { log, pending, snapshot, newest })
    }

    /// Returns the newest state that readers see, as it was last looked at.
    pub(super) fn snapshot(&self) -> Arc<TableSnapshot> {
        Arc::clone(&self.snapshot)
    }

    /// Looks whether anything was appended or published since: two requests where nothing was. Tells whether
    /// this is still the same table; after an error it is to be loaded anew.
    pub(super) async fn refresh(&mut self, place: &TablePlace) -> Result<bool, TableError> {
        let last = self.log.state().last_commit();
        let root = &place.roots.main;
        let next = names::record(last + 1);
        let (newest, appended) = tokio::try_join!(newest_record(place, last), root.size(&next))?;
        if newest.is_none_or(|newest| newest != self.newest) {
            return Ok(false);
        }
        if appended.is_none() && self.pending.is_empty() {
            return Ok(true);
        }
        let records = self.log.refresh().await?;
        if let Some(record) = records.last() {
            let number = record.number;
            self.newest = newest_record(place, number).await?.ok_or_else(|| missing(number))?;
        }
        self.pending.extend(records);
        self.advance(place)?;
        Ok(true)
    }

    /// Takes in what is published by now.
    fn advance(&mut self, place: &TablePlace) -> Result<(), TableError> {
        let unpublished = self.log.unpublished().first().map_or(u64::MAX, |record| record.number);
        let published = self.pending.partition_point(|record| record.number < unpublished);
        if published == 0 {
            return Ok(());
        }
        let mut state = self.snapshot.state().clone();
        let mut instant = self.snapshot.committed_at();
        for record in self.pending.drain(..published) {
            state.apply(&record)?;
            instant = committed_at(&record)?;
        }
        self.snapshot = Arc::new(place.snapshot(state, instant));
        Ok(())
    }
}

/// Returns when a commit was made.
pub(super) fn committed_at(record: &CommitRecord) -> Result<Timestamp, TableError> {
    record.committed_at.parse().map_err(|error: jiff::Error| TableError::LogDamaged {
        path: names::record(record.number),
        detail: error.to_string(),
    })
}

async fn newest_record(place: &TablePlace, number: u64) -> Result<Option<ObjectMeta>, TableError> {
    let root = &place.roots.main;
    let path = root.path(&names::record(number))?;
    match root.store().head(&path).await {
        Ok(object) => Ok(Some(object)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(source) => Err(StoreError::request("read", path)(source).into()),
    }
}

fn missing(number: u64) -> TableError {
    TableError::LogDamaged { path: names::record(number), detail: "the record is missing".to_owned() }
}
