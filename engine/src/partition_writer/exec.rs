//! The operator.

use std::fmt;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};

use super::manifest::{TaskManifest, schema};
use super::quarantine_file::write_quarantine;
use super::table_files::TableFiles;
use crate::exact_sum::merge_sums;
use crate::plan_node::{properties_over, single_child_plan};
use crate::quarantine::RawEncoding;
use crate::rate_join::TargetCurrency;
use crate::table::Staging;
use crate::task::TaskLedger;

/// Bounds of one writing task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterLimits {
    /// Bytes of rows gathered before they are spread over the partitions' files, a row group each.
    pub buffer_bytes: usize,
    /// Bytes after which a further file is begun.
    pub file_bytes: usize,
    /// Partitions whose files are open at once.
    pub open_files: usize,
}

impl Default for WriterLimits {
    fn default() -> Self {
        Self { buffer_bytes: 256 << 20, file_bytes: 512 << 20, open_files: 4096 }
    }
}

/// What is written and where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PartitionWriterSpec {
    /// The run, part of every file name.
    pub run_id: String,
    /// The name of the hive partition column; its value is the event date.
    pub partition_column: String,
    /// The currencies whose totals are kept.
    pub targets: Vec<TargetCurrency>,
    /// How quarantined raw records are shown.
    pub raw_encoding: RawEncoding,
    /// Bounds of one task.
    pub limits: WriterLimits,
}

/// Writes converted rows and quarantined records; yields one manifest row per partition.
#[derive(Debug)]
pub struct PartitionWriter {
    input: Arc<dyn ExecutionPlan>,
    spec: Arc<PartitionWriterSpec>,
    staging: Staging,
    properties: Arc<PlanProperties>,
}

impl PartitionWriter {
    /// Writes the rows of `input`, a [`crate::rate_join::RateJoin`] or an operator with its columns.
    pub fn new(input: Arc<dyn ExecutionPlan>, spec: Arc<PartitionWriterSpec>, staging: Staging) -> Self {
        let properties = properties_over(&input, schema());
        Self { input, spec, staging, properties }
    }

    /// Returns what is written.
    pub fn spec(&self) -> &PartitionWriterSpec {
        &self.spec
    }

    /// Returns where the files are staged.
    pub fn staging(&self) -> &Staging {
        &self.staging
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input, Arc::clone(&self.spec), self.staging.clone()))
    }
}

impl DisplayAs for PartitionWriter {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartitionWriter: partition_by={}", self.spec.partition_column)
    }
}

impl ExecutionPlan for PartitionWriter {
    single_child_plan!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (ledger, diverted) = TaskLedger::open();
        let context = Arc::new(with_ledger(&context, &ledger));
        let files =
            TableFiles::new(Arc::clone(&self.spec), self.staging.clone(), partition, &self.input.schema())?;
        let quarantine = write_quarantine(diverted, Arc::clone(&self.spec), self.staging.clone(), partition);
        let input = self.input.execute(partition, context)?;
        let task = async move {
            let quarantine = SpawnedTask::spawn(quarantine);
            let files = write_rows(input, files).await;
            ledger.close();
            // Where both failed, the quarantine's own error is the cause: the rows stop when it does.
            let quarantined =
                quarantine.join().await.map_err(|error| DataFusionError::External(Box::new(error)))??;
            manifest(partition, files?, quarantined, &ledger)
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema(), stream::once(task))))
    }
}

async fn write_rows(
    mut input: SendableRecordBatchStream,
    mut files: TableFiles,
) -> Result<Vec<super::manifest::WrittenFile>> {
    while let Some(batch) = input.next().await {
        files.push(&batch?).await?;
    }
    files.finish().await
}

fn manifest(
    partition: usize,
    mut files: Vec<super::manifest::WrittenFile>,
    quarantined: Option<super::manifest::WrittenFile>,
    ledger: &TaskLedger,
) -> Result<RecordBatch> {
    let mut counts = ledger.counts();
    for file in &files {
        counts.converted += file.rows;
        merge_sums(&mut counts.source_converted, &file.source_totals);
        merge_sums(&mut counts.target_totals, &file.totals);
    }
    files.extend(quarantined);
    let task = u32::try_from(partition).map_err(|error| DataFusionError::External(Box::new(error)))?;
    TaskManifest { task, files, counts }.to_batch()
}

/// The task's context, with its ledger where the operators below find it.
fn with_ledger(context: &TaskContext, ledger: &Arc<TaskLedger>) -> TaskContext {
    let config = context.session_config().clone().with_extension(Arc::clone(ledger));
    TaskContext::new(
        context.task_id(),
        context.session_id(),
        config,
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        context.runtime_env(),
    )
}
