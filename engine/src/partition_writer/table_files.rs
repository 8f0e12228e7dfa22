//! A task's rows on their way into one file per hive partition.
//!
//! Rows wait in a buffer until there are enough of them for each partition to get a row group worth
//! having; then one partition after another has its rows gathered, encoded and written. So a single row
//! group is under construction at any time: each costs a compression context per column, 2.5 GB for
//! hundreds of partitions at once.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{Int32Type, SchemaRef};
use cambist_udfs::rate::RateDate;
use datafusion::common::{DataFusionError, Result};
use futures::future::join_all;
use parquet::file::properties::WriterProperties;

use super::content_hash::ContentHash;
use super::exec::PartitionWriterSpec;
use super::figures::TalliedPartition;
use super::file_names::FileNames;
use super::manifest::WrittenFile;
use super::open_file::{OpenFile, external, file_schema, remove_staged, table_properties, writer_properties};
use super::row_memory::RowMemory;
use super::tally::Tally;
use super::totals::TotalColumns;
use crate::failure::{FailureKind, TaskFailure};
use crate::fault;
use crate::metrics::task_metrics;
use crate::table::{Staging, TableKind};

/// Files that are finished at once: on S3 that takes three requests each.
const FINISHES_AT_ONCE: usize = 8;

pub(super) struct TableFiles {
    spec: Arc<PartitionWriterSpec>,
    staging: Staging,
    names: FileNames,
    memory: RowMemory,
    schema: SchemaRef,
    properties: Option<WriterProperties>,
    totals: TotalColumns,
    tally: Option<Tally>,
    buffer: RowBuffer,
    open: HashMap<i32, OpenFile>,
    /// Files begun so far by partition, so that a second file of one partition gets another name.
    begun: HashMap<i32, u32>,
    finished: Vec<WrittenFile>,
}

#[derive(Default)]
struct RowBuffer {
    batches: Vec<RecordBatch>,
    bytes: usize,
    /// By event day: the places of its rows, in the order they came.
    places: HashMap<i32, Vec<(usize, usize)>>,
}

impl TableFiles {
    pub(super) fn new(
        spec: Arc<PartitionWriterSpec>,
        staging: Staging,
        names: FileNames,
        memory: RowMemory,
        input: &SchemaRef,
    ) -> Result<Self> {
        Ok(Self {
            totals: TotalColumns::of(input, &spec.targets)?,
            tally: spec.tally.clone().map(Tally::new),
            schema: file_schema(input, input.fields().len() - 1)?,
            properties: None,
            spec,
            staging,
            names,
            memory,
            buffer: RowBuffer::default(),
            open: HashMap::new(),
            begun: HashMap::new(),
            finished: Vec::new(),
        })
    }

    pub(super) async fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        self.refuse_dateless(batch)?;
        let bytes = row_bytes(batch);
        if !self.memory.admits(self.buffer.bytes + bytes) && !self.buffer.batches.is_empty() {
            task_metrics().buffers_cut_short.add(1);
            self.write_buffer().await?;
        }
        // A batch that is alone is here already, whatever the pool says.
        let is_beyond = !self.memory.admits(bytes);
        self.buffer.push(batch, self.schema.fields().len(), bytes);
        if is_beyond || self.buffer.bytes >= self.spec.limits.buffer_bytes {
            self.write_buffer().await?;
        }
        Ok(())
    }

    /// A row without a date would have no place in the table.
    fn refuse_dateless(&self, batch: &RecordBatch) -> Result<()> {
        let dateless = batch.column(self.schema.fields().len()).null_count();
        if dateless == 0 {
            return Ok(());
        }
        let column = &self.spec.partition_column;
        let text = format!(
            "`{column}` is NULL in {dateless} rows, expected a date: it is what the table is partitioned by"
        );
        Err(TaskFailure::new(FailureKind::Data, text).into_error())
    }

    pub(super) async fn finish(&mut self) -> Result<Vec<WrittenFile>> {
        self.write_buffer().await?;
        let mut days: Vec<i32> = self.open.keys().copied().collect();
        days.sort_unstable();
        for days in days.chunks(FINISHES_AT_ONCE) {
            let open = days.iter().filter_map(|day| self.open.remove(day));
            let mut failed = None;
            for finished in join_all(open.map(OpenFile::finish)).await {
                match finished {
                    Ok(file) => self.finished.push(file),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
        }
        Ok(std::mem::take(&mut self.finished))
    }

    /// Takes back what was staged, as far as the store lets it.
    pub(super) async fn abandon(self) {
        for file in self.open.into_values() {
            file.abandon().await;
        }
        remove_staged(&self.staging, &self.finished).await;
    }

    async fn write_buffer(&mut self) -> Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let projected: Vec<RecordBatch> = buffer
            .batches
            .iter()
            .map(|batch| batch.project(&(0..self.schema.fields().len()).collect::<Vec<_>>()))
            .collect::<Result<_, _>>()?;
        let batches: Vec<&RecordBatch> = projected.iter().collect();
        if let (None, Some(first)) = (&self.properties, batches.first()) {
            self.properties = Some(table_properties(first)?);
        }
        let mut days: Vec<(i32, Vec<(usize, usize)>)> = buffer.places.into_iter().collect();
        days.sort_unstable_by_key(|(day, _)| *day);
        for (day, places) in days {
            let rows = interleave_record_batch(&batches, &places)?;
            self.write_day(day, &rows).await?;
        }
        drop(batches);
        drop(projected);
        self.memory.release();
        Ok(())
    }

    async fn write_day(&mut self, day: i32, rows: &RecordBatch) -> Result<()> {
        let content_hash = ContentHash::of(rows)?;
        if let Some(tally) = &mut self.tally
            && !tally.count(day, rows, content_hash, &self.totals)
        {
            return Ok(());
        }
        if !self.open.contains_key(&day) {
            self.make_room().await?;
            let file = self.begin(day)?;
            self.open.insert(day, file);
        }
        let Some(file) = self.open.get_mut(&day) else {
            return Ok(());
        };
        fault::task_point("task.writing").map_err(DataFusionError::IoError)?;
        self.totals.add(rows, &mut file.source_totals, &mut file.totals);
        file.write(rows, content_hash).await?;
        file.end_row_group().await?;
        if file.written_bytes() >= self.spec.limits.file_bytes {
            self.finish_day(day).await?;
        }
        Ok(())
    }

    /// Returns what was counted, where the spec asks for it.
    pub(super) fn take_tally(&mut self) -> Option<Vec<TalliedPartition>> {
        let tally = self.tally.take()?;
        Some(tally.finish(|day| self.partition(day)))
    }

    fn partition(&self, day: i32) -> String {
        format!("{}={}", self.spec.partition_column, RateDate(day))
    }

    fn begin(&mut self, day: i32) -> Result<OpenFile> {
        let number = self.begun.entry(day).or_default();
        let name = self.names.table_file(*number);
        *number += 1;
        let partition = self.partition(day);
        let properties = self.properties.clone().map_or_else(writer_properties, Ok)?;
        let table = TableKind::Main;
        let staged = if self.spec.is_readable {
            self.staging.create_readable(table, &partition, &name)
        } else {
            self.staging.create(table, &partition, &name)
        };
        OpenFile::create(staged.map_err(external)?, partition, Arc::clone(&self.schema), properties)
    }

    async fn finish_day(&mut self, day: i32) -> Result<()> {
        if let Some(file) = self.open.remove(&day) {
            self.finished.push(file.finish().await?);
        }
        Ok(())
    }

    /// Finishes the oldest partition where as many are open as may be: events mostly move forward.
    async fn make_room(&mut self) -> Result<()> {
        while self.open.len() >= self.spec.limits.open_files.max(1) {
            let Some(oldest) = self.open.keys().min().copied() else {
                return Ok(());
            };
            self.finish_day(oldest).await?;
        }
        Ok(())
    }
}

impl RowBuffer {
    fn push(&mut self, batch: &RecordBatch, day_column: usize, bytes: usize) {
        let days = batch.column(day_column).as_primitive::<Int32Type>().values();
        let place = self.batches.len();
        let mut row = 0;
        while row < days.len() {
            let day = days[row];
            let places = self.places.entry(day).or_default();
            // Neighbours are often of one day: look the day up once for all of them.
            while row < days.len() && days[row] == day {
                places.push((place, row));
                row += 1;
            }
        }
        self.bytes += bytes;
        self.batches.push(batch.clone());
    }
}

/// Bytes that a batch's rows hold, without the dictionaries that all batches share.
fn row_bytes(batch: &RecordBatch) -> usize {
    let bytes = |column: &ArrayRef| match column.as_dictionary_opt::<Int32Type>() {
        Some(coded) => coded.keys().get_array_memory_size(),
        None => column.get_array_memory_size(),
    };
    batch.columns().iter().map(bytes).sum()
}
