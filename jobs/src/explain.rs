//! How one row got its figure: the amount, both rates as published, the snapshot, the exact fraction and
//! the one rounding, in a form that can be checked with pencil and paper.

use std::fmt::Write as _;

use cambist_engine::rate_join::TargetCurrency;
use cambist_engine::store::Stores;
use cambist_engine::table::{LiveFile, TableKind};
use cambist_udfs::convert::Conversion;
use cambist_udfs::decimal::{Decimal, MAX_SCALE};
use cambist_udfs::rounding::RoundingMode;
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal128Type};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use serde::Serialize;

use crate::error::{JobError, Result};
use crate::normalize::{RunDetails, SnapshotUse};
use crate::table_reader::{Part, TableReader};

/// Rows that are explained at most; a key that matches more is no key.
const MOST_ROWS: usize = 20;

/// One row's conversion into one target.
#[derive(Clone, Debug, Serialize)]
pub struct TargetExplanation {
    /// The target currency.
    pub target_currency: String,
    /// The converted amount, as it stands in the table.
    pub amount: String,
    /// Units of the source currency per unit of the snapshot's base, as published.
    pub rate_source: String,
    /// Units of the target currency per unit of the base, as published.
    pub rate_target: String,
    /// The snapshot's day; none where source and target are the same.
    pub rate_date: Option<String>,
    /// Days from the snapshot's day to the event's date.
    pub rate_age_days: Option<i64>,
    /// The snapshot's file; none where source and target are the same.
    pub snapshot_file: Option<String>,
    /// The sha256 of the snapshot's payload.
    pub snapshot_sha256: Option<String>,
    /// Minor units of the target as an exact, reduced fraction: amount × numerator / denominator.
    pub exact_fraction: String,
    /// The result before rounding, to more decimals than the target has.
    pub unrounded: String,
    /// How it was rounded.
    pub rounding: String,
    /// The result computed again.
    pub recomputed: String,
}

/// One row and how it got its figures.
#[derive(Clone, Debug, Serialize)]
pub struct RowExplanation {
    /// The data file.
    pub file: String,
    /// The event date: the partition.
    pub event_date: String,
    /// The run that wrote it.
    pub run_id: String,
    /// The row's columns, as text.
    pub row: serde_json::Map<String, serde_json::Value>,
    /// The source amount.
    pub source_amount: String,
    /// The source currency.
    pub source_currency: String,
    /// Each target.
    pub targets: Vec<TargetExplanation>,
}

/// Explains the rows of the table at `output` whose column `key` reads `value`.
///
/// # Errors
/// A usage error where the column does not exist; a data error where no row, or more than 20, match.
pub async fn explain(stores: &Stores, output: &str, key: &str, value: &str) -> Result<Vec<RowExplanation>> {
    let reader = TableReader::open(stores, output).await?;
    let key = key.to_lowercase();
    let schema = reader.table.state().schema(TableKind::Main);
    let columns: Vec<&str> =
        schema.iter().flat_map(|schema| &schema.columns).map(|column| column.name.as_str()).collect();
    if !columns.contains(&key.as_str()) {
        return Err(JobError::usage(format!("no column `{key}`, the table has {}", columns.join(", "))));
    }
    let mut explained = Vec::new();
    for file in reader.live_files(TableKind::Main) {
        for row in matching_rows(&reader, &file, &key, value).await? {
            if explained.len() == MOST_ROWS {
                return Err(JobError::data(format!(
                    "more than {MOST_ROWS} rows have `{key}` = `{value}`; name a column that tells rows apart"
                )));
            }
            explained.push(explain_row(&reader, &file, row).await?);
        }
    }
    if explained.is_empty() {
        return Err(JobError::data(format!("no row has `{key}` = `{value}`"))
            .with_hint("it may be in the quarantine: its table lies beside the output"));
    }
    Ok(explained)
}

/// Reads the key's column alone; a value matches as text.
async fn matching_rows(reader: &TableReader, file: &LiveFile, key: &str, value: &str) -> Result<Vec<usize>> {
    let part = Part { columns: Some(&[key]), rows: None };
    let (_, mut batches) = reader.read(TableKind::Main, file, part).await?;
    let (mut found, mut first) = (Vec::new(), 0);
    while let Some(batch) = TableReader::next(&mut batches, file).await? {
        let texts =
            cast(batch.column(0), &DataType::Utf8).map_err(|error| JobError::data(error.to_string()))?;
        let texts = texts.as_string::<i32>();
        found.extend(
            (0..texts.len())
                .filter(|&row| texts.is_valid(row) && texts.value(row) == value)
                .map(|row| first + row),
        );
        first += batch.num_rows();
    }
    Ok(found)
}

async fn explain_row(reader: &TableReader, file: &LiveFile, row: usize) -> Result<RowExplanation> {
    let selection = RowSelection::from(vec![RowSelector::skip(row), RowSelector::select(1)]);
    let part = Part { columns: None, rows: Some(selection) };
    let (_, mut batches) = reader.read(TableKind::Main, file, part).await?;
    let batch = TableReader::next(&mut batches, file).await?;
    let batch = batch.ok_or_else(|| JobError::data(format!("row {row} of `{}` has vanished", file.path)))?;
    let state = reader.table.state().batch(&file.batch);
    let details = state.map(|batch| batch.details.clone()).unwrap_or_default();
    let details = RunDetails::of_batch(&file.batch, &details)?;
    let rounding: RoundingMode = details.rounding.parse().unwrap_or_default();
    let cells = Cells { batch: &batch };
    let event_date = file.partition().split_once('=').map_or("", |(_, date)| date).to_owned();
    let targets = details
        .targets
        .iter()
        .enumerate()
        .map(|(index, target)| explain_target(&cells, index, target, &details, rounding, &event_date))
        .collect::<Result<_>>()?;
    Ok(RowExplanation {
        file: file.path.clone(),
        event_date,
        run_id: details.report.run_id.clone(),
        row: cells.all()?,
        source_amount: cells.decimal("source_amount")?.normalized().to_string(),
        source_currency: cells.text("source_currency").unwrap_or_default(),
        targets,
    })
}

fn explain_target(
    cells: &Cells<'_>,
    index: usize,
    target: &TargetCurrency,
    details: &RunDetails,
    rounding: RoundingMode,
    event_date: &str,
) -> Result<TargetExplanation> {
    let amount = cells.decimal("source_amount")?.normalized();
    // A further target's own columns are set only where it used another snapshot than the row's.
    let own = |stem: &str| if index == 0 { None } else { cells.text(&target.column(stem)) };
    let is_same = cells.text("source_currency").as_deref() == Some(target.code.as_str());
    let rate_source = match own("rate_source") {
        Some(_) => cells.decimal(&target.column("rate_source"))?,
        None => cells.decimal("rate_source")?,
    };
    let rate_target = cells.decimal(&target.column("rate"))?;
    let (rate_date, short) = if is_same {
        (None, None)
    } else {
        (
            own("rate_date").or_else(|| cells.text("rate_date")),
            own("rate_snapshot").or_else(|| cells.text("rate_snapshot")),
        )
    };
    let snapshot =
        details.snapshots.iter().find(|snapshot| is_of(snapshot, short.as_deref(), rate_date.as_deref()));
    let (source, wanted) = (rate_source.normalized(), rate_target.normalized());
    let conversion = Conversion::new(source, wanted, amount.scale(), target.minor_units, rounding);
    let finer_units = (target.minor_units + 12).min(MAX_SCALE);
    let finer = Conversion::new(source, wanted, amount.scale(), finer_units, rounding);
    let shown = |minor: Option<i128>, scale: u8| {
        let value = minor.and_then(|minor| Decimal::new(minor, scale));
        value.map_or_else(|| "beyond 38 digits".to_owned(), |value| value.to_string())
    };
    Ok(TargetExplanation {
        target_currency: target.code.clone(),
        amount: cells.decimal(&target.column("amount"))?.to_string(),
        rate_source: source.to_string(),
        rate_target: wanted.to_string(),
        rate_age_days: rate_date.as_deref().and_then(|day| days_between(day, event_date)),
        rate_date,
        snapshot_file: snapshot.map(|snapshot| snapshot.location.clone()),
        snapshot_sha256: snapshot.map(|snapshot| snapshot.id.clone()),
        exact_fraction: format!(
            "{} × {} / {} minor units",
            amount.mantissa(),
            conversion.numerator(),
            conversion.denominator()
        ),
        unrounded: shown(finer.convert(amount.mantissa()), finer_units),
        rounding: format!("{rounding} to {} decimals", target.minor_units),
        recomputed: shown(conversion.convert(amount.mantissa()), target.minor_units),
    })
}

fn is_of(snapshot: &SnapshotUse, short: Option<&str>, day: Option<&str>) -> bool {
    short.is_some_and(|short| snapshot.id.starts_with(short)) && day == Some(snapshot.rate_date.as_str())
}

fn days_between(day: &str, event_date: &str) -> Option<i64> {
    let (day, event): (jiff::civil::Date, jiff::civil::Date) = (day.parse().ok()?, event_date.parse().ok()?);
    Some(event.duration_since(day).as_hours() / 24)
}

/// The cells of a batch of one row.
struct Cells<'a> {
    batch: &'a RecordBatch,
}

impl Cells<'_> {
    fn text(&self, name: &str) -> Option<String> {
        let column = self.batch.column_by_name(name)?;
        if column.is_null(0) {
            return None;
        }
        let formatter = ArrayFormatter::try_new(column, &FormatOptions::default()).ok()?;
        Some(formatter.value(0).to_string())
    }

    fn decimal(&self, name: &str) -> Result<Decimal> {
        let column =
            self.batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<Decimal128Type>());
        let cell = column.filter(|column| column.is_valid(0));
        cell.and_then(|column| Decimal::new(column.value(0), column.scale().unsigned_abs()))
            .ok_or_else(|| JobError::data(format!("the row has no decimal `{name}`")))
    }

    fn all(&self) -> Result<serde_json::Map<String, serde_json::Value>> {
        let schema = self.batch.schema();
        let cell =
            |name: &String| (name.clone(), self.text(name).map_or(serde_json::Value::Null, Into::into));
        Ok(schema.fields().iter().map(|field| cell(field.name())).collect())
    }
}

impl RowExplanation {
    /// Writes the explanation for a person.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let input: Vec<String> = self
            .row
            .iter()
            .take_while(|(name, _)| !name.starts_with("amount_"))
            .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or("null")))
            .collect();
        let mut line = |label: &str, value: &str| {
            let _ = writeln!(text, "{label:<22}{value}");
        };
        line("row", &input.join("  "));
        line("event date", &self.event_date);
        line("source amount", &format!("{} {}", self.source_amount, self.source_currency));
        for target in &self.targets {
            let code = &target.target_currency;
            line("", "");
            line(&format!("amount in {code}"), &target.amount);
            line(
                "  rate of source",
                &format!("{} {} per base unit, as published", target.rate_source, self.source_currency),
            );
            line("  rate of target", &format!("{} {code} per base unit, as published", target.rate_target));
            match (&target.rate_date, &target.snapshot_file, &target.snapshot_sha256) {
                (Some(day), file, sha256) => {
                    let age = target.rate_age_days.unwrap_or_default();
                    let days = if age == 1 { "day" } else { "days" };
                    line("  rate date", &format!("{day}, {age} {days} before the event"));
                    line("  snapshot file", file.as_deref().unwrap_or("not listed by the run"));
                    line("  snapshot sha256", sha256.as_deref().unwrap_or("not listed by the run"));
                }
                _ => line("  rate", "1: source and target are the same currency"),
            }
            line(
                "  formula",
                &format!("{} × {} / {}", self.source_amount, target.rate_target, target.rate_source),
            );
            line("  exact fraction", &target.exact_fraction);
            line("  before rounding", &target.unrounded);
            line("  rounding", &target.rounding);
            line("  computed again", &target.recomputed);
        }
        line("", "");
        line("run", &self.run_id);
        line("file", &self.file);
        text
    }
}
