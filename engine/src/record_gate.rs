//! `RecordGate`: sits right above the scan, counts what was read and sends broken records to the
//! quarantine, so that the source SQL sees whole records only.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, StructArray};
use arrow::compute::{cast, filter_record_batch, not};
use arrow::datatypes::{DataType, SchemaRef};
use cambist_udfs::reason::RowReason;
use datafusion::common::stats::Precision;
use datafusion::common::{DataFusionError, Result, Statistics, internal_datafusion_err, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, StatisticsArgs,
};
use futures::{StreamExt, stream};

use crate::fault;
use crate::metrics::task_metrics;
use crate::plan_node::{properties_over, single_child_plan};
use crate::progress::RunProgress;
use crate::quarantine::{Rejection, divert};
use crate::record::{
    DAMAGED_FILE_MARKER, DETAIL_FIELD, FAULT_COLUMN, FILE_FIELD, REASON_FIELD, RECORD_COLUMN,
};
use crate::task::{DamagedFile, TaskLedger};
use crate::task_input::{input_bytes, inputs_of_scan};

/// The operator; its output is its input without the fault column and without faulty rows.
#[derive(Debug)]
pub struct RecordGate {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    kept_columns: Vec<usize>,
    record_column: usize,
    fault_column: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl RecordGate {
    /// Puts a gate above `input`, a scan that yields the hidden record and fault columns.
    ///
    /// # Errors
    /// Where one of the hidden columns is missing.
    pub fn try_new(input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let schema = input.schema();
        let fault_column = schema.index_of(FAULT_COLUMN)?;
        let record_column = schema.index_of(RECORD_COLUMN)?;
        let kept_columns: Vec<usize> =
            (0..schema.fields().len()).filter(|&index| index != fault_column).collect();
        let properties = properties_over(&input, Arc::new(schema.project(&kept_columns)?));
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(Self { input, properties, kept_columns, record_column, fault_column, metrics })
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Self::try_new(input)
    }
}

impl DisplayAs for RecordGate {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordGate")
    }
}

impl ExecutionPlan for RecordGate {
    single_child_plan!();

    /// Says that the source is large: a source SQL must make its small tables the build side of a join,
    /// whatever the size of today's input.
    fn statistics_from_inputs(
        &self,
        _inputs: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        statistics.num_rows = Precision::Inexact(usize::MAX / 1024);
        statistics.total_byte_size = Precision::Inexact(usize::MAX / 1024);
        Ok(Arc::new(statistics))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let ledger = TaskLedger::of(&context)?;
        let inputs = inputs_of_scan(&self.input, partition)?;
        ledger.note_inputs(&inputs);
        let gate = Gate {
            ledger,
            schema: self.schema(),
            kept_columns: self.kept_columns.clone(),
            record_column: self.record_column,
            fault_column: self.fault_column,
            progress: context.session_config().get_extension::<RunProgress>(),
            metrics: BaselineMetrics::new(&self.metrics, partition),
            bytes_scanned: MetricBuilder::new(&self.metrics).counter("bytes_scanned", partition),
            input_bytes: input_bytes(&inputs),
        };
        let input = self.input.execute(partition, context)?;
        let stream = stream::try_unfold((input, gate), |(mut input, gate)| async move {
            while let Some(batch) = input.next().await {
                let passed = gate.pass(&batch?).await?;
                fault::task_point("task.scanning").map_err(DataFusionError::IoError)?;
                if passed.num_rows() > 0 {
                    return Ok(Some((passed, (input, gate))));
                }
            }
            gate.ended();
            Ok(None)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

struct Gate {
    ledger: Arc<TaskLedger>,
    schema: SchemaRef,
    kept_columns: Vec<usize>,
    record_column: usize,
    fault_column: usize,
    progress: Option<Arc<RunProgress>>,
    metrics: BaselineMetrics,
    bytes_scanned: Count,
    input_bytes: u64,
}

impl Gate {
    async fn pass(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let faults = batch.column(self.fault_column);
        let rows = batch.num_rows();
        if faults.null_count() == rows {
            self.ledger.count(|counts| counts.records_in += rows as u64);
            self.count(rows);
            return self.project(batch);
        }
        let records = batch.column(self.record_column).as_struct();
        let (rejections, damaged) = read_faults(faults.as_struct(), records)?;
        let broken: BooleanArray = (0..rows).map(|row| Some(faults.is_valid(row))).collect();
        let whole = filter_record_batch(batch, &not(&broken)?)?;
        self.ledger.count(|counts| {
            counts.records_in += (whole.num_rows() + rejections.len()) as u64;
            counts.broken += rejections.len() as u64;
            counts.damaged_files.extend(damaged);
        });
        self.count(whole.num_rows() + rejections.len());
        if !rejections.is_empty() {
            let reasons: Vec<RowReason> = rejections.iter().map(|rejection| rejection.reason).collect();
            self.ledger.quarantine(&reasons, divert(records, &rejections)?).await?;
        }
        self.project(&whole)
    }

    /// Counts records for who watches the run.
    fn count(&self, records: usize) {
        self.metrics.record_output(records);
        task_metrics().records_read.add(records as u64);
        if let Some(progress) = &self.progress {
            progress.add_records(records as u64);
        }
    }

    fn ended(&self) {
        self.metrics.done();
        self.bytes_scanned.add(usize::try_from(self.input_bytes).unwrap_or(usize::MAX));
        task_metrics().bytes_read.add(self.input_bytes);
    }

    fn project(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.kept_columns.iter().map(|&index| Arc::clone(batch.column(index))).collect();
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

fn read_faults(faults: &StructArray, records: &StructArray) -> Result<(Vec<Rejection>, Vec<DamagedFile>)> {
    let text = |array: &StructArray, name: &str| {
        let column = array
            .column_by_name(name)
            .ok_or_else(|| internal_datafusion_err!("no field `{name}` in a hidden column"))?;
        Ok::<_, datafusion::error::DataFusionError>(cast(column, &DataType::Utf8)?)
    };
    let (reasons, details) = (text(faults, REASON_FIELD)?, text(faults, DETAIL_FIELD)?);
    let files = text(records, FILE_FIELD)?;
    let (reasons, details) = (reasons.as_string::<i32>(), details.as_string::<i32>());
    let files = files.as_string::<i32>();
    let mut rejections = Vec::new();
    let mut damaged = Vec::new();
    for row in (0..faults.len()).filter(|&row| faults.is_valid(row)) {
        let detail = details.value(row).to_owned();
        if reasons.value(row) == DAMAGED_FILE_MARKER {
            damaged.push(DamagedFile { file: files.value(row).to_owned(), detail });
            continue;
        }
        let Some(reason) = RowReason::from_code(reasons.value(row)) else {
            return internal_err!("unknown fault `{}` from a record reader", reasons.value(row));
        };
        let Ok(row) = u32::try_from(row) else {
            return internal_err!("a batch of more than 2^32 rows");
        };
        rejections.push(Rejection { row, reason, detail });
    }
    Ok((rejections, damaged))
}
