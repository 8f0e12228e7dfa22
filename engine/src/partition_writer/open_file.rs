//! One Parquet file that a task is writing.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{RowConverter, SortField};
use bytes::Bytes;
use datafusion::common::{DataFusionError, Result};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
};
use parquet::schema::types::ColumnPath;

use super::content_hash::ContentHash;
use super::manifest::WrittenFile;
use crate::exact_sum::CurrencySums;
use crate::table::{StagedWriter, Staging};

/// Rows per row group: what Athena reads well, and far above what a day's file of one task holds.
const ROW_GROUP_ROWS: usize = 1_000_000;

/// Returns how all data files are written: Parquet v1 pages (v2 with zstd is twice as slow in arrow-rs),
/// ZSTD level 1, statistics per row group.
pub(super) fn writer_properties() -> Result<WriterProperties> {
    Ok(properties_builder()?.build())
}

/// Returns the same for a table whose rows look like `sample`: a column whose values hardly ever repeat is
/// written without a dictionary, which would only cost a hash per value.
pub(super) fn table_properties(sample: &RecordBatch) -> Result<WriterProperties> {
    let mut builder = properties_builder()?;
    for (field, column) in sample.schema().fields().iter().zip(sample.columns()) {
        let path = ColumnPath::from(field.name().as_str());
        if is_wide_decimal(field.data_type()) {
            // The least and the greatest value each keep all values of their row group in memory until the
            // file is closed (parquet 59 slices them out of one buffer): 16 bytes a row and column, for ever.
            builder = builder.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
        }
        if repeats_little(column)? {
            builder = builder.set_column_dictionary_enabled(path, false);
        }
    }
    Ok(builder.build())
}

fn properties_builder() -> Result<WriterPropertiesBuilder> {
    Ok(WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_created_by(concat!("cambist ", env!("CARGO_PKG_VERSION")).to_owned()))
}

/// Tells whether a decimal is written as bytes: beyond 18 digits it fits no integer.
fn is_wide_decimal(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Decimal128(precision, _) if *precision > 18)
}

/// Tells whether more than half of a column's values are distinct.
fn repeats_little(column: &ArrayRef) -> Result<bool> {
    if matches!(column.data_type(), DataType::Dictionary(_, _) | DataType::Boolean) {
        return Ok(false);
    }
    let converter = RowConverter::new(vec![SortField::new(column.data_type().clone())])?;
    let rows = converter.convert_columns(std::slice::from_ref(column))?;
    let distinct: HashSet<&[u8]> = rows.iter().map(|row| row.data()).collect();
    Ok(distinct.len() * 2 > column.len())
}

/// A file under way: encoded row groups go to its staged object as they are finished.
pub(super) struct OpenFile {
    partition: String,
    writer: ArrowWriter<Vec<u8>>,
    staged: StagedWriter,
    rows: u64,
    content_hash: ContentHash,
    pub(super) source_totals: CurrencySums,
    pub(super) totals: CurrencySums,
}

impl OpenFile {
    /// Begins a file of `partition` that goes to `staged`.
    pub(super) fn create(
        staged: StagedWriter,
        partition: String,
        schema: SchemaRef,
        properties: WriterProperties,
    ) -> Result<Self> {
        // Readers must see plain types, whatever Arrow encoding a column had in memory.
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(Vec::new(), schema, options)?;
        Ok(Self {
            partition,
            writer,
            staged,
            rows: 0,
            content_hash: ContentHash::default(),
            source_totals: CurrencySums::new(),
            totals: CurrencySums::new(),
        })
    }

    pub(super) async fn write(&mut self, batch: &RecordBatch, content_hash: ContentHash) -> Result<()> {
        self.writer.write(batch)?;
        self.rows += batch.num_rows() as u64;
        self.content_hash.merge(content_hash);
        self.drain().await
    }

    /// Bytes of memory held for rows that are not yet in a finished row group.
    pub(super) fn memory_bytes(&self) -> usize {
        self.writer.memory_size()
    }

    /// Bytes that are in finished row groups.
    pub(super) fn written_bytes(&self) -> usize {
        self.writer.bytes_written()
    }

    /// Ends the row group under way, to free its memory.
    pub(super) async fn end_row_group(&mut self) -> Result<()> {
        self.writer.flush()?;
        self.drain().await
    }

    pub(super) async fn finish(mut self) -> Result<WrittenFile> {
        self.writer.finish()?;
        self.drain().await?;
        let staged = self.staged.finish().await.map_err(external)?;
        Ok(WrittenFile {
            partition: self.partition,
            staged,
            rows: self.rows,
            content_hash: self.content_hash,
            source_totals: self.source_totals,
            totals: self.totals,
        })
    }

    /// Takes the file back, as far as the store lets it.
    pub(super) async fn abandon(self) {
        if let Err(error) = self.staged.abort().await {
            tracing::debug!(%error, partition = self.partition, "a staged file is left to be discarded");
        }
    }

    async fn drain(&mut self) -> Result<()> {
        self.writer.sync()?;
        let encoded = std::mem::take(self.writer.inner_mut());
        if !encoded.is_empty() {
            self.staged.write(Bytes::from(encoded)).await.map_err(external)?;
        }
        Ok(())
    }
}

/// Takes finished files back, as far as the store lets it: what is left goes with the run's staging folder.
pub(super) async fn remove_staged(staging: &Staging, files: &[WrittenFile]) {
    for file in files {
        if let Err(error) = staging.remove(&file.staged).await {
            tracing::debug!(%error, path = file.staged.path, "a staged file is left to be discarded");
        }
    }
}

pub(super) fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Shares one schema between all files of a table, without the columns that live in the path.
pub(super) fn file_schema(schema: &SchemaRef, columns: usize) -> Result<SchemaRef> {
    let kept: Vec<usize> = (0..columns).collect();
    Ok(Arc::new(schema.project(&kept)?))
}
