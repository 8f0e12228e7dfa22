//! The scan of a merge: whole Parquet files, with the event date that only their folder tells.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::ExecutionPlan;
use jiff::civil::Date;
use object_store::ObjectMeta;

use super::tasks::MergeTask;
use crate::rate_join::EVENT_DATE_COLUMN;

/// The column that the writer sums amounts by; it wants its texts coded.
const SOURCE_CURRENCY: &str = "source_currency";

/// Returns the columns in which files with the columns `file` are read, to be written again.
pub fn merge_columns(file: &Schema) -> SchemaRef {
    let column = |field: &Arc<Field>| {
        if field.name() == SOURCE_CURRENCY {
            let coded = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            return Arc::new(Field::new(field.name(), coded, field.is_nullable()));
        }
        Arc::new(Field::new(field.name(), field.data_type().clone(), field.is_nullable()))
    };
    Arc::new(Schema::new(file.fields().iter().map(column).collect::<Vec<_>>()))
}

/// Returns the scan of `tasks`, one partition each: `columns` and the event date, as the writer wants them.
///
/// # Errors
/// Where a hive partition's value is no date.
pub fn scan(
    store: ObjectStoreUrl,
    columns: SchemaRef,
    tasks: &[MergeTask],
) -> Result<Arc<dyn ExecutionPlan>> {
    let groups = tasks.iter().map(file_group).collect::<Result<Vec<_>>>()?;
    let event_date = Arc::new(Field::new(EVENT_DATE_COLUMN, DataType::Int32, false));
    let source =
        ParquetSource::new(TableSchema::builder(columns).with_table_partition_cols(vec![event_date]).build());
    // Files stay with their task, in their order: rows keep the order they had.
    let config = FileScanConfigBuilder::new(store, Arc::new(source))
        .with_file_groups(groups)
        .with_preserve_order(true)
        .build();
    Ok(DataSourceExec::from_data_source(config))
}

fn file_group(task: &MergeTask) -> Result<FileGroup> {
    let mut group = Vec::new();
    for (partition, files) in &task.parts {
        let day = event_day(partition)?;
        group.extend(files.iter().map(|file| {
            let meta = ObjectMeta {
                location: file.location.clone(),
                last_modified: Default::default(),
                size: file.bytes,
                e_tag: None,
                version: None,
            };
            PartitionedFile::new_from_meta(meta).with_partition_values(vec![ScalarValue::Int32(Some(day))])
        }));
    }
    Ok(FileGroup::new(group))
}

/// Returns the days since 1970-01-01 that a hive partition such as `dt=2024-05-01` stands for.
fn event_day(partition: &str) -> Result<i32> {
    let value = partition.split_once('=').map_or(partition, |(_, value)| value);
    let epoch = jiff::civil::date(1970, 1, 1);
    match value.parse::<Date>().and_then(|date| epoch.until(date)) {
        Ok(days) => Ok(days.get_days()),
        Err(_) => plan_err!("the partition `{partition}` is of no day, expected one such as `dt=2024-05-01`"),
    }
}
