//! Re-performs a table from its own columns, and checks counts, totals and hashes against the log.
//!
//! Nothing of the run that wrote the table is used but its commit record: every figure is computed again
//! from the amount, the currencies and the rates that stand in its row.

use std::collections::{BTreeMap, HashMap, HashSet};

use cambist_engine::exact_sum::{CurrencySums, ExactSum};
use cambist_engine::partition_writer::ContentHash;
use cambist_engine::rate_join::TargetCurrency;
use cambist_engine::store::Stores;
use cambist_engine::table::{LiveFile, TableKind};
use cambist_udfs::convert::{Conversion, round_amount};
use cambist_udfs::decimal::{Decimal, MAX_SCALE};
use cambist_udfs::rounding::RoundingMode;
use datafusion::arrow::array::{Array, AsArray, Decimal128Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{Date32Type, Decimal128Type};
use serde::Serialize;

use crate::error::{JobError, Result};
use crate::normalize::RunDetails;
use crate::table_reader::{Part, TableReader};

/// Problems that are listed; more are counted.
const LISTED_PROBLEMS: usize = 20;

/// The result of a verification.
#[derive(Clone, Debug, Default, Serialize)]
pub struct VerifyReport {
    /// `verified` or `failed`.
    pub status: &'static str,
    /// The newest commit that was checked.
    pub commit: u64,
    /// Data files read.
    pub files: u64,
    /// Their rows.
    pub rows: u64,
    /// Rows whose figures were computed again.
    pub rows_reperformed: u64,
    /// Records in the quarantine.
    pub quarantined: u64,
    /// Problems found.
    pub problem_count: u64,
    /// The first of them.
    pub problems: Vec<String>,
}

impl VerifyReport {
    fn problem(&mut self, text: String) {
        self.problem_count += 1;
        if self.problems.len() < LISTED_PROBLEMS {
            self.problems.push(text);
        }
    }
}

/// Verifies the table at `output`; re-performs every row, or about `sample` rows spread evenly over the files.
///
/// # Errors
/// Where the table cannot be opened. What does not tie is in the report, not an error.
pub async fn verify(stores: &Stores, output: &str, sample: Option<u64>) -> Result<VerifyReport> {
    let reader = TableReader::open(stores, output).await?;
    let mut report = VerifyReport { commit: reader.table.state().last_commit(), ..VerifyReport::default() };
    let mut accounts = Accounts::default();
    let files = reader.live_files(TableKind::Main);
    let rows: u64 = files.iter().map(|file| file.rows).sum();
    let stride = sample.map_or(1, |sample| rows.div_ceil(sample.max(1)).max(1));
    for file in &files {
        let rules = accounts.rules(&reader, file)?;
        let mut check = FileCheck::new(rules, stride, report.rows);
        if let Err(error) = check.read(&reader, file, &mut report).await {
            report.problem(error.message);
            continue;
        }
        check.compare(file, &mut report);
        report.files += 1;
        report.rows += check.rows;
        accounts.converted(&file.batch, check.rows);
    }
    for file in reader.live_files(TableKind::Quarantine) {
        accounts.rules(&reader, &file)?;
        match quarantine_rows(&reader, &file, &mut report).await {
            Ok(rows) => {
                report.quarantined += rows;
                accounts.quarantined(&file.batch, rows);
            }
            Err(error) => report.problem(error.message),
        }
    }
    accounts.compare(&mut report);
    report.status = if report.problem_count == 0 { "verified" } else { "failed" };
    Ok(report)
}

/// What a batch's commit says of its run, and what was found of it.
#[derive(Default)]
struct Accounts {
    batches: HashMap<String, BatchAccount>,
}

struct BatchAccount {
    rules: Rules,
    report: crate::normalize::RunReport,
    converted: u64,
    quarantined: u64,
}

/// How the rows of a batch were converted.
#[derive(Clone)]
struct Rules {
    targets: Vec<TargetCurrency>,
    rounding: RoundingMode,
    /// The day of each snapshot, by the first digits of its id.
    snapshots: HashMap<String, HashSet<String>>,
}

impl Accounts {
    fn rules(&mut self, reader: &TableReader, file: &LiveFile) -> Result<Rules> {
        if let Some(account) = self.batches.get(&file.batch) {
            return Ok(account.rules.clone());
        }
        let damaged =
            |detail: String| JobError::data(format!("the log's account of batch `{}`: {detail}", file.batch));
        let batch = reader.table.state().batch(&file.batch).ok_or_else(|| damaged("missing".to_owned()))?;
        let details = RunDetails::of_batch(&file.batch, &batch.details)?;
        let mut snapshots: HashMap<String, HashSet<String>> = HashMap::new();
        for snapshot in &details.snapshots {
            let short = snapshot.id.get(..12).unwrap_or(&snapshot.id).to_owned();
            snapshots.entry(short).or_default().insert(snapshot.rate_date.clone());
        }
        let rounding = details.rounding.parse().map_err(|error| damaged(format!("{error}")))?;
        let rules = Rules { targets: details.targets, rounding, snapshots };
        let account =
            BatchAccount { rules: rules.clone(), report: details.report, converted: 0, quarantined: 0 };
        self.batches.insert(file.batch.clone(), account);
        Ok(rules)
    }

    fn converted(&mut self, batch: &str, rows: u64) {
        if let Some(account) = self.batches.get_mut(batch) {
            account.converted += rows;
        }
    }

    fn quarantined(&mut self, batch: &str, rows: u64) {
        if let Some(account) = self.batches.get_mut(batch) {
            account.quarantined += rows;
        }
    }

    fn compare(&self, report: &mut VerifyReport) {
        for (batch, account) in &self.batches {
            let expected = (account.report.converted, account.report.quarantined);
            let found = (account.converted, account.quarantined);
            if expected != found {
                report.problem(format!(
                    "batch `{batch}` has {} rows and {} quarantined records, its run reported {} and {}",
                    found.0, found.1, expected.0, expected.1
                ));
            }
        }
    }
}

/// One data file, read and computed again.
struct FileCheck {
    rules: Rules,
    stride: u64,
    /// The number of the file's first row within the whole verification.
    first_row: u64,
    rows: u64,
    hash: ContentHash,
    source_totals: CurrencySums,
    totals: CurrencySums,
    conversions: HashMap<(i128, i128, u8, u8), Conversion>,
}

impl FileCheck {
    fn new(rules: Rules, stride: u64, first_row: u64) -> Self {
        Self {
            rules,
            stride,
            first_row,
            rows: 0,
            hash: ContentHash::default(),
            source_totals: CurrencySums::new(),
            totals: CurrencySums::new(),
            conversions: HashMap::new(),
        }
    }

    async fn read(&mut self, reader: &TableReader, file: &LiveFile, report: &mut VerifyReport) -> Result<()> {
        let (_, mut batches) = reader.read(TableKind::Main, file, Part::default()).await?;
        while let Some(batch) = TableReader::next(&mut batches, file).await? {
            let columns = RowColumns::of(&batch, &self.rules.targets).map_err(|missing| {
                JobError::data(format!("the file `{}` has no usable column `{missing}`", file.path))
            })?;
            self.add_totals(&columns);
            self.reperform(&columns, file, report);
            let hash = ContentHash::of(&batch);
            self.hash
                .merge(hash.map_err(|error| JobError::data(format!("the file `{}`: {error}", file.path)))?);
            self.rows += batch.num_rows() as u64;
        }
        Ok(())
    }

    fn add_totals(&mut self, columns: &RowColumns<'_>) {
        for (target, cells) in self.rules.targets.iter().zip(&columns.targets) {
            let sum = self.totals.entry(target.code.clone()).or_insert(ExactSum::zero(target.minor_units));
            cells.amount.values().iter().for_each(|amount| sum.add(*amount));
        }
        let mut by_currency: HashMap<&str, ExactSum> = HashMap::new();
        let scale = columns.source_amount.scale().unsigned_abs();
        for (amount, currency) in columns.source_amount.iter().zip(columns.source_currency) {
            let (amount, currency) = (amount.unwrap_or_default(), currency.unwrap_or_default());
            by_currency.entry(currency).or_insert(ExactSum::zero(scale)).add(amount);
        }
        for (currency, sum) in by_currency {
            self.source_totals.entry(currency.to_owned()).or_insert(ExactSum::zero(0)).merge(&sum);
        }
    }

    fn reperform(&mut self, columns: &RowColumns<'_>, file: &LiveFile, report: &mut VerifyReport) {
        for row in 0..columns.source_amount.len() {
            if !(self.first_row + self.rows + row as u64).is_multiple_of(self.stride) {
                continue;
            }
            report.rows_reperformed += 1;
            if let Err(problem) = self.row(columns, row) {
                report.problem(format!("row {} of `{}`: {problem}", self.rows + row as u64 + 1, file.path));
            }
        }
    }

    fn row(&mut self, columns: &RowColumns<'_>, row: usize) -> std::result::Result<(), String> {
        if columns.snapshot.is_valid(row) {
            let (snapshot, day) = (columns.snapshot.value(row), columns.rate_date(row));
            let days = self.rules.snapshots.get(snapshot);
            if !days.is_some_and(|days| days.contains(&day)) {
                return Err(format!("snapshot `{snapshot}` of {day} is none that its run used"));
            }
        }
        let amount = columns.source_amount.value(row);
        let scale = columns.source_amount.scale().unsigned_abs();
        for (index, target) in self.rules.targets.clone().iter().enumerate() {
            let cells = &columns.targets[index];
            let source_rate = match cells.source_rate {
                Some(own) if own.is_valid(row) => own.value(row),
                _ => columns.source_rate.value(row),
            };
            let expected = if columns.source_currency.value(row) == target.code {
                round_amount(amount, scale, target.minor_units, self.rules.rounding)
            } else {
                self.conversion(source_rate, cells.rate.value(row), scale, target.minor_units)?
                    .convert(amount)
            };
            let found = cells.amount.value(row);
            if expected != Some(found) {
                return Err(format!(
                    "amount_{} is {found} minor units, computed again {}",
                    target.code.to_ascii_lowercase(),
                    expected.map_or_else(|| "more than 38 digits".to_owned(), |minor| minor.to_string())
                ));
            }
        }
        Ok(())
    }

    fn conversion(
        &mut self,
        source: i128,
        target: i128,
        scale: u8,
        minor_units: u8,
    ) -> std::result::Result<Conversion, String> {
        let rate = |mantissa| Decimal::new(mantissa, MAX_SCALE).filter(|rate| rate.mantissa() > 0);
        let (Some(source_rate), Some(target_rate)) = (rate(source), rate(target)) else {
            return Err("a rate is not positive".to_owned());
        };
        let rounding = self.rules.rounding;
        let made = || {
            Conversion::new(source_rate.normalized(), target_rate.normalized(), scale, minor_units, rounding)
        };
        Ok(*self.conversions.entry((source, target, scale, minor_units)).or_insert_with(made))
    }

    fn compare(&self, file: &LiveFile, report: &mut VerifyReport) {
        if self.rows != file.rows {
            report.problem(format!("`{}` has {} rows, the log says {}", file.path, self.rows, file.rows));
        }
        if self.hash.to_string() != file.content_hash {
            report.problem(format!(
                "`{}` has the content hash {}, the log says {}",
                file.path, self.hash, file.content_hash
            ));
        }
        for (name, found, expected) in [
            ("source totals", &self.source_totals, &file.source_totals),
            ("totals", &self.totals, &file.totals),
        ] {
            if !same_sums(found, expected) {
                report.problem(format!("`{}` has other {name} than the log says", file.path));
            }
        }
    }
}

fn same_sums(found: &CurrencySums, expected: &BTreeMap<String, String>) -> bool {
    found.len() == expected.len()
        && expected.iter().all(|(code, text)| {
            let expected = ExactSum::parse(text);
            found.get(code).zip(expected).is_some_and(|(found, expected)| found.equals(&expected))
        })
}

/// The columns of a batch that its figures come from.
struct RowColumns<'a> {
    source_amount: &'a Decimal128Array,
    source_currency: &'a StringArray,
    snapshot: &'a StringArray,
    source_rate: &'a Decimal128Array,
    days: &'a datafusion::arrow::array::Date32Array,
    targets: Vec<TargetCells<'a>>,
}

struct TargetCells<'a> {
    amount: &'a Decimal128Array,
    rate: &'a Decimal128Array,
    /// The source's rate in this target's own snapshot, where that is another.
    source_rate: Option<&'a Decimal128Array>,
}

impl<'a> RowColumns<'a> {
    fn of(batch: &'a RecordBatch, targets: &[TargetCurrency]) -> std::result::Result<Self, String> {
        let decimal = |name: String| {
            let column =
                batch.column_by_name(&name).and_then(|column| column.as_primitive_opt::<Decimal128Type>());
            column.ok_or(name)
        };
        let text = |name: &str| {
            let column = batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
            column.ok_or_else(|| name.to_owned())
        };
        let days =
            batch.column_by_name("rate_date").and_then(|column| column.as_primitive_opt::<Date32Type>());
        let cells = |(index, target): (usize, &TargetCurrency)| {
            Ok(TargetCells {
                amount: decimal(target.column("amount"))?,
                rate: decimal(target.column("rate"))?,
                source_rate: if index == 0 { None } else { Some(decimal(target.column("rate_source"))?) },
            })
        };
        Ok(Self {
            source_amount: decimal("source_amount".to_owned())?,
            source_currency: text("source_currency")?,
            snapshot: text("rate_snapshot")?,
            source_rate: decimal("rate_source".to_owned())?,
            days: days.ok_or("rate_date")?,
            targets: targets.iter().enumerate().map(cells).collect::<std::result::Result<_, String>>()?,
        })
    }

    fn rate_date(&self, row: usize) -> String {
        cambist_udfs::rate::RateDate(self.days.value(row)).to_string()
    }
}

async fn quarantine_rows(reader: &TableReader, file: &LiveFile, report: &mut VerifyReport) -> Result<u64> {
    let (_, mut batches) = reader.read(TableKind::Quarantine, file, Part::default()).await?;
    let (mut rows, mut hash) = (0, ContentHash::default());
    while let Some(batch) = TableReader::next(&mut batches, file).await? {
        rows += batch.num_rows() as u64;
        let content: Vec<usize> = (0..batch.num_columns().saturating_sub(1)).collect();
        let of_batch =
            batch.project(&content).map_err(Into::into).and_then(|content| ContentHash::of(&content));
        hash.merge(of_batch.map_err(|error| JobError::data(format!("the file `{}`: {error}", file.path)))?);
    }
    if rows != file.rows || hash.to_string() != file.content_hash {
        report.problem(format!("the quarantine file `{}` is not what the log says", file.path));
    }
    Ok(rows)
}
