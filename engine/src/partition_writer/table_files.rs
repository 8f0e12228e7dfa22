//! A task's rows on their way into one file per hive partition.
//!
//! Rows wait in a buffer until there are enough of them for each partition to get a row group worth
//! having; then one partition after another has its rows gathered, encoded and written. So a single row
//! group is under construction at any time: each costs a compression context per column, 2.5 GB for
//! hundreds of partitions at once.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{Decimal128Type, Int32Type, SchemaRef};
use cambist_udfs::rate::RateDate;
use datafusion::common::{DataFusionError, Result};
use futures::future::join_all;
use parquet::file::properties::WriterProperties;

use super::content_hash::ContentHash;
use super::exec::PartitionWriterSpec;
use super::file_names::FileNames;
use super::manifest::WrittenFile;
use super::open_file::{OpenFile, external, file_schema, remove_staged, table_properties, writer_properties};
use super::row_memory::RowMemory;
use crate::exact_sum::ExactSum;
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
    buffer: RowBuffer,
    open: HashMap<i32, OpenFile>,
    /// Files begun so far by partition, so that a second file of one partition gets another name.
    begun: HashMap<i32, u32>,
    finished: Vec<WrittenFile>,
}

/// Where the columns are that a file's totals are taken from.
struct TotalColumns {
    source_amount: usize,
    source_currency: usize,
    targets: Vec<(String, usize)>,
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
        let totals = TotalColumns {
            source_amount: input.index_of("source_amount")?,
            source_currency: input.index_of("source_currency")?,
            targets: spec
                .targets
                .iter()
                .map(|target| Ok((target.code.clone(), input.index_of(&target.column("amount"))?)))
                .collect::<Result<_>>()?,
        };
        Ok(Self {
            schema: file_schema(input, input.fields().len() - 1)?,
            properties: None,
            spec,
            staging,
            names,
            memory,
            totals,
            buffer: RowBuffer::default(),
            open: HashMap::new(),
            begun: HashMap::new(),
            finished: Vec::new(),
        })
    }

    pub(super) async fn push(&mut self, batch: &RecordBatch) -> Result<()> {
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
        if !self.open.contains_key(&day) {
            self.make_room().await?;
            let file = self.begin(day)?;
            self.open.insert(day, file);
        }
        let Some(file) = self.open.get_mut(&day) else {
            return Ok(());
        };
        fault::task_point("task.writing").map_err(DataFusionError::IoError)?;
        self.totals.add(rows, file);
        file.write(rows, ContentHash::of(rows)?).await?;
        file.end_row_group().await?;
        if file.written_bytes() >= self.spec.limits.file_bytes {
            self.finish_day(day).await?;
        }
        Ok(())
    }

    fn begin(&mut self, day: i32) -> Result<OpenFile> {
        let number = self.begun.entry(day).or_default();
        let name = self.names.table_file(*number);
        *number += 1;
        let partition = format!("{}={}", self.spec.partition_column, RateDate(day));
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

impl TotalColumns {
    fn add(&self, rows: &RecordBatch, file: &mut OpenFile) {
        for (code, column) in &self.targets {
            let amounts = rows.column(*column).as_primitive::<Decimal128Type>();
            let mut sum = ExactSum::zero(amounts.scale().unsigned_abs());
            amounts.values().iter().for_each(|amount| sum.add(*amount));
            file.totals.entry(code.clone()).or_insert(ExactSum::zero(0)).merge(&sum);
        }
        let amounts = rows.column(self.source_amount).as_primitive::<Decimal128Type>();
        let coded = rows.column(self.source_currency).as_dictionary::<Int32Type>();
        let codes: &StringArray = coded.values().as_string();
        let zero = ExactSum::zero(amounts.scale().unsigned_abs());
        // Few of the known currencies are in a file: they are found by their place in this list.
        let mut places = vec![usize::MAX; codes.len()];
        let mut sums: Vec<(usize, ExactSum)> = Vec::new();
        for (key, amount) in coded.keys().values().iter().zip(amounts.values()) {
            let code = *key as usize;
            if places[code] == usize::MAX {
                places[code] = sums.len();
                sums.push((code, zero));
            }
            sums[places[code]].1.add(*amount);
        }
        for (code, sum) in sums {
            file.source_totals.entry(codes.value(code).to_owned()).or_insert(ExactSum::zero(0)).merge(&sum);
        }
    }
}
