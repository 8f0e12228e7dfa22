//! The operator: batches in, converted batches out, what cannot be converted to the quarantine.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, StructArray};
use arrow::compute::{cast, filter};
use arrow::datatypes::{DataType, SchemaRef};
use cambist_udfs::currency::Currency;
use cambist_udfs::rate::{DayRange, RateBook, RateDate};
use cambist_udfs::reason::RowReason;
use datafusion::common::{DataFusionError, Result, internal_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{Stream, StreamExt, TryStreamExt, stream};

use super::amount::{Amounts, shown};
use super::columns::{Columns, Dictionaries, TargetCells};
use super::event_time::{EventTime, EventTimeReader, EventTimes};
use super::quotes::Quotes;
use super::repeats::Repeats;
use super::spec::{RateJoinSpec, output_schema, source_amount_scale};
use crate::athena::to_output;
use crate::exact_sum::ExactSum;
use crate::plan_node::{properties_over, single_child_plan};
use crate::quarantine::{Rejection, divert};
use crate::rates::RateBooks;
use crate::record::{FILE_FIELD, OFFSET_FIELD, RECORD_COLUMN};
use crate::task::TaskLedger;

/// Why a row is not converted; boxed, because it is rare and every row's result would carry its size.
#[derive(Debug)]
pub(super) struct Refused(Box<(RowReason, String)>);

impl Refused {
    #[cold]
    pub(super) fn new(reason: RowReason, detail: String) -> Self {
        Self(Box::new((reason, detail)))
    }

    #[cfg(test)]
    pub(super) fn reason(&self) -> RowReason {
        self.0.0
    }
}

/// Joins rows with the rate book as of their event and converts their amounts.
#[derive(Debug)]
pub struct RateJoin {
    input: Arc<dyn ExecutionPlan>,
    spec: Arc<RateJoinSpec>,
    properties: Arc<PlanProperties>,
}

impl RateJoin {
    /// Converts the rows of `input` as `spec` says.
    ///
    /// # Errors
    /// Those of [`output_schema`].
    pub fn try_new(input: Arc<dyn ExecutionPlan>, spec: Arc<RateJoinSpec>) -> Result<Self> {
        let schema = output_schema(&spec, &input.schema())?;
        let properties = properties_over(&input, schema);
        Ok(Self { input, spec, properties })
    }

    /// Returns what this operator was told.
    pub fn spec(&self) -> &RateJoinSpec {
        &self.spec
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Self::try_new(input, Arc::clone(&self.spec))
    }
}

impl DisplayAs for RateJoin {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let targets: Vec<&str> = self.spec.targets.iter().map(|target| target.code.as_str()).collect();
        write!(
            f,
            "RateJoin: to=[{}], rounding={}, {}",
            targets.join(", "),
            self.spec.rounding,
            self.spec.book
        )
    }
}

impl ExecutionPlan for RateJoin {
    single_child_plan!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (spec, schema, input) = (Arc::clone(&self.spec), self.schema(), Arc::clone(&self.input));
        // The functions of a source SQL below find the book loaded, because the input begins after it.
        let joined = stream::once(async move {
            let book = RateBooks::of(&context, &spec.book).await?;
            let joiner = Joiner::open(&spec, book, schema, &input.schema(), &context)?;
            Ok::<_, DataFusionError>(join(input.execute(partition, context)?, joiner))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), joined.try_flatten())))
    }
}

fn join(input: SendableRecordBatchStream, joiner: Joiner) -> impl Stream<Item = Result<RecordBatch>> {
    stream::try_unfold((input, joiner), |(mut input, mut joiner)| async move {
        while let Some(batch) = input.next().await {
            let converted = joiner.convert(&batch?).await?;
            if converted.num_rows() > 0 {
                return Ok(Some((converted, (input, joiner))));
            }
        }
        Ok(None)
    })
}

/// The state of one task.
struct Joiner {
    spec: Arc<RateJoinSpec>,
    schema: SchemaRef,
    ledger: Arc<TaskLedger>,
    quotes: Quotes,
    times: EventTimeReader,
    repeats: Repeats,
    dictionaries: Dictionaries,
    source_scale: u8,
    input: InputColumns,
}

/// Where the input has what a conversion needs.
struct InputColumns {
    amount: usize,
    currency: usize,
    event_time: usize,
    record: usize,
    kept: Vec<usize>,
}

/// A batch's rows as they go: converted columns, and who stays behind.
struct Sorted {
    columns: Columns,
    rejections: Vec<Rejection>,
    source_in: Vec<Option<ExactSum>>,
    source_rejected: Vec<Option<ExactSum>>,
    /// By source: the event days of rows that found no rate.
    unrated: Vec<Option<DayRange>>,
}

impl Joiner {
    fn open(
        spec: &Arc<RateJoinSpec>,
        book: Arc<RateBook>,
        schema: SchemaRef,
        input: &arrow::datatypes::Schema,
        context: &TaskContext,
    ) -> Result<Self> {
        let input_columns = InputColumns {
            amount: input.index_of(&spec.amount)?,
            currency: input.index_of(&spec.currency)?,
            event_time: input.index_of(&spec.event_time)?,
            record: input.index_of(RECORD_COLUMN)?,
            kept: spec.kept.iter().map(|kept| input.index_of(&kept.input)).collect::<Result<_, _>>()?,
        };
        Ok(Self {
            ledger: TaskLedger::of(context)?,
            source_scale: source_amount_scale(input.field(input_columns.amount).data_type())?,
            times: EventTimeReader::new(
                spec.time_format.clone(),
                spec.time_zone.as_deref(),
                &spec.rate_zone,
            )?,
            repeats: Repeats::default(),
            dictionaries: Dictionaries::of(&book),
            quotes: Quotes::new(book, &spec.targets, spec.rounding)?,
            input: input_columns,
            schema,
            spec: Arc::clone(spec),
        })
    }

    async fn convert(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let records = batch.column(self.input.record).as_struct();
        let repeated = self.repeats.count(records)?;
        let sorted = self.sort(batch)?;
        self.count(batch.num_rows(), repeated, &sorted);
        if !sorted.rejections.is_empty() {
            let reasons: Vec<RowReason> =
                sorted.rejections.iter().map(|rejection| rejection.reason).collect();
            self.ledger.quarantine(&reasons, divert(records, &sorted.rejections)?).await?;
        }
        let keep = kept_rows(batch.num_rows(), &sorted.rejections);
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for (place, &index) in self.input.kept.iter().enumerate() {
            let column = keep_rows(batch.column(index), keep.as_ref())?;
            columns.push(to_output(&column, self.schema.field(place).data_type())?);
        }
        let (converted, event_day) =
            sorted.columns.finish(&self.spec.targets, self.source_scale, &self.dictionaries)?;
        columns.extend(converted);
        if self.spec.lineage {
            columns.extend(lineage(records, keep.as_ref())?);
        }
        columns.push(event_day);
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    fn sort(&mut self, batch: &RecordBatch) -> Result<Sorted> {
        let rows = batch.num_rows();
        let amounts = Amounts::of(batch.column(self.input.amount))?;
        let times = EventTimes::of(batch.column(self.input.event_time))?;
        let currencies = cast(batch.column(self.input.currency), &DataType::Utf8)?;
        let currencies: &StringArray = currencies.as_string();
        let mut sorted = Sorted {
            columns: Columns::with_capacity(rows, self.spec.targets.len()),
            rejections: Vec::new(),
            source_in: Vec::new(),
            source_rejected: Vec::new(),
            unrated: Vec::new(),
        };
        let mut targets = Vec::with_capacity(self.spec.targets.len());
        for row in 0..rows {
            if let Err(refused) = self.row(row, &amounts, currencies, &times, &mut targets, &mut sorted) {
                let row = u32::try_from(row)
                    .map_err(|_| internal_datafusion_err!("a batch of more than 2^32 rows"))?;
                let (reason, detail) = *refused.0;
                sorted.rejections.push(Rejection { row, reason, detail });
            }
        }
        Ok(sorted)
    }

    /// The first failure in the order amount, currency, event time, rates is the row's reason.
    #[inline]
    fn row(
        &mut self,
        row: usize,
        amounts: &Amounts,
        currencies: &StringArray,
        times: &EventTimes,
        targets: &mut Vec<TargetCells>,
        sorted: &mut Sorted,
    ) -> std::result::Result<(), Refused> {
        let amount = amounts.at(row)?;
        let text = if currencies.is_valid(row) { currencies.value(row) } else { "" };
        let parsed =
            self.quotes.book.currencies().parse(text.as_bytes()).map_err(|reason| unknown(reason, text))?;
        let amount = if parsed.hundredths { amount.hundredth()? } else { amount };
        let source_amount = amount.at_scale(self.source_scale)?;
        let source = parsed.currency;
        add(&mut sorted.source_in, source, source_amount, self.source_scale);
        let event = self.times.at(times, row);
        let converted = event.and_then(|event| {
            let converted = self.targets(source, amount, event, targets);
            converted.inspect_err(|_| note_day(&mut sorted.unrated, source, event.day))?;
            Ok(event.day)
        });
        let day = converted.inspect_err(|_| {
            add(&mut sorted.source_rejected, source, source_amount, self.source_scale);
        })?;
        sorted.columns.push(source_amount, source, day, targets);
        Ok(())
    }

    #[inline]
    fn targets(
        &mut self,
        source: Currency,
        amount: super::amount::Amount,
        event: EventTime,
        targets: &mut Vec<TargetCells>,
    ) -> std::result::Result<(), Refused> {
        self.quotes.prepare(source);
        targets.clear();
        for target in 0..self.spec.targets.len() {
            targets.push(self.quotes.convert(source, target, amount, event)?.into());
        }
        Ok(())
    }

    fn count(&self, rows: usize, repeated: u64, sorted: &Sorted) {
        let table = self.quotes.book.currencies();
        self.ledger.count(|counts| {
            counts.rows_from_sql += rows as u64;
            counts.repeated += repeated;
            for (currency, days) in table.entries().iter().zip(&sorted.unrated) {
                if let Some(days) = days {
                    counts.note_unrated(currency.code.as_str(), *days);
                }
            }
            let sides = [
                (&sorted.source_in, &mut counts.source_in),
                (&sorted.source_rejected, &mut counts.source_quarantined),
            ];
            for (batch_sums, sums) in sides {
                for (currency, sum) in table.entries().iter().zip(batch_sums) {
                    if let Some(sum) = sum {
                        let code = currency.code.to_string();
                        sums.entry(code).or_insert(ExactSum::zero(self.source_scale)).merge(sum);
                    }
                }
            }
        });
    }
}

#[inline]
fn add(sums: &mut Vec<Option<ExactSum>>, currency: Currency, amount: i128, scale: u8) {
    let slot = currency.index();
    if sums.len() <= slot {
        sums.resize(slot + 1, None);
    }
    sums[slot].get_or_insert(ExactSum::zero(scale)).add(amount);
}

/// A day more of rows without a rate; the first of them makes the slot.
#[cold]
fn note_day(days: &mut Vec<Option<DayRange>>, currency: Currency, day: i32) {
    let slot = currency.index();
    if days.len() <= slot {
        days.resize(slot + 1, None);
    }
    let day = RateDate(day);
    let known = days[slot].get_or_insert(DayRange { first: day, last: day });
    *known = DayRange { first: known.first.min(day), last: known.last.max(day) };
}

#[cold]
fn unknown(reason: RowReason, text: &str) -> Refused {
    let detail = match reason {
        RowReason::CurrencyMissing => "the currency is missing".to_owned(),
        RowReason::CurrencyNotMoney => format!("currency `{}` stands for no money", shown(text)),
        _ => format!("currency `{}` is not known, expected a three-letter ISO 4217 code", shown(text)),
    };
    Refused::new(reason, detail)
}

/// Which rows stay; none where all do.
fn kept_rows(rows: usize, rejections: &[Rejection]) -> Option<BooleanArray> {
    if rejections.is_empty() {
        return None;
    }
    let mut keep = vec![true; rows];
    for rejection in rejections {
        keep[rejection.row as usize] = false;
    }
    Some(keep.into())
}

fn keep_rows(column: &ArrayRef, keep: Option<&BooleanArray>) -> Result<ArrayRef> {
    Ok(match keep {
        Some(keep) => filter(column, keep)?,
        None => Arc::clone(column),
    })
}

fn lineage(records: &StructArray, keep: Option<&BooleanArray>) -> Result<[ArrayRef; 2]> {
    let column = |name: &str, data_type: DataType| {
        let column = records
            .column_by_name(name)
            .ok_or_else(|| internal_datafusion_err!("the record column has no field `{name}`"))?;
        Ok::<_, datafusion::error::DataFusionError>(cast(&keep_rows(column, keep)?, &data_type)?)
    };
    Ok([column(FILE_FIELD, DataType::Utf8)?, column(OFFSET_FIELD, DataType::Int64)?])
}
