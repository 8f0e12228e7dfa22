//! A small table as one object of a run: written by the driver, read by every task that joins it.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{Result, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::Expr;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::physical_plan::ExecutionPlan;
use object_store::ObjectMeta;
use sha2::{Digest, Sha256};

use crate::location::Location;
use crate::table::{PutNew, Staging, TableError};

/// A table whose rows lie in one Parquet object.
#[derive(Debug)]
pub struct PinnedTable {
    schema: SchemaRef,
    location: Location,
    object_bytes: u64,
    statistics: Statistics,
}

/// Writes `rows` as one object of the run that stages at `staging`.
///
/// The object is named for its content, so that tables that are alike share one.
///
/// # Errors
/// Where the rows cannot be written as Parquet, or the store fails.
pub async fn pin_table(
    rows: &RecordBatch,
    staging: &Staging,
) -> std::result::Result<PinnedTable, TableError> {
    let bytes = parquet(rows).map_err(|source| TableError::Io {
        action: "write as Parquet",
        path: staging.root().to_string(),
        source: std::io::Error::other(source),
    })?;
    let name: String = Sha256::digest(&bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let name = format!("tables/{name}.parquet");
    let location = staging.object_location(&name)?;
    let object_bytes = match staging.put_new(&name, bytes.clone().into()).await? {
        PutNew::Created => bytes.len(),
        PutNew::Exists(found) => found.len(),
    };
    let mut statistics = Statistics::new_unknown(&rows.schema());
    statistics.num_rows = Precision::Exact(rows.num_rows());
    statistics.total_byte_size = Precision::Inexact(rows.get_array_memory_size());
    Ok(PinnedTable { schema: rows.schema(), location, object_bytes: object_bytes as u64, statistics })
}

fn parquet(rows: &RecordBatch) -> std::result::Result<Vec<u8>, datafusion::parquet::errors::ParquetError> {
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None)?;
    writer.write(rows)?;
    writer.into_inner()
}

#[async_trait]
impl TableProvider for PinnedTable {
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
        let object = ObjectMeta {
            location: self.location.path().clone(),
            // The object never changes; nothing looks at when it was made.
            last_modified: Default::default(),
            size: self.object_bytes,
            e_tag: None,
            version: None,
        };
        let source = Arc::new(ParquetSource::new(Arc::clone(&self.schema)));
        let scan = FileScanConfigBuilder::new(ObjectStoreUrl::parse(self.location.store_url())?, source)
            .with_file_groups(vec![FileGroup::new(vec![PartitionedFile::new_from_meta(object)])])
            .with_statistics(self.statistics.clone())
            .with_projection_indices(projection.cloned())?
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(self.statistics.clone())
    }
}
