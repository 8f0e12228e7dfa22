//! The readers as a scan sees them, over objects in memory.
//!
//! A row is written `number@offset value|value`, null as `-`; a fault as `number@offset REASON detail
//! <raw>`. Unless a test says otherwise, every file is read with chunks of 1, 2, 3, 7, 64 and 4096 bytes.

mod compressed;
mod csv;
mod json;
mod parquet;
mod planning;
mod random;
mod split;
mod values;

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::DataFusionError;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::execution::TaskContext;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::*;

pub(super) const CHUNKS: [usize; 6] = [1, 2, 3, 7, 64, 4096];

/// Objects in memory.
pub(super) struct Objects {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) files: Vec<ObjectMeta>,
}

impl Objects {
    pub(super) async fn new(files: &[(&str, &[u8])]) -> Self {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let mut metas = Vec::new();
        for (name, bytes) in files {
            let path = Path::from(*name);
            store.put(&path, bytes.to_vec().into()).await.unwrap();
            metas.push(store.head(&path).await.unwrap());
        }
        Self { store, files: metas }
    }

    pub(super) fn whole(&self) -> Vec<FileGroup> {
        self.files
            .iter()
            .map(|meta| FileGroup::new(vec![PartitionedFile::new_from_meta(meta.clone())]))
            .collect()
    }

    /// The first file in ranges that end at `cuts`.
    pub(super) fn cut(&self, cuts: &[usize]) -> Vec<FileGroup> {
        let meta = &self.files[0];
        let mut start = 0;
        let ends = cuts.iter().map(|cut| *cut as i64).chain([meta.size as i64]);
        ends.map(|end| {
            let file = PartitionedFile::new_from_meta(meta.clone()).with_range(start, end);
            start = end;
            FileGroup::new(vec![file])
        })
        .collect()
    }

    pub(super) async fn batches(
        &self,
        config: &RecordConfig,
        groups: Vec<FileGroup>,
    ) -> Result<Vec<RecordBatch>, RecordError> {
        let schema = infer(&self.store, &self.files, config).await?;
        let source = RecordSource::new(Arc::new(config.clone()), schema);
        scan(&self.store, source, groups).await
    }

    pub(super) async fn rows(
        &self,
        config: &RecordConfig,
        groups: Vec<FileGroup>,
    ) -> Result<Vec<String>, RecordError> {
        Ok(self.batches(config, groups).await?.iter().flat_map(rows).collect())
    }
}

/// Runs a scan, the partitions one after another; what was read before an error is lost.
pub(super) async fn scan(
    store: &Arc<dyn ObjectStore>,
    source: RecordSource,
    groups: Vec<FileGroup>,
) -> Result<Vec<RecordBatch>, RecordError> {
    let url = ObjectStoreUrl::parse("memory://test").unwrap();
    let context = task_context(&url, store);
    let plan: Arc<dyn ExecutionPlan> = source.into_scan(url, groups);
    let mut batches = Vec::new();
    for partition in 0..plan.output_partitioning().partition_count() {
        let stream = plan.execute(partition, Arc::clone(&context)).unwrap();
        batches.extend(stream.try_collect::<Vec<_>>().await.map_err(typed)?);
    }
    Ok(batches)
}

pub(super) fn task_context(url: &ObjectStoreUrl, store: &Arc<dyn ObjectStore>) -> Arc<TaskContext> {
    let runtime = RuntimeEnv::default();
    runtime.register_object_store(url.as_ref(), Arc::clone(store));
    Arc::new(TaskContext::default().with_runtime(Arc::new(runtime)))
}

fn typed(error: DataFusionError) -> RecordError {
    match error {
        DataFusionError::External(error) => *error.downcast().unwrap(),
        DataFusionError::IoError(error) => *error.into_inner().unwrap().downcast().unwrap(),
        other => panic!("not an error of a record reader: {other}"),
    }
}

/// Writes the rows of a batch.
pub(super) fn rows(batch: &RecordBatch) -> Vec<String> {
    let record = batch.column_by_name(RECORD_COLUMN).unwrap().as_struct();
    let fault = batch.column_by_name(FAULT_COLUMN).unwrap().as_struct();
    let offsets = record.column_by_name(OFFSET_FIELD).unwrap().as_primitive::<Int64Type>();
    let numbers = record.column_by_name(NUMBER_FIELD).unwrap().as_primitive::<Int64Type>();
    let options = FormatOptions::default().with_null("-");
    let mut lines = Vec::new();
    for row in 0..batch.num_rows() {
        let number = if numbers.is_valid(row) { numbers.value(row).to_string() } else { "?".to_owned() };
        let mut values = Vec::new();
        for (column, field) in batch.columns().iter().zip(batch.schema().fields()) {
            if field.name() != RECORD_COLUMN && field.name() != FAULT_COLUMN {
                let formatter = ArrayFormatter::try_new(column, &options).unwrap();
                values.push(formatter.value(row).to_string());
            }
        }
        let place = format!("{number}@{}", offsets.value(row));
        if fault.is_null(row) {
            lines.push(format!("{place} {}", values.join("|")));
            continue;
        }
        assert!(values.iter().all(|value| value == "-"), "a fault row has values: {values:?}");
        let reason = fault.column_by_name(REASON_FIELD).unwrap().as_string::<i32>().value(row).to_owned();
        let detail = fault.column_by_name(DETAIL_FIELD).unwrap().as_string::<i32>().value(row).to_owned();
        lines.push(format!("{place} {reason} {detail} <{}>", raw(batch, row)));
    }
    lines
}

/// The raw record of a row of a text file.
pub(super) fn raw(batch: &RecordBatch, row: usize) -> String {
    let record = batch.column_by_name(RECORD_COLUMN).unwrap().as_struct();
    match record.column_by_name(RAW_FIELD).unwrap().as_binary_view_opt() {
        Some(raw) if raw.is_valid(row) => match std::str::from_utf8(raw.value(row)) {
            Ok(text) => text.to_owned(),
            Err(_) => raw.value(row).escape_ascii().to_string().replace("\\\"", "\""),
        },
        _ => String::new(),
    }
}

pub(super) fn file_name(batch: &RecordBatch, row: usize) -> String {
    let record = batch.column_by_name(RECORD_COLUMN).unwrap().as_struct();
    let names = cast(record.column_by_name(FILE_FIELD).unwrap(), &DataType::Utf8).unwrap();
    names.as_string::<i32>().value(row).to_owned()
}

/// Reads one file whole, with chunks of every size, and compares its rows.
pub(super) async fn check(config: &RecordConfig, bytes: &[u8], expected: &[&str]) {
    check_with(config, bytes, expected, &CHUNKS).await;
}

pub(super) async fn check_with(config: &RecordConfig, bytes: &[u8], expected: &[&str], chunks: &[usize]) {
    let objects = Objects::new(&[("in/file", bytes)]).await;
    for &chunk_bytes in chunks {
        let config = RecordConfig { chunk_bytes, ..config.clone() };
        let rows = objects.rows(&config, objects.whole()).await.unwrap();
        assert_eq!(rows, expected, "with chunks of {chunk_bytes} bytes");
    }
}

/// Reads files whole and returns the text of the error.
pub(super) async fn error(config: &RecordConfig, files: &[(&str, &[u8])]) -> String {
    let objects = Objects::new(files).await;
    objects.rows(config, objects.whole()).await.unwrap_err().to_string()
}

pub(super) fn typed_columns(config: RecordConfig, types: &[(&str, &str)]) -> RecordConfig {
    let types = types.iter().map(|(name, text)| ((*name).to_owned(), text.parse().unwrap()));
    RecordConfig { types: types.collect(), ..config }
}
