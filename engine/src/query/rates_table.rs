//! The snapshots of a rate book as a table of a query: a row for each rate.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use cambist_udfs::currency::CurrencyCode;
use cambist_udfs::decimal::{Decimal, MAX_SCALE};
use cambist_udfs::rate::{RateBook, Snapshot};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::datasource::TableType;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream;

use super::settled::{is_about, meeting};
use crate::failure::{FailureKind, TaskFailure};

/// Rows of one batch.
const BATCH_ROWS: usize = crate::session::BATCH_ROWS;

/// Rows that may travel inside a plan: some 40 MiB of the 128 MiB that a message may have.
const TRAVELLING_ROWS_MAX: usize = 500_000;

const CURRENCY: &str = "currency";
const RATE: &str = "rate";

/// The columns, those of a snapshot first.
static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("provider", DataType::Utf8, false),
        Field::new("base", DataType::Utf8, false),
        Field::new("rate_date", DataType::Date32, false),
        Field::new("valid_at", instant.clone(), true),
        Field::new("known_at", instant, false),
        Field::new("snapshot", DataType::Utf8, false),
        Field::new(CURRENCY, DataType::Utf8, false),
        Field::new(RATE, DataType::Decimal128(38, MAX_SCALE as i8), false),
    ]))
});

/// Where the plans of a query run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RatesTravel {
    /// In this process, which has the book: rows are made while they are read.
    Here,
    /// In other processes: the rows that the conditions leave travel inside the plan, up to 500,000.
    InPlan,
}

/// A row for each rate that the snapshots of a book hold: `provider`, `base`, `rate_date`, `valid_at`, `known_at`,
/// `snapshot` (12 hex digits), `currency`, and `rate`, units of the currency for one unit of the base. The base
/// itself has no row.
///
/// Rows come in the order of the book, in each snapshot by currency. Conditions on the columns of a snapshot
/// alone, or on the currency alone, are settled when the query is planned.
#[derive(Debug)]
pub struct RatesTable {
    book: Arc<RateBook>,
    travel: RatesTravel,
}

impl RatesTable {
    /// Makes a table of the snapshots that `book` admits.
    pub fn new(book: Arc<RateBook>, travel: RatesTravel) -> Self {
        Self { book, travel }
    }

    /// Finds the rows that the settled conditions leave.
    fn chosen(&self, state: &dyn Session, conditions: &[Expr]) -> Result<Chosen> {
        let (of_snapshot, others): (Vec<&Expr>, Vec<&Expr>) =
            conditions.iter().partition(|condition| is_about(condition, is_of_snapshot));
        let of_currency: Vec<&Expr> =
            others.into_iter().filter(|other| is_about(other, is_currency)).collect();
        let all = self.book.snapshots();
        let mut snapshots: Vec<usize> = (0..all.len()).collect();
        if !of_snapshot.is_empty() {
            let columns: Vec<usize> = (0..SCHEMA.index_of(CURRENCY)?).collect();
            let columns_of = snapshot_columns(&all.iter().collect::<Vec<_>>());
            let rows = RecordBatch::try_new(Arc::new(SCHEMA.project(&columns)?), columns_of)?;
            snapshots = meeting(state, &rows, &of_snapshot)?;
        }
        let mut currencies = None;
        if !of_currency.is_empty() {
            let codes = all.iter().flat_map(|snapshot| snapshot.rates.iter().map(|rate| rate.0));
            let codes: Vec<CurrencyCode> = codes.collect::<BTreeSet<_>>().into_iter().collect();
            let column = StringArray::from_iter_values(codes.iter().map(CurrencyCode::as_str));
            let rows = RecordBatch::try_new(
                Arc::new(SCHEMA.project(&[SCHEMA.index_of(CURRENCY)?])?),
                vec![Arc::new(column)],
            )?;
            let met = meeting(state, &rows, &of_currency)?;
            currencies = Some(met.into_iter().filter_map(|row| codes.get(row).copied()).collect());
        }
        Ok(Chosen { book: Arc::clone(&self.book), snapshots: snapshots.into(), currencies })
    }
}

fn is_of_snapshot(column: &str) -> bool {
    column != CURRENCY && column != RATE && SCHEMA.column_with_name(column).is_some()
}

fn is_currency(column: &str) -> bool {
    column == CURRENCY
}

#[async_trait]
impl TableProvider for RatesTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&SCHEMA)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let kind = |condition: &&Expr| {
            if is_about(condition, is_of_snapshot) || is_about(condition, is_currency) {
                TableProviderFilterPushDown::Exact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(kind).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let chosen = self.chosen(state, filters)?;
        if self.travel == RatesTravel::Here {
            let partitions: Vec<Arc<dyn PartitionStream>> = vec![Arc::new(chosen)];
            let scan = StreamingTableExec::try_new(self.schema(), partitions, projection, [], false, limit)?;
            return Ok(Arc::new(scan));
        }
        let rows_max = limit.unwrap_or(usize::MAX);
        let mut batches = Vec::new();
        let mut rows = 0;
        for batch in chosen.batches() {
            if rows >= rows_max {
                break;
            }
            let batch = batch?;
            let batch = batch.slice(0, batch.num_rows().min(rows_max - rows));
            rows += batch.num_rows();
            if rows > TRAVELLING_ROWS_MAX {
                return Err(too_many_rows());
            }
            batches.push(match projection {
                Some(columns) => batch.project(columns)?,
                None => batch,
            });
        }
        let schema = match projection {
            Some(columns) => Arc::new(SCHEMA.project(columns)?),
            None => self.schema(),
        };
        let scan: Arc<dyn ExecutionPlan> = MemorySourceConfig::try_new_exec(&[batches], schema, None)?;
        Ok(scan)
    }
}

fn too_many_rows() -> datafusion::common::DataFusionError {
    let message = format!(
        "the query reads more than {TRAVELLING_ROWS_MAX} rates, expected conditions on `rate_date` or `currency` \
         that leave fewer"
    );
    TaskFailure::new(FailureKind::Usage, message).into_error()
}

/// The rows that a query wants.
#[derive(Clone, Debug)]
struct Chosen {
    book: Arc<RateBook>,
    /// Positions among the book's snapshots.
    snapshots: Arc<[usize]>,
    /// All where there are none.
    currencies: Option<BTreeSet<CurrencyCode>>,
}

impl Chosen {
    /// Makes the rows, batch after batch: never more than one is held.
    fn batches(&self) -> impl Iterator<Item = Result<RecordBatch>> + Send + use<> {
        let chosen = self.clone();
        let (mut snapshot, mut rate) = (0, 0);
        std::iter::from_fn(move || {
            let mut rows: Vec<(&Snapshot, CurrencyCode, Decimal)> = Vec::with_capacity(BATCH_ROWS);
            while let Some(&position) = chosen.snapshots.get(snapshot) {
                let Some(of) = chosen.book.snapshots().get(position) else { break };
                for (code, value) in of.rates.iter().skip(rate) {
                    if rows.len() == BATCH_ROWS {
                        return Some(batch(&rows));
                    }
                    rate += 1;
                    if chosen.currencies.as_ref().is_none_or(|wanted| wanted.contains(code)) {
                        rows.push((of, *code, *value));
                    }
                }
                (snapshot, rate) = (snapshot + 1, 0);
            }
            (!rows.is_empty()).then(|| batch(&rows))
        })
    }
}

impl PartitionStream for Chosen {
    fn schema(&self) -> &SchemaRef {
        &SCHEMA
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = stream::iter(self.batches());
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&SCHEMA), batches))
    }
}

fn batch(rows: &[(&Snapshot, CurrencyCode, Decimal)]) -> Result<RecordBatch> {
    let snapshots: Vec<&Snapshot> = rows.iter().map(|row| row.0).collect();
    let mut columns = snapshot_columns(&snapshots);
    columns.push(Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1.as_str().to_owned()))));
    let rates = rows.iter().map(|row| {
        // A rate has at most 20 digits before the point and 18 after it.
        row.2.rescale(MAX_SCALE).ok_or_else(|| internal_datafusion_err!("a rate of more than 38 digits"))
    });
    let rates = Decimal128Array::from_iter_values(rates.collect::<Result<Vec<_>>>()?);
    columns.push(Arc::new(rates.with_precision_and_scale(38, MAX_SCALE as i8)?));
    Ok(RecordBatch::try_new(Arc::clone(&SCHEMA), columns)?)
}

fn snapshot_columns(snapshots: &[&Snapshot]) -> Vec<ArrayRef> {
    let instants = |instants: TimestampMicrosecondArray| Arc::new(instants.with_timezone("UTC")) as ArrayRef;
    let valid_at = snapshots.iter().map(|snapshot| snapshot.valid_at.map(|at| at.0));
    let known_at = snapshots.iter().map(|snapshot| snapshot.known_at.0);
    vec![
        Arc::new(StringArray::from_iter_values(snapshots.iter().map(|snapshot| &snapshot.provider))),
        Arc::new(StringArray::from_iter_values(snapshots.iter().map(|snapshot| snapshot.base.as_str()))),
        Arc::new(Date32Array::from_iter_values(snapshots.iter().map(|snapshot| snapshot.rate_date.0))),
        instants(valid_at.collect()),
        instants(TimestampMicrosecondArray::from_iter_values(known_at)),
        Arc::new(StringArray::from_iter_values(snapshots.iter().map(|snapshot| snapshot.id.short()))),
    ]
}
