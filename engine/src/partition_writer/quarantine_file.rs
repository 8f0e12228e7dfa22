//! A task's quarantined records on their way into a file of the quarantine table.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use tokio::sync::mpsc;

use super::content_hash::ContentHash;
use super::exec::PartitionWriterSpec;
use super::file_names::FileNames;
use super::manifest::WrittenFile;
use super::open_file::{OpenFile, external, writer_properties};
use crate::quarantine::{table_schema, to_table};
use crate::table::{Staging, TableKind};

/// Encoded rows held before a row group is ended; raw records are text of up to 64 KiB each.
const ROW_GROUP_BYTES: usize = 32 << 20;

/// Writes what comes out of `diverted` until it ends; no file where nothing came.
pub(super) async fn write_quarantine(
    mut diverted: mpsc::Receiver<RecordBatch>,
    spec: Arc<PartitionWriterSpec>,
    staging: Staging,
    names: FileNames,
    memory: MemoryReservation,
) -> Result<Option<WrittenFile>> {
    let mut file: Option<OpenFile> = None;
    while let Some(batch) = diverted.recv().await {
        let rows = to_table(&batch, spec.raw_encoding, &spec.run_id)?;
        if file.is_none() {
            let name = names.quarantine_file();
            let properties = writer_properties()?;
            let staged = staging.create(TableKind::Quarantine, "", &name).map_err(external)?;
            file = Some(OpenFile::create(staged, String::new(), table_schema(), properties)?);
        }
        if let Some(file) = &mut file {
            // The run's id is not content: a re-run quarantines the same rows.
            let content = rows.project(&(0..rows.num_columns() - 1).collect::<Vec<_>>())?;
            file.write(&rows, ContentHash::of(&content)?).await?;
            let bytes = file.memory_bytes();
            if bytes > ROW_GROUP_BYTES || memory.try_resize(bytes).is_err() {
                file.end_row_group().await?;
                memory.free();
            }
        }
    }
    match file {
        Some(file) => Ok(Some(file.finish().await?)),
        None => Ok(None),
    }
}
