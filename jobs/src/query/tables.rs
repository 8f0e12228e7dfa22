//! The tables of a query: raw files and the live files of tables.

use std::sync::Arc;

use cambist_engine::files;
use cambist_engine::location::Location;
use cambist_engine::progress::RunProgress;
use cambist_engine::query::{LiveTable, RawTable, Screening, live_columns};
use cambist_engine::record::{GroupPlan, RecordConfig, RecordSource, infer, plan_groups};
use cambist_engine::store::Stores;
use cambist_engine::table::{LiveFile, TableKind, TableSchema};
use datafusion::catalog::TableProvider;
use datafusion::execution::object_store::ObjectStoreUrl;

use super::options::TableConfig;
use crate::error::{JobError, Result};
use crate::input::{of_files, of_record, planning};
use crate::normalize::{InputFile, input_files};
use crate::table_reader::{Part, TableReader};

/// A table that a query may name.
pub(crate) struct QueryTable {
    pub(crate) name: String,
    /// Bytes of its files.
    pub(crate) bytes: u64,
    pub(crate) provider: Arc<dyn TableProvider>,
    /// The same, where it is of raw files.
    pub(crate) raw: Option<Arc<RawTable>>,
    /// The account of its files.
    pub(crate) inputs: Vec<InputFile>,
}

/// How tables are opened.
pub(super) struct Opening<'a> {
    pub(super) stores: &'a Stores,
    pub(super) groups: GroupPlan,
    pub(super) screening: Screening,
    pub(super) progress: &'a RunProgress,
}

impl Opening<'_> {
    /// Opens the table `name`.
    pub(super) async fn open(&self, name: &str, table: &TableConfig) -> Result<QueryTable> {
        let opened = match &table.records {
            Some(records) => self.raw(name, &table.url, records).await,
            None => self.live(name, &table.url).await,
        };
        opened.map_err(|mut failed| {
            failed.message = format!("tables.{name}: {}", failed.message);
            failed
        })
    }

    async fn raw(&self, name: &str, url: &str, records: &RecordConfig) -> Result<QueryTable> {
        let files = files::list(self.stores, url).await.map_err(|error| of_files(&error))?;
        if files.objects.is_empty() {
            return Err(JobError::usage(format!(
                "nothing found at `{url}`, expected a file, a folder with files or a glob that matches some"
            )));
        }
        let schema = infer(&files.store, &files.objects, records).await.map_err(|error| of_record(&error))?;
        let source =
            RecordSource::new(Arc::new(records.clone()), schema).with_progress(self.progress.clone());
        let store = ObjectStoreUrl::parse(files.root.store_url()).map_err(|error| planning(error, url))?;
        let groups = plan_groups(&files.objects, records, &self.groups);
        let table = Arc::new(RawTable::new(name, source, store, groups, self.screening));
        Ok(QueryTable {
            name: name.to_owned(),
            bytes: files.bytes(),
            inputs: input_files(&files),
            provider: Arc::clone(&table) as _,
            raw: Some(table),
        })
    }

    async fn live(&self, name: &str, url: &str) -> Result<QueryTable> {
        let reader = TableReader::open(self.stores, url).await?;
        let files = reader.live_files(TableKind::Main);
        let of_log = reader.table.state().schema(TableKind::Main).cloned().unwrap_or_default();
        let of_log: &TableSchema = &of_log;
        let found = match files.first() {
            Some(file) => Some(reader.read(TableKind::Main, file, Part::default()).await?.0),
            None => None,
        };
        let failed = |error| planning(error, url);
        let columns = live_columns(found.as_deref(), of_log).map_err(failed)?;
        let root = reader.table.location(TableKind::Main);
        let table =
            LiveTable::try_new(root, &files, columns, of_log.partition_column.as_deref(), &self.groups)
                .map_err(failed)?;
        Ok(QueryTable {
            name: name.to_owned(),
            bytes: files.iter().map(|file| file.bytes).sum(),
            inputs: files.iter().map(|file| live_input(&root, file)).collect(),
            provider: Arc::new(table),
            raw: None,
        })
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
