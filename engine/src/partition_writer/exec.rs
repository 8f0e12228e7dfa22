//! The operator.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::stream;
use serde::{Deserialize, Serialize};

use super::attempt::TaskAttempt;
use super::manifest::schema;
use super::tally::TallySpec;
use crate::plan_node::{properties_over, single_child_plan};
use crate::progress::RunProgress;
use crate::quarantine::RawEncoding;
use crate::rate_join::TargetCurrency;
use crate::table::Staging;
use crate::task_input::input_bytes;

/// The name of the metric that counts the records behind the manifests that were yielded, also of those
/// that an earlier attempt had left.
pub const RECORDS_IN: &str = "records_in";

/// The name of the metric that counts the raw bytes (as stored) behind them.
pub const BYTES_IN: &str = "bytes_in";

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
    /// The currencies whose totals are kept, beside those of the source amounts; without any, no totals are.
    pub targets: Vec<TargetCurrency>,
    /// How quarantined raw records are shown.
    pub raw_encoding: RawEncoding,
    /// Bounds of one task.
    pub limits: WriterLimits,
    /// Whether a task leaves its manifest in the run's staging folder, and takes over one that it finds
    /// there; needed where a task may run more than once.
    #[serde(default)]
    pub resumable: bool,
    /// Whether the table's files can be read before they are committed, because a merge will do so.
    #[serde(default)]
    pub is_readable: bool,
    /// Whether a task is known by its place in the plan and not by what it reads: for plans of several stages,
    /// in one process, where each task runs once.
    #[serde(default)]
    pub by_place: bool,
    /// Counts every partition's rows and writes only those of some days; writes all where none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tally: Option<TallySpec>,
}

/// Writes converted rows and quarantined records; yields one manifest row per partition.
///
/// All that it fails with is a classified [`TaskFailure`](crate::failure::TaskFailure).
#[derive(Debug)]
pub struct PartitionWriter {
    input: Arc<dyn ExecutionPlan>,
    spec: Arc<PartitionWriterSpec>,
    staging: Staging,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl PartitionWriter {
    /// Writes the rows of `input`; its last column is the event date in days since 1970. Where the spec names
    /// targets, it is a [`crate::rate_join::RateJoin`] or an operator with its columns.
    pub fn new(input: Arc<dyn ExecutionPlan>, spec: Arc<PartitionWriterSpec>, staging: Staging) -> Self {
        let properties = properties_over(&input, schema());
        Self { input, spec, staging, properties, metrics: ExecutionPlanMetricsSet::new() }
    }

    /// Returns what is written and how.
    pub fn spec(&self) -> &Arc<PartitionWriterSpec> {
        &self.spec
    }

    /// Returns where it is staged.
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
        let progress = context.session_config().get_extension::<RunProgress>();
        let records_in = MetricBuilder::new(&self.metrics).counter(RECORDS_IN, partition);
        let bytes_in = MetricBuilder::new(&self.metrics).counter(BYTES_IN, partition);
        let attempt = TaskAttempt {
            spec: Arc::clone(&self.spec),
            staging: self.staging.clone(),
            input: Arc::clone(&self.input),
            partition,
            context,
        };
        let task = async move {
            let manifest = attempt.run().await?;
            records_in.add(usize::try_from(manifest.counts.records_in).unwrap_or(usize::MAX));
            bytes_in.add(usize::try_from(input_bytes(&manifest.inputs)).unwrap_or(usize::MAX));
            if let Some(progress) = progress {
                progress.add_task();
            }
            manifest.to_batch()
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema(), stream::once(task))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
