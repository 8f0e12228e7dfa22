//! The work on a plan: rows into staged files.

use std::sync::Arc;

use cambist_engine::execution::ExecutionError;
use cambist_engine::merge::MergePass;
use cambist_engine::partition_writer::{
    PartitionWriter, PartitionWriterSpec, TaskManifest, WriterLimits, WrittenFile, read_manifests,
};
use cambist_engine::quarantine::RawEncoding;
use cambist_engine::table::{PutNew, Staging};
use cambist_engine::task_input::{inputs_of_places, planned_inputs};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::ExecutionPlan;

use super::options::SqlJobConfig;
use super::plan::{SqlJobPlan, Way};
use crate::context::RunContext;
use crate::error::{ErrorKind, JobError, Result};
use crate::input::{of_execution, of_merge, of_table, planning, running};
use crate::query::{CAST_HINT, FileFormat, MAX_BYTES, check_size, count_broken, encode, written_columns};

/// Files that a run may write into a partition before it merges them, as for `normalize`.
const FILES_PER_PARTITION: usize = 16;

/// Bytes that a task of a merge reads, as for `normalize`.
const TASK_BYTES: u64 = 128 << 20;

/// A result that was made before it is written.
const RESULT: &str = "result.parquet";

/// One run's work.
pub(super) struct Writing<'a> {
    pub(super) config: &'a SqlJobConfig,
    pub(super) context: &'a RunContext,
    pub(super) plan: &'a SqlJobPlan,
    pub(super) staging: &'a Staging,
}

impl Writing<'_> {
    /// Returns the files that are to be committed.
    pub(super) async fn run(&self) -> Result<Vec<WrittenFile>> {
        let rows = match self.plan.way {
            Way::Kept => self.kept().await?,
            Way::MapOnly | Way::LastStage => Arc::clone(&self.plan.rows),
        };
        let manifests = self.write(Arc::clone(&rows)).await?;
        let files = manifests.into_iter().flat_map(|manifest| manifest.files).collect();
        self.merge(&rows, files).await
    }

    async fn write(&self, rows: Arc<dyn ExecutionPlan>) -> Result<Vec<TaskManifest>> {
        let spec = self.writer_spec(&rows);
        let planned = if spec.by_place {
            inputs_of_places(rows.properties().partitioning.partition_count())
        } else {
            planned_inputs(&rows).map_err(running)?
        };
        let writer: Arc<dyn ExecutionPlan> =
            Arc::new(PartitionWriter::new(rows, Arc::new(spec), self.staging.clone()));
        let (context, session) = (self.context, &self.plan.session);
        let collected = context.execution.collect(&context.run_id, writer, session, &context.progress).await;
        let batches = match collected {
            Ok(batches) => batches,
            Err(failed) => return Err(self.explained(failed).await?),
        };
        read_manifests(&batches, &planned).map_err(running)
    }

    /// Makes the result, keeps it as an object of the run, and returns its scan.
    async fn kept(&self) -> Result<Arc<dyn ExecutionPlan>> {
        let (context, plan) = (self.context, self.plan);
        let rows = Arc::clone(&plan.rows);
        let collected = context.execution.collect(&context.run_id, rows, &plan.session, &context.progress);
        let batches = match collected.await {
            Ok(batches) => batches,
            Err(failed) => return Err(self.explained(failed).await?),
        };
        check_size(usize::try_from(MAX_BYTES).unwrap_or(usize::MAX), &batches)
            .map_err(|error| error.with_hint("ask for fewer rows or columns"))?;
        let columns = written_columns(&plan.rows.schema())?;
        let encoded = encode(FileFormat::Parquet, &columns, batches)?;
        let put = self.staging.put_new(RESULT, encoded.bytes.clone()).await;
        let bytes = match put.map_err(|error| of_table(&error))? {
            PutNew::Created => encoded.bytes.len(),
            // The same attempt at the same run, started again: what its tasks were told before still holds.
            PutNew::Exists(found) => found.len(),
        };
        self.scan_of_result(columns, bytes as u64)
    }

    fn scan_of_result(&self, columns: SchemaRef, bytes: u64) -> Result<Arc<dyn ExecutionPlan>> {
        let failed = |error| planning(error, "the result cannot be read again");
        let place = self.staging.object_location(RESULT).map_err(|error| of_table(&error))?;
        let store = ObjectStoreUrl::parse(place.store_url()).map_err(failed)?;
        let file = PartitionedFile::new(place.path().to_string(), bytes);
        let config = FileScanConfigBuilder::new(store, Arc::new(ParquetSource::new(columns)))
            .with_file_groups(vec![FileGroup::new(vec![file])])
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    async fn merge(
        &self,
        rows: &Arc<dyn ExecutionPlan>,
        files: Vec<WrittenFile>,
    ) -> Result<Vec<WrittenFile>> {
        // Tasks of the second pass have names of their own beside those of the first.
        let spec = PartitionWriterSpec {
            resumable: true,
            is_readable: false,
            by_place: false,
            ..self.writer_spec(rows)
        };
        let pass = MergePass {
            name: &self.context.run_id,
            execution: self.context.execution.as_ref(),
            session: &self.plan.session,
            progress: &self.context.progress,
            spec: &spec,
            staging: self.staging,
        };
        pass.merge_staged(&rows.schema(), files, FILES_PER_PARTITION, TASK_BYTES).await.map_err(of_merge)
    }

    fn writer_spec(&self, rows: &Arc<dyn ExecutionPlan>) -> PartitionWriterSpec {
        PartitionWriterSpec {
            run_id: self.context.run_id.clone(),
            partition_column: self.config.definition.partition_by.clone(),
            // Which columns are amounts is the SELECT's matter: rows and their hash are what is kept.
            targets: Vec::new(),
            raw_encoding: RawEncoding::Utf8,
            limits: WriterLimits::default(),
            resumable: self.context.execution.is_remote(),
            is_readable: rows.properties().partitioning.partition_count() > FILES_PER_PARTITION,
            by_place: self.plan.way == Way::LastStage,
            tally: None,
        }
    }

    /// Says where the first broken record is, where such are the cause.
    async fn explained(&self, failed: ExecutionError) -> Result<JobError> {
        let mut failed = of_execution(failed);
        if failed.kind == ErrorKind::Data {
            let (broken, first) = count_broken(self.context, &self.plan.session, &self.plan.raw).await?;
            if broken > 0 {
                return Ok(first.with_hint("mend the files"));
            }
            failed.hint = failed.hint.or_else(|| Some(CAST_HINT.to_owned()));
        }
        Ok(failed)
    }
}
