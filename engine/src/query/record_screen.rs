//! `RecordScreen`: stands right above the scan of raw files and keeps broken records from the query.
//!
//! A query has no quarantine: it refuses broken records, or leaves them out after they were counted.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow::compute::{cast, filter_record_batch, not};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::common::{DataFusionError, Result, Statistics, internal_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, StatisticsArgs,
};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::failure::{FailureKind, TaskFailure};
use crate::fault;
use crate::metrics::task_metrics;
use crate::plan_node::{properties_over, single_child_plan};
use crate::progress::RunProgress;
use crate::record::{
    DETAIL_FIELD, FAULT_COLUMN, FILE_FIELD, NUMBER_FIELD, OFFSET_FIELD, REASON_FIELD, RECORD_COLUMN,
};

/// What is done about broken records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Screening {
    /// The first one fails the query.
    Refuse,
    /// They are left out.
    Skip,
    /// Nothing but their count and the first of each partition comes out, see [`Broken`].
    Count,
}

/// The operator; its output is its input without the fault column and without broken records.
#[derive(Debug)]
pub struct RecordScreen {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    table: String,
    screening: Screening,
    fault_column: usize,
}

impl RecordScreen {
    /// Puts a screen above `input`, a scan of the table `table` that yields the hidden fault column, and for
    /// [`Screening::Count`] the record column.
    ///
    /// # Errors
    /// Where a hidden column is missing.
    pub fn try_new(input: Arc<dyn ExecutionPlan>, table: String, screening: Screening) -> Result<Self> {
        let schema = input.schema();
        let fault_column = schema.index_of(FAULT_COLUMN)?;
        let output = if screening == Screening::Count {
            schema.index_of(RECORD_COLUMN)?;
            Broken::schema()
        } else {
            let kept: Vec<usize> =
                (0..schema.fields().len()).filter(|&index| index != fault_column).collect();
            Arc::new(schema.project(&kept)?)
        };
        let properties = properties_over(&input, output);
        Ok(Self { input, properties, table, screening, fault_column })
    }

    /// Returns the table's name, for messages.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Returns what is done about broken records.
    pub fn screening(&self) -> Screening {
        self.screening
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Self::try_new(input, self.table.clone(), self.screening)
    }
}

impl DisplayAs for RecordScreen {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordScreen: table={}, broken={:?}", self.table, self.screening)
    }
}

impl ExecutionPlan for RecordScreen {
    single_child_plan!(keeps_order: false);

    fn statistics_from_inputs(
        &self,
        _inputs: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        Ok(Arc::new(Statistics::new_unknown(&self.schema())))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let screen = Screen {
            schema: self.schema(),
            table: self.table.clone(),
            screening: self.screening,
            fault_column: self.fault_column,
            progress: context.session_config().get_extension::<RunProgress>(),
            broken: Broken::default(),
        };
        let input = self.input.execute(partition, context)?;
        let stream = stream::try_unfold(Some((input, screen)), |reading| async move {
            let Some((mut input, mut screen)) = reading else { return Ok(None) };
            while let Some(batch) = input.next().await {
                let passed = screen.pass(&batch?)?;
                fault::task_point("task.scanning").map_err(DataFusionError::IoError)?;
                if passed.num_rows() > 0 {
                    return Ok(Some((passed, Some((input, screen)))));
                }
            }
            match screen.screening {
                Screening::Count => Ok(Some((screen.broken.to_row()?, None))),
                Screening::Refuse | Screening::Skip => Ok(None),
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream)))
    }
}

struct Screen {
    schema: SchemaRef,
    table: String,
    screening: Screening,
    fault_column: usize,
    progress: Option<Arc<RunProgress>>,
    broken: Broken,
}

impl Screen {
    fn pass(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let faults = batch.column(self.fault_column);
        let rows = batch.num_rows();
        task_metrics().records_read.add(rows as u64);
        if let Some(progress) = &self.progress {
            progress.add_records(rows as u64);
        }
        let first = (0..rows).find(|&row| faults.is_valid(row));
        match (first, self.screening) {
            (Some(row), Screening::Refuse) => Err(self.refusal(faults.as_ref(), row)?.into_error()),
            (_, Screening::Count) => {
                if let Some(row) = first {
                    let count = rows - faults.null_count();
                    self.broken.merge(Broken::at(batch, faults.as_ref(), row, count)?);
                }
                Ok(RecordBatch::new_empty(Arc::clone(&self.schema)))
            }
            (Some(_), Screening::Skip) => {
                let broken: BooleanArray = (0..rows).map(|row| Some(faults.is_valid(row))).collect();
                self.project(&filter_record_batch(batch, &not(&broken)?)?)
            }
            (None, Screening::Refuse | Screening::Skip) => self.project(batch),
        }
    }

    fn refusal(&self, faults: &dyn Array, row: usize) -> Result<TaskFailure> {
        let what = [text(faults, REASON_FIELD, row)?, text(faults, DETAIL_FIELD, row)?].join(": ");
        Ok(TaskFailure::new(FailureKind::Data, format!("table `{}` has a broken record: {what}", self.table)))
    }

    fn project(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let kept = batch.columns().iter().enumerate().filter(|(index, _)| *index != self.fault_column);
        let columns = kept.map(|(_, column)| Arc::clone(column)).collect();
        // A query that only counts rows asks for no columns.
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &rows)?)
    }
}

/// Broken records of a part of a table: how many, and the first of them by file and place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Broken {
    /// How many there are.
    pub count: u64,
    /// The first.
    pub first: Option<FirstBroken>,
}

/// Where a broken record lies, and why it is one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FirstBroken {
    /// Its file, as the store names it.
    pub file: String,
    /// Its first byte, or its row in Parquet.
    pub offset: i64,
    /// Its number in the file, from 1, where it is known.
    pub number: Option<i64>,
    /// The reason code.
    pub reason: String,
    /// What was found.
    pub detail: String,
}

impl Broken {
    /// Adds those of another part.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.first = match (self.first.take(), other.first) {
            (Some(own), Some(others)) => Some(own.min(others)),
            (own, others) => own.or(others),
        };
    }

    /// Reads what a [`Screening::Count`] has yielded.
    ///
    /// # Errors
    /// Where the rows have other columns.
    pub fn of(batches: &[RecordBatch]) -> Result<Self> {
        let mut broken = Self::default();
        for batch in batches {
            let missing = || internal_datafusion_err!("a count of broken records of another form");
            let [counts, files, offsets, numbers, reasons, details] = batch.columns() else {
                return Err(missing());
            };
            let counts = counts.as_primitive_opt::<Int64Type>().ok_or_else(missing)?;
            let offsets = offsets.as_primitive_opt::<Int64Type>().ok_or_else(missing)?;
            let numbers = numbers.as_primitive_opt::<Int64Type>().ok_or_else(missing)?;
            let texts = [files, reasons, details].map(|column| column.as_string_opt::<i32>());
            let [Some(files), Some(reasons), Some(details)] = texts else { return Err(missing()) };
            for row in 0..batch.num_rows() {
                let first = files.is_valid(row).then(|| FirstBroken {
                    file: files.value(row).to_owned(),
                    offset: offsets.value(row),
                    number: numbers.is_valid(row).then(|| numbers.value(row)),
                    reason: reasons.value(row).to_owned(),
                    detail: details.value(row).to_owned(),
                });
                broken.merge(Self { count: counts.value(row).unsigned_abs(), first });
            }
        }
        Ok(broken)
    }

    fn schema() -> SchemaRef {
        let column = |name: &str, of: DataType| Field::new(name, of, true);
        Arc::new(Schema::new(vec![
            column("count", DataType::Int64),
            column(FILE_FIELD, DataType::Utf8),
            column(OFFSET_FIELD, DataType::Int64),
            column(NUMBER_FIELD, DataType::Int64),
            column(REASON_FIELD, DataType::Utf8),
            column(DETAIL_FIELD, DataType::Utf8),
        ]))
    }

    fn at(batch: &RecordBatch, faults: &dyn Array, row: usize, count: usize) -> Result<Self> {
        let records = batch
            .column_by_name(RECORD_COLUMN)
            .ok_or_else(|| internal_datafusion_err!("broken records without their places"))?;
        let first = FirstBroken {
            file: text(records.as_ref(), FILE_FIELD, row)?,
            offset: whole_number(records.as_ref(), OFFSET_FIELD, row)?.unwrap_or_default(),
            number: whole_number(records.as_ref(), NUMBER_FIELD, row)?,
            reason: text(faults, REASON_FIELD, row)?,
            detail: text(faults, DETAIL_FIELD, row)?,
        };
        Ok(Self { count: count as u64, first: Some(first) })
    }

    fn to_row(&self) -> Result<RecordBatch> {
        let first = self.first.as_ref();
        let texts = |of: fn(&FirstBroken) -> &str| Arc::new(StringArray::from(vec![first.map(of)]));
        let columns: Vec<arrow::array::ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![self.count.cast_signed()])),
            texts(|first| &first.file),
            Arc::new(Int64Array::from(vec![first.map(|first| first.offset)])),
            Arc::new(Int64Array::from(vec![first.and_then(|first| first.number)])),
            texts(|first| &first.reason),
            texts(|first| &first.detail),
        ];
        Ok(RecordBatch::try_new(Self::schema(), columns)?)
    }
}

fn field(of: &dyn Array, name: &str, as_type: &DataType) -> Result<arrow::array::ArrayRef> {
    let column = of.as_struct_opt().and_then(|fields| fields.column_by_name(name));
    let column = column.ok_or_else(|| internal_datafusion_err!("no field `{name}` in a hidden column"))?;
    Ok(cast(column, as_type)?)
}

fn text(of: &dyn Array, name: &str, row: usize) -> Result<String> {
    let texts = field(of, name, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>();
    Ok(if texts.is_valid(row) { texts.value(row).to_owned() } else { String::new() })
}

fn whole_number(of: &dyn Array, name: &str, row: usize) -> Result<Option<i64>> {
    let numbers = field(of, name, &DataType::Int64)?;
    let numbers = numbers.as_primitive::<Int64Type>();
    Ok(numbers.is_valid(row).then(|| numbers.value(row)))
}
