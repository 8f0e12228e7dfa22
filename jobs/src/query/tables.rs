//! The tables of a query: raw files and the live files of tables.

use std::sync::Arc;

use cambist_engine::files::{self, Files};
use cambist_engine::location::Location;
use cambist_engine::progress::RunProgress;
use cambist_engine::query::{LiveTable, RawSchemas, RawTable, Screening};
use cambist_engine::record::{GroupPlan, RecordConfig, RecordSource, plan_groups};
use cambist_engine::store::Stores;
use cambist_engine::table::{LiveFile, TableKind, TableSnapshot, TableSnapshots};
use datafusion::catalog::TableProvider;
use datafusion::execution::object_store::ObjectStoreUrl;

use super::options::TableConfig;
use crate::error::{JobError, Result};
use crate::input::{of_files, of_record, of_table, planning};
use crate::normalize::{InputFile, input_files};

/// A table that a query may name.
#[derive(Clone, Debug)]
pub struct QueryTable {
    /// Its name.
    pub name: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// What a session registers.
    pub provider: Arc<dyn TableProvider>,
    /// The same, where it is of raw files.
    pub raw: Option<Arc<RawTable>>,
    files: FilesRead,
}

/// What a table's files are told from.
#[derive(Clone, Debug)]
enum FilesRead {
    Raw(Files),
    Live(Arc<TableSnapshot>, TableKind),
}

impl QueryTable {
    /// Returns the account of its files.
    pub(crate) fn inputs(&self) -> Vec<InputFile> {
        match &self.files {
            FilesRead::Raw(files) => input_files(files),
            FilesRead::Live(snapshot, kind) => {
                let root = snapshot.location(*kind);
                snapshot.state().files(*kind).map(|file| live_input(root, file)).collect()
            }
        }
    }
}

/// How tables are opened. Nothing is written to do so.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// Where they lie.
    pub stores: &'a Stores,
    /// The columns of raw files that are known already.
    pub schemas: &'a RawSchemas,
    /// The tables of ours that are followed already.
    pub snapshots: &'a TableSnapshots,
    /// How files are spread over tasks.
    pub groups: GroupPlan,
    /// What is done about broken records of raw files.
    pub screening: Screening,
    /// Where the reading of raw files is counted.
    pub progress: &'a RunProgress,
}

impl Opening<'_> {
    /// Opens the table `name`; a table of ours as it is now.
    ///
    /// # Errors
    /// A usage error where nothing lies there, a data error where what lies there cannot be read; otherwise
    /// where the store fails.
    pub async fn open(&self, name: &str, table: &TableConfig) -> Result<QueryTable> {
        let opened = match &table.records {
            Some(records) => self.raw(name, &table.url, records).await,
            None => self.live(name, &table.url).await,
        };
        opened.map_err(|failed| of_named(name, failed))
    }

    /// Opens one of the two tables of a snapshot.
    ///
    /// # Errors
    /// A data error where its first file cannot be read for its columns; otherwise where the store fails.
    pub async fn snapshot(
        &self,
        name: &str,
        snapshot: &Arc<TableSnapshot>,
        kind: TableKind,
    ) -> Result<QueryTable> {
        let table = LiveTable::open(snapshot, kind, &self.groups).await;
        let table = table.map_err(|error| planning(error, &snapshot.location(kind).to_string()))?;
        let bytes = table.bytes();
        let files = FilesRead::Live(Arc::clone(snapshot), kind);
        Ok(QueryTable { name: name.to_owned(), bytes, provider: Arc::new(table), raw: None, files })
    }

    async fn raw(&self, name: &str, url: &str, records: &RecordConfig) -> Result<QueryTable> {
        let files = files::list(self.stores, url).await.map_err(|error| of_files(&error))?;
        if files.objects.is_empty() {
            return Err(JobError::usage(format!(
                "nothing found at `{url}`, expected a file, a folder with files or a glob that matches some"
            )));
        }
        let schema = self.schemas.of(&files, records).await.map_err(|error| of_record(&error))?;
        let source =
            RecordSource::new(Arc::new(records.clone()), schema).with_progress(self.progress.clone());
        let store = ObjectStoreUrl::parse(files.root.store_url()).map_err(|error| planning(error, url))?;
        let groups = plan_groups(&files.objects, records, &self.groups);
        let table = Arc::new(RawTable::new(name, source, store, groups, self.screening));
        Ok(QueryTable {
            name: name.to_owned(),
            bytes: files.bytes(),
            provider: Arc::clone(&table) as _,
            raw: Some(table),
            files: FilesRead::Raw(files),
        })
    }

    async fn live(&self, name: &str, url: &str) -> Result<QueryTable> {
        let root = Location::parse(url).map_err(|error| JobError::usage(error.to_string()))?;
        let snapshot = self.snapshots.latest(&root).await.map_err(|error| of_table(&error))?;
        self.snapshot(name, &snapshot, TableKind::Main).await
    }
}

/// A data file never changes: what is in it tells it from any other.
fn live_input(root: &Location, file: &LiveFile) -> InputFile {
    InputFile {
        location: format!("{}/{}", root.absolute().trim_end_matches('/'), file.path),
        written: None,
        bytes: file.bytes,
        version: file.content_hash.clone(),
    }
}

/// Says which table an error is about.
pub(super) fn of_named(name: &str, mut failed: JobError) -> JobError {
    failed.message = format!("tables.{name}: {}", failed.message);
    failed
}
