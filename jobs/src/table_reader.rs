//! Reads the live data files of a table.

use std::sync::Arc;

use cambist_engine::location::Location;
use cambist_engine::parquet_object::ParquetObject;
use cambist_engine::store::Stores;
use cambist_engine::table::{LiveFile, Table, TableKind};
use datafusion::arrow::datatypes::SchemaRef;
use futures::StreamExt;
use object_store::ObjectStore;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::RowSelection;
use parquet::arrow::async_reader::{ParquetRecordBatchStream, ParquetRecordBatchStreamBuilder};

use crate::error::{ErrorKind, JobError, Result};
use crate::input::{of_store, of_table};

/// Rows per batch of a read.
const BATCH_ROWS: usize = 16_384;

/// A table that is open for reading; an unpublished commit was rolled forward first.
#[derive(Debug)]
pub struct TableReader {
    /// The table.
    pub table: Table,
    store: Arc<dyn ObjectStore>,
}

/// What of a file is read.
#[derive(Debug, Default)]
pub struct Part<'a> {
    /// The columns; all where none are named.
    pub columns: Option<&'a [&'a str]>,
    /// The rows; all where none are selected.
    pub rows: Option<RowSelection>,
}

/// The batches of one file.
pub type Batches = ParquetRecordBatchStream<ParquetObject>;

impl TableReader {
    /// Opens the table at `output`.
    ///
    /// # Errors
    /// Where there is none, or the store fails.
    pub async fn open(stores: &Stores, output: &str) -> Result<Self> {
        let root = Location::parse(output).map_err(|error| JobError::usage(error.to_string()))?;
        let table = Table::open(stores, &root).await.map_err(|error| of_table(&error))?;
        let handle = stores.for_location(&root).map_err(|error| of_store(&error))?;
        Ok(Self { table, store: handle.store })
    }

    /// Returns the live files of one of the two tables.
    pub fn live_files(&self, kind: TableKind) -> Vec<LiveFile> {
        self.table.state().files(kind).cloned().collect()
    }

    /// Opens a live file.
    ///
    /// # Errors
    /// A data error that names the file, where it is missing or is not the Parquet that was committed.
    pub async fn read(
        &self,
        kind: TableKind,
        file: &LiveFile,
        part: Part<'_>,
    ) -> Result<(SchemaRef, Batches)> {
        let place =
            self.table.location(kind).join(&file.path).map_err(|error| JobError::usage(error.to_string()))?;
        let failed = |error: parquet::errors::ParquetError| {
            JobError::data(format!("the file `{}` of the {kind} table cannot be read: {error}", file.path))
        };
        let reader = ParquetObject::new(Arc::clone(&self.store), place.path().clone(), file.bytes);
        let mut builder =
            ParquetRecordBatchStreamBuilder::new(reader).await.map_err(failed)?.with_batch_size(BATCH_ROWS);
        if let Some(columns) = part.columns {
            let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
            builder = builder.with_projection(mask);
        }
        if let Some(rows) = part.rows {
            builder = builder.with_row_selection(rows);
        }
        let batches = builder.build().map_err(failed)?;
        Ok((Arc::clone(batches.schema()), batches))
    }

    /// Returns the next batch of a file.
    ///
    /// # Errors
    /// A data error that names the file.
    pub async fn next(
        batches: &mut Batches,
        file: &LiveFile,
    ) -> Result<Option<datafusion::arrow::array::RecordBatch>> {
        batches.next().await.transpose().map_err(|error| {
            JobError::new(ErrorKind::Data, format!("the file `{}` cannot be read: {error}", file.path))
        })
    }
}
