//! One Parquet file that a task is writing.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::common::{DataFusionError, Result};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};

use super::content_hash::ContentHash;
use super::manifest::WrittenFile;
use crate::exact_sum::CurrencySums;
use crate::table::{StagedWriter, Staging, TableKind};

/// Rows per row group: what Athena reads well, and far above what a day's file of one task holds.
const ROW_GROUP_ROWS: usize = 1_000_000;

/// Returns how all data files are written: Parquet v1 pages (v2 with zstd is twice as slow in arrow-rs),
/// ZSTD level 1, statistics per row group.
pub(super) fn writer_properties() -> Result<WriterProperties> {
    Ok(WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_created_by(concat!("cambist ", env!("CARGO_PKG_VERSION")).to_owned())
        .build())
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
    pub(super) fn create(
        staging: &Staging,
        table: TableKind,
        partition: String,
        file_name: &str,
        schema: SchemaRef,
        properties: WriterProperties,
    ) -> Result<Self> {
        let staged = staging.create(table, &partition, file_name).map_err(external)?;
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

    async fn drain(&mut self) -> Result<()> {
        self.writer.sync()?;
        let encoded = std::mem::take(self.writer.inner_mut());
        if !encoded.is_empty() {
            self.staged.write(Bytes::from(encoded)).await.map_err(external)?;
        }
        Ok(())
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
