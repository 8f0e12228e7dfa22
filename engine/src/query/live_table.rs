//! The live files of a table of ours as a table of a query, with the column that is only in their folders.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{Result, ScalarValue, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use object_store::ObjectMeta;

use crate::athena::arrow_type;
use crate::location::Location;
use crate::record::{Format, GroupPlan, RecordConfig, plan_groups};
use crate::table::{LiveFile, TableSchema as LogSchema};

/// What a table of ours looks like to a query: the columns of its files, then the partition column as text.
#[derive(Debug)]
pub struct LiveTable {
    schema: SchemaRef,
    files: SchemaRef,
    partition: Option<Arc<Field>>,
    store: ObjectStoreUrl,
    groups: Vec<FileGroup>,
    statistics: Statistics,
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
    /// Makes a table of `files` with the columns `columns` below `root`, spread over tasks as `plan` says.
    ///
    /// # Errors
    /// Where a file's path is not valid.
    pub fn try_new(
        root: &Location,
        files: &[LiveFile],
        columns: SchemaRef,
        partition_column: Option<&str>,
        plan: &GroupPlan,
    ) -> Result<Self> {
        let partition = partition_column.map(|name| Arc::new(Field::new(name, DataType::Utf8, false)));
        let fields = columns.fields().iter().cloned().chain(partition.clone());
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let mut objects = Vec::new();
        let mut values = HashMap::new();
        for file in files {
            let place = root.join(&file.path).map_err(|error| external(error.into()))?;
            let folder = file.partition();
            let value = folder.split_once('=').map_or(folder, |(_, value)| value).to_owned();
            values.insert(place.path().clone(), value);
            objects.push(ObjectMeta {
                location: place.path().clone(),
                // A data file never changes; nothing looks at when it was made.
                last_modified: Default::default(),
                size: file.bytes,
                e_tag: None,
                version: None,
            });
        }
        let valued = |group: FileGroup| -> FileGroup {
            let files = group.into_inner().into_iter().map(|file| {
                let value = values.get(&file.object_meta.location).cloned();
                let value = partition.as_ref().map(|_| ScalarValue::Utf8(Some(value.unwrap_or_default())));
                file.with_partition_values(value.into_iter().collect())
            });
            FileGroup::new(files.collect())
        };
        let groups = plan_groups(&objects, &RecordConfig::new(Format::Parquet), plan);
        let mut statistics = Statistics::new_unknown(&schema);
        let rows: u64 = files.iter().map(|file| file.rows).sum();
        let bytes: u64 = files.iter().map(|file| file.bytes).sum();
        statistics.num_rows = Precision::Inexact(usize::try_from(rows).unwrap_or(usize::MAX));
        statistics.total_byte_size = Precision::Inexact(usize::try_from(bytes).unwrap_or(usize::MAX));
        Ok(Self {
            schema,
            files: columns,
            store: ObjectStoreUrl::parse(root.store_url())?,
            groups: groups.into_iter().map(valued).collect(),
            partition,
            statistics,
        })
    }
}

fn external(error: Box<dyn std::error::Error + Send + Sync>) -> datafusion::common::DataFusionError {
    datafusion::common::DataFusionError::External(error)
}

#[async_trait]
impl TableProvider for LiveTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if self.groups.is_empty() {
            return super::raw_table::nothing(&self.schema, projection);
        }
        let columns = TableSchema::builder(Arc::clone(&self.files))
            .with_table_partition_cols(self.partition.iter().cloned().collect::<Vec<_>>())
            .build();
        let scan = FileScanConfigBuilder::new(self.store.clone(), Arc::new(ParquetSource::new(columns)))
            .with_file_groups(self.groups.clone())
            .with_statistics(self.statistics.clone())
            .with_projection_indices(projection.cloned())?
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(self.statistics.clone())
    }
}
