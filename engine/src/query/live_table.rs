//! A snapshot of a table of ours as a table of a query, with the column that is only in its folders.
//!
//! Nothing is listed and no file is opened to plan: the log knows the files, their rows and their partitions.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DataFusionError, Result, ScalarValue, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use object_store::ObjectMeta;

use super::settled::{is_about, meeting};
use crate::athena::arrow_type;
use crate::parquet_object::FOOTER_BYTES;
use crate::record::{Format, GroupPlan, RecordConfig, plan_groups};
use crate::table::{TableKind, TableSchema as LogSchema, TableSnapshot, snapshot_store_url};

/// A query that wants no more rows than this is read by one task, file after file: more would open files whose
/// rows nobody takes.
const ROWS_OF_ONE_TASK: usize = 64 << 10;

/// What a table of ours looks like to a query: the columns of its files, then the partition column as text.
///
/// Conditions on the partition column alone are settled when the query is planned: files of other partitions
/// are not in the plan. Other conditions skip row groups by the statistics in the files. Without conditions
/// the number of rows, and the least and greatest partition, are known from the log.
#[derive(Debug)]
pub struct LiveTable {
    schema: SchemaRef,
    columns: SchemaRef,
    partition: Option<Arc<Field>>,
    store: ObjectStoreUrl,
    files: Vec<File>,
    plan: GroupPlan,
}

#[derive(Debug)]
struct File {
    object: ObjectMeta,
    rows: u64,
    partition: String,
}

/// Returns the columns that a query sees of files with the columns `found`, or, where there is no file, of
/// those that the log names.
///
/// # Errors
/// Where the log has a column of a type that no table has.
pub fn live_columns(found: Option<&Schema>, log: &LogSchema) -> Result<SchemaRef> {
    let Some(found) = found else {
        let of_log = log
            .columns
            .iter()
            .map(|column| Ok(Field::new(&column.name, arrow_type(&column.hive_type)?, true)));
        return Ok(Arc::new(Schema::new(of_log.collect::<Result<Vec<_>>>()?)));
    };
    let plain = found.fields().iter().map(|field| {
        // How a file codes its texts is no part of the table.
        let data_type = match field.data_type() {
            DataType::Dictionary(_, values) => values.as_ref().clone(),
            other => other.clone(),
        };
        Field::new(field.name(), data_type, true)
    });
    Ok(Arc::new(Schema::new(plain.collect::<Vec<_>>())))
}

impl LiveTable {
    /// Makes a table of one of the two tables of a snapshot, spread over tasks as `plan` says.
    ///
    /// # Errors
    /// [`crate::table::TableError`] inside, where the first file cannot be read for its columns.
    pub async fn open(snapshot: &TableSnapshot, kind: TableKind, plan: &GroupPlan) -> Result<Self> {
        let of_log = snapshot.log_schema(kind);
        let found = snapshot.file_columns(kind).await.map_err(external)?;
        let columns = live_columns(found.as_deref(), &of_log)?;
        let partition = of_log.partition_column.as_deref();
        let partition = partition.map(|name| Arc::new(Field::new(name, DataType::Utf8, false)));
        let fields = columns.fields().iter().cloned().chain(partition.clone());
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let mut files = Vec::new();
        for file in snapshot.files(kind) {
            let folder = file.file.partition();
            files.push(File {
                object: ObjectMeta {
                    location: file.read_path().map_err(external)?,
                    // A data file never changes; nothing looks at when it was made.
                    last_modified: Default::default(),
                    size: file.file.bytes,
                    e_tag: None,
                    version: None,
                },
                rows: file.file.rows,
                partition: folder.split_once('=').map_or(folder, |(_, value)| value).to_owned(),
            });
        }
        let store = ObjectStoreUrl::parse(snapshot_store_url(snapshot.location(kind)))?;
        Ok(Self { schema, columns, partition, store, files, plan: *plan })
    }

    /// Returns the sum of the sizes of all files, in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.object.size).sum()
    }

    /// Tells whether a condition is about the partition column alone, and so holds for whole files or not.
    fn is_of_partition(&self, condition: &Expr) -> bool {
        let is_partition = |column: &str| self.partition.as_ref().is_some_and(|own| own.name() == column);
        is_about(condition, is_partition)
    }

    /// Returns the files whose partition meets all of `conditions`, which are about the partition column.
    fn meeting(&self, state: &dyn Session, conditions: &[&Expr]) -> Result<Vec<&File>> {
        let Some(partition) = self.partition.as_ref().filter(|_| !conditions.is_empty()) else {
            return Ok(self.files.iter().collect());
        };
        let values: BTreeSet<&str> = self.files.iter().map(|file| file.partition.as_str()).collect();
        let values: Vec<&str> = values.into_iter().collect();
        let schema = Arc::new(Schema::new(vec![Arc::clone(partition)]));
        let rows = RecordBatch::try_new(
            schema,
            vec![Arc::new(StringArray::from_iter_values(values.iter().copied()))],
        )?;
        let met = meeting(state, &rows, conditions)?;
        let left: HashSet<&str> = met.into_iter().filter_map(|row| values.get(row).copied()).collect();
        Ok(self.files.iter().filter(|file| left.contains(file.partition.as_str())).collect())
    }

    /// Spreads files over tasks.
    fn groups(&self, files: &[&File], rows_max: Option<usize>) -> Vec<FileGroup> {
        let objects: Vec<ObjectMeta> = files.iter().map(|file| file.object.clone()).collect();
        let mut partitions = HashMap::new();
        for file in files {
            partitions.insert(&file.object.location, &file.partition);
        }
        let plan = match rows_max {
            Some(..=ROWS_OF_ONE_TASK) => GroupPlan::per_slot(1),
            _ => self.plan,
        };
        let valued = |group: FileGroup| -> FileGroup {
            let files = group.into_inner().into_iter().map(|file| {
                let value = partitions.get(&file.object_meta.location).map(|value| (*value).clone());
                let value =
                    self.partition.as_ref().map(|_| ScalarValue::Utf8(Some(value.unwrap_or_default())));
                file.with_partition_values(value.into_iter().collect())
            });
            FileGroup::new(files.collect())
        };
        let groups = plan_groups(&objects, &RecordConfig::new(Format::Parquet), &plan);
        groups.into_iter().map(valued).collect()
    }

    /// What the log says of the rows of `files`.
    fn statistics_of<'a>(&self, files: impl Iterator<Item = &'a File> + Clone) -> Statistics {
        let sum = |numbers: &mut dyn Iterator<Item = u64>| usize::try_from(numbers.sum::<u64>());
        let mut statistics = Statistics::new_unknown(&self.schema);
        if let Ok(rows) = sum(&mut files.clone().map(|file| file.rows)) {
            statistics.num_rows = Precision::Exact(rows);
        }
        if let Ok(bytes) = sum(&mut files.clone().map(|file| file.object.size)) {
            statistics.total_byte_size = Precision::Inexact(bytes);
        }
        let values = files.filter(|file| file.rows > 0).map(|file| file.partition.as_str());
        if let (Some(_), Some(column)) = (&self.partition, statistics.column_statistics.last_mut()) {
            let exact = |value: &str| Precision::Exact(ScalarValue::Utf8(Some(value.to_owned())));
            column.null_count = Precision::Exact(0);
            column.min_value = values.clone().min().map_or(Precision::Absent, exact);
            column.max_value = values.max().map_or(Precision::Absent, exact);
        }
        statistics
    }
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Returns as many of the files, in their order, as have `rows_max` rows.
fn first_files(files: Vec<&File>, rows_max: usize) -> Vec<&File> {
    let mut rows = 0;
    let mut first = Vec::new();
    for file in files.into_iter().filter(|file| file.rows > 0) {
        if rows >= rows_max as u64 {
            break;
        }
        rows += file.rows;
        first.push(file);
    }
    first
}

#[async_trait]
impl TableProvider for LiveTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let kind = |condition: &&Expr| {
            // Others come to the scan when the physical plan is made, which skips row groups by them.
            if self.is_of_partition(condition) {
                TableProviderFilterPushDown::Exact
            } else {
                TableProviderFilterPushDown::Inexact
            }
        };
        Ok(filters.iter().map(kind).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (settled, open): (Vec<&Expr>, Vec<&Expr>) =
            filters.iter().partition(|condition| self.is_of_partition(condition));
        let mut files = self.meeting(state, &settled)?;
        // A condition that is still open may leave out any number of rows.
        let rows_max = limit.filter(|_| open.is_empty());
        if let Some(rows_max) = rows_max {
            files = first_files(files, rows_max);
        }
        if files.is_empty() {
            return super::raw_table::nothing(&self.schema, projection);
        }
        let mut statistics = self.statistics_of(files.iter().copied());
        if rows_max.is_some() {
            statistics = statistics.to_inexact();
        }
        let columns = TableSchema::builder(Arc::clone(&self.columns))
            .with_table_partition_cols(self.partition.iter().cloned().collect::<Vec<_>>())
            .build();
        let runtime = state.runtime_env();
        // Files never change, so what is known of one is known for good.
        let reading = CachedParquetFileReaderFactory::new(
            runtime.object_store(&self.store)?,
            runtime.cache_manager.get_file_metadata_cache(),
        );
        let source = ParquetSource::new(columns)
            .with_metadata_size_hint(FOOTER_BYTES)
            .with_parquet_file_reader_factory(Arc::new(reading));
        let scan = FileScanConfigBuilder::new(self.store.clone(), Arc::new(source))
            .with_file_groups(self.groups(&files, rows_max))
            .with_statistics(statistics)
            .with_limit(rows_max)
            .with_projection_indices(projection.cloned())?
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(self.statistics_of(self.files.iter()))
    }
}
