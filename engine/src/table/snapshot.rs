//! A table as it was after one commit, for readers: what is live then, and where it is read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use jiff::Timestamp;
use object_store::ObjectStore;
use object_store::path::Path;
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use parquet::errors::ParquetError;

use super::error::TableError;
use super::names;
use super::record::TableKind;
use super::root::Roots;
use super::schema::TableSchema;
use super::snapshot_store::SnapshotStore;
use super::state::{LiveFile, TableState};
use crate::location::Location;
use crate::parquet_object::ParquetObject;
use crate::store::StoreError;

/// A table after one of its commits; it does not change any more.
#[derive(Debug)]
pub struct TableSnapshot {
    roots: Roots,
    state: TableState,
    committed_at: Timestamp,
    /// The commit that superseded a file and moved it to the history, where one had when this was made.
    moved_by: HashMap<(TableKind, String), u64>,
    store: SnapshotStore,
    columns: FileColumns,
}

/// A file of a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotFile<'a> {
    /// What the log says of it.
    pub file: &'a LiveFile,
    snapshot: &'a TableSnapshot,
    kind: TableKind,
}

/// The columns of a table's files by what the log says of them, so that one file is asked and not one for each
/// query; all snapshots of a table share them.
pub(super) type FileColumns = Arc<Mutex<HashMap<TableKind, (TableSchema, SchemaRef)>>>;

impl TableSnapshot {
    pub(super) fn new(
        roots: Roots,
        state: TableState,
        committed_at: Timestamp,
        store: SnapshotStore,
        columns: FileColumns,
    ) -> Self {
        Self { roots, state, committed_at, moved_by: HashMap::new(), store, columns }
    }

    /// Notes which commits had moved files to the history by the time that this was made.
    pub(super) fn with_moved(mut self, moved_by: HashMap<(TableKind, String), u64>) -> Self {
        self.moved_by = moved_by;
        self
    }

    /// Returns the commit's number.
    pub fn number(&self) -> u64 {
        self.state.last_commit()
    }

    /// Returns when the commit was made.
    pub fn committed_at(&self) -> Timestamp {
        self.committed_at
    }

    /// Returns what is live after the commit.
    pub fn state(&self) -> &TableState {
        &self.state
    }

    /// Returns the folder of one of the two tables.
    pub fn location(&self, kind: TableKind) -> &Location {
        &self.roots.of(kind).location
    }

    /// Returns the columns of one of the two tables, as the log records them.
    pub fn log_schema(&self, kind: TableKind) -> TableSchema {
        self.state.schema(kind).cloned().unwrap_or_default()
    }

    /// Returns the files of one of the two tables, sorted by path.
    pub fn files(&self, kind: TableKind) -> impl Iterator<Item = SnapshotFile<'_>> {
        self.state.files(kind).map(move |file| SnapshotFile { file, snapshot: self, kind })
    }

    /// Returns the columns inside the files of one of the two tables, or nothing where it has none. The first
    /// file is asked, unless one with the same columns of the log was before.
    ///
    /// # Errors
    /// [`TableError::FileUnreadable`] where it is no Parquet file; otherwise where the store fails.
    pub async fn file_columns(&self, kind: TableKind) -> Result<Option<SchemaRef>, TableError> {
        let Some(first) = self.files(kind).next() else { return Ok(None) };
        let of_log = self.log_schema(kind);
        let known = self.columns.lock().unwrap_or_else(PoisonError::into_inner).get(&kind).cloned();
        if let Some((_, columns)) = known.filter(|known| known.0 == of_log) {
            return Ok(Some(columns));
        }
        let store: Arc<dyn ObjectStore> = Arc::new(self.store.clone());
        let object = ParquetObject::new(store, first.read_path()?, first.file.bytes);
        let opened = ParquetRecordBatchStreamBuilder::new(object).await;
        let columns = Arc::clone(opened.map_err(|error| first.unreadable(error))?.schema());
        let mut known = self.columns.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(kind, (of_log, Arc::clone(&columns)));
        Ok(Some(columns))
    }
}

impl SnapshotFile<'_> {
    /// Returns the path by which a scan reads the file: that of the history where it is there for good,
    /// otherwise one that the store of snapshots resolves when the file is read.
    ///
    /// # Errors
    /// Where the log names a path that is not valid.
    pub fn read_path(&self) -> Result<Path, TableError> {
        let path = &self.file.path;
        let moved_by = self.snapshot.moved_by.get(&(self.kind, path.clone()));
        let relative = match moved_by {
            Some(&by) => names::history(by, path),
            None => names::read_at(self.snapshot.number(), path),
        };
        self.snapshot.roots.of(self.kind).path(&relative)
    }

    fn unreadable(&self, error: ParquetError) -> TableError {
        let path = self.file.path.clone();
        match error {
            ParquetError::External(cause) => match cause.downcast::<object_store::Error>() {
                Ok(cause) => StoreError::request("read", path)(*cause).into(),
                Err(cause) => TableError::FileUnreadable { path, source: ParquetError::External(cause) },
            },
            source => TableError::FileUnreadable { path, source },
        }
    }
}
