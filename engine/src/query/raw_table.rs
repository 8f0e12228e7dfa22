//! Raw files as a table of a query.

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
use datafusion::physical_plan::empty::EmptyExec;

use super::record_screen::{RecordScreen, Screening};
use crate::record::{FAULT_COLUMN, RECORD_COLUMN, RecordSource};

/// Raw files of any of our formats; the SQL sees the declared columns.
#[derive(Debug)]
pub struct RawTable {
    name: String,
    declared: SchemaRef,
    source: RecordSource,
    store: ObjectStoreUrl,
    groups: Vec<FileGroup>,
    screening: Screening,
}

impl RawTable {
    /// Makes the table `name` of `groups` of files at `store`, a task each; broken records are screened as
    /// `screening` says.
    pub fn new(
        name: &str,
        source: RecordSource,
        store: ObjectStoreUrl,
        groups: Vec<FileGroup>,
        screening: Screening,
    ) -> Self {
        let all = source.table_schema().table_schema();
        let is_declared = |name: &str| name != RECORD_COLUMN && name != FAULT_COLUMN;
        let declared = all.fields().iter().filter(|field| is_declared(field.name())).cloned();
        let declared = Arc::new(Schema::new(declared.collect::<Vec<_>>()));
        Self { name: name.to_owned(), declared, source, store, groups, screening }
    }

    /// Returns the table's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the plan that counts the table's broken records, all of them; its rows are for
    /// [`Broken::of`](super::Broken::of).
    ///
    /// # Errors
    /// An internal error where the source has not the hidden columns.
    pub fn count_broken(&self) -> Result<Arc<dyn ExecutionPlan>> {
        self.screened(&[RECORD_COLUMN, FAULT_COLUMN], Screening::Count)
    }

    fn screened(&self, columns: &[&str], screening: Screening) -> Result<Arc<dyn ExecutionPlan>> {
        let all = self.source.table_schema().table_schema();
        let indices = columns.iter().map(|name| Ok(all.index_of(name)?)).collect::<Result<Vec<_>>>()?;
        // Files stay with their task, in their order.
        let config = FileScanConfigBuilder::new(self.store.clone(), Arc::new(self.source.clone()))
            .with_file_groups(self.groups.clone())
            .with_preserve_order(true)
            .with_projection_indices(Some(indices))?
            .build();
        let scan = DataSourceExec::from_data_source(config);
        Ok(Arc::new(RecordScreen::try_new(scan, self.name.clone(), screening)?))
    }
}

#[async_trait]
impl TableProvider for RawTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.declared)
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
            return nothing(&self.declared, projection);
        }
        let all = (0..self.declared.fields().len()).collect();
        let wanted = self.declared.project(projection.unwrap_or(&all))?;
        let mut columns: Vec<&str> = wanted.fields().iter().map(|field| field.name().as_str()).collect();
        columns.push(FAULT_COLUMN);
        self.screened(&columns, self.screening)
    }
}

/// A scan without files: one partition without rows, because nothing can be done with no partition.
pub(super) fn nothing(schema: &SchemaRef, projection: Option<&Vec<usize>>) -> Result<Arc<dyn ExecutionPlan>> {
    let columns = match projection {
        Some(columns) => Arc::new(schema.project(columns)?),
        None => Arc::clone(schema),
    };
    Ok(Arc::new(EmptyExec::new(columns)))
}
