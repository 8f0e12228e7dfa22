//! The table `source` of a job's SQL: raw files, read permissively.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::TableType;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, FileSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;

use crate::record::{FAULT_COLUMN, RECORD_COLUMN, RecordSource};
use crate::record_gate::RecordGate;

/// Raw files as a table; broken records go to the quarantine, whole ones to the SQL.
#[derive(Debug)]
pub struct SourceTable {
    /// The declared columns and the hidden record column.
    schema: SchemaRef,
    source: RecordSource,
    store: ObjectStoreUrl,
    groups: Vec<FileGroup>,
}

impl SourceTable {
    /// Makes a table of `groups` of files, one task each, at `store`.
    ///
    /// # Errors
    /// Where `source` has not the hidden columns.
    pub fn try_new(source: RecordSource, store: ObjectStoreUrl, groups: Vec<FileGroup>) -> Result<Self> {
        let all = source.table_schema().table_schema();
        let fault = all.index_of(FAULT_COLUMN)?;
        let kept: Vec<usize> = (0..all.fields().len()).filter(|&index| index != fault).collect();
        Ok(Self { schema: Arc::new(all.project(&kept)?), source, store, groups })
    }

    /// Returns the columns that a job's SQL may name.
    pub fn declared_schema(&self) -> SchemaRef {
        let declared = self.schema.fields().iter().filter(|field| field.name() != RECORD_COLUMN);
        Arc::new(Schema::new(declared.cloned().collect::<Vec<_>>()))
    }

    /// Returns the scan of `columns` (of the declared ones) and the two hidden columns.
    ///
    /// # Errors
    /// Where a column does not exist.
    pub fn scan_columns(&self, columns: &[usize]) -> Result<Arc<dyn ExecutionPlan>> {
        let all = self.source.table_schema().table_schema();
        let mut indices = columns.to_vec();
        for hidden in [RECORD_COLUMN, FAULT_COLUMN] {
            let index = all.index_of(hidden)?;
            if !indices.contains(&index) {
                indices.push(index);
            }
        }
        // Files stay with their task, in their order: the rows of a file come out as they lie in it.
        let config = FileScanConfigBuilder::new(self.store.clone(), Arc::new(self.source.clone()))
            .with_file_groups(self.groups.clone())
            .with_preserve_order(true)
            .with_projection_indices(Some(indices))?
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

#[async_trait]
impl TableProvider for SourceTable {
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
        let all = (0..self.schema.fields().len()).collect();
        let scan = self.scan_columns(projection.unwrap_or(&all))?;
        Ok(Arc::new(RecordGate::try_new(scan)?))
    }
}
