//! How far the new rows differ from the old ones: exact sums by day, source and target.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cambist_engine::exact_sum::{CurrencySums, ExactSum, merge_sums};
use cambist_engine::partition_writer::{BySource, SourceFigures, merge_by_source};
use cambist_engine::rate_join::TargetCurrency;
use cambist_engine::table::{LiveFile, TableKind};
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::Decimal128Type;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};

use super::materiality::Materiality;
use super::report::{DELTAS_LISTED, DayDelta, PairDelta, TargetDelta};
use crate::error::{JobError, Result};
use crate::table_reader::{Part, TableReader};

/// Old files that are read at once.
const READS_AT_ONCE: usize = 8;

/// The sums of old and new rows, and how they differ.
#[derive(Debug, Default)]
pub(super) struct Deltas {
    /// By event day, as the partition writes it.
    days: BTreeMap<String, (BySource, BySource)>,
    /// Of all batches that were looked at, whatever becomes of them.
    old_totals: CurrencySums,
    /// Decimals of each target.
    minor_units: BTreeMap<String, u8>,
}

impl Deltas {
    /// Adds what a file holds that was looked at, as the log states it.
    pub(super) fn add_old_total(&mut self, file: &LiveFile) -> Result<()> {
        for (code, text) in &file.totals {
            let sum = ExactSum::parse(text).ok_or_else(|| {
                JobError::data(format!(
                    "the commit log holds the total `{text}` of `{}`, which is none",
                    file.path
                ))
            })?;
            merge_sums(&mut self.old_totals, &CurrencySums::from([(code.clone(), sum)]));
        }
        Ok(())
    }

    /// Adds the targets of a batch.
    pub(super) fn add_targets(&mut self, targets: &[TargetCurrency]) {
        for target in targets {
            let decimals = self.minor_units.entry(target.code.clone()).or_default();
            *decimals = target.minor_units.max(*decimals);
        }
    }

    /// Adds a partition that is rewritten.
    pub(super) fn add(&mut self, partition: &str, old: &BySource, new: &BySource) {
        let day = partition.split_once('=').map_or(partition, |(_, day)| day);
        let sides = self.days.entry(day.to_owned()).or_default();
        merge_by_source(&mut sides.0, old);
        merge_by_source(&mut sides.1, new);
    }

    /// Returns the currencies that are converted into.
    pub(super) fn targets(&self) -> impl Iterator<Item = &str> {
        self.minor_units.keys().map(String::as_str)
    }

    fn text(&self, target: &str, sum: &ExactSum) -> String {
        sum.to_text(self.minor_units.get(target).copied().unwrap_or(0))
    }

    /// Returns the lines by day, as many as are listed, and how many there are more.
    pub(super) fn by_day(&self) -> (Vec<DayDelta>, u64) {
        let (mut lines, mut left_out) = (Vec::new(), 0);
        for (day, sides) in &self.days {
            for pair in self.lines(&sides.0, &sides.1) {
                if lines.len() < DELTAS_LISTED {
                    lines.push(DayDelta { day: day.clone(), pair });
                } else {
                    left_out += 1;
                }
            }
        }
        (lines, left_out)
    }

    /// Returns the lines of all days together.
    pub(super) fn by_pair(&self) -> Vec<PairDelta> {
        let (mut old, mut new) = (BySource::new(), BySource::new());
        for sides in self.days.values() {
            merge_by_source(&mut old, &sides.0);
            merge_by_source(&mut new, &sides.1);
        }
        self.lines(&old, &new)
    }

    /// What differs between two sides.
    fn lines(&self, old: &BySource, new: &BySource) -> Vec<PairDelta> {
        let sources: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let mut lines = Vec::new();
        for source in sources {
            let rows = |side: &BySource| side.get(source).map_or(0, |figures| figures.rows);
            for target in self.targets() {
                let sum = |side: &BySource| {
                    let sum = side.get(source).and_then(|figures| figures.totals.get(target));
                    sum.copied().unwrap_or(ExactSum::zero(0))
                };
                let (old_total, new_total) = (sum(old), sum(new));
                if old_total == new_total && rows(old) == rows(new) {
                    continue;
                }
                lines.push(PairDelta {
                    source: source.clone(),
                    target: target.to_owned(),
                    rows_before: rows(old),
                    rows_after: rows(new),
                    old_total: self.text(target, &old_total),
                    new_total: self.text(target, &new_total),
                    delta: self.text(target, &new_total.minus(&old_total)),
                });
            }
        }
        lines
    }

    /// Returns the change of each target's total, and of its worst day, against what may change.
    pub(super) fn by_target(&self, materiality: &Materiality) -> Vec<TargetDelta> {
        let line = |target: &str| {
            let (mut delta, mut largest) = (ExactSum::zero(0), ExactSum::zero(0));
            for sides in self.days.values() {
                let of_day = total(&sides.1, target).minus(&total(&sides.0, target));
                delta.merge(&of_day);
                if of_day.cmp_magnitude(&largest).is_gt() {
                    largest = of_day;
                }
            }
            let old_total = self.old_totals.get(target).copied().unwrap_or(ExactSum::zero(0));
            let mut new_total = old_total;
            new_total.merge(&delta);
            let is_material = [&delta, &largest]
                .into_iter()
                .any(|change| materiality.is_material(target, change, &old_total));
            TargetDelta {
                target: target.to_owned(),
                old_total: self.text(target, &old_total),
                new_total: self.text(target, &new_total),
                delta: self.text(target, &delta),
                largest_day_delta: self.text(target, &largest),
                material: materiality.is_given().then_some(is_material),
            }
        };
        self.targets().map(line).collect()
    }
}

fn total(side: &BySource, target: &str) -> ExactSum {
    let mut total = ExactSum::zero(0);
    side.values().filter_map(|figures| figures.totals.get(target)).for_each(|sum| total.merge(sum));
    total
}

/// Adds up the rows of `files` by source currency.
///
/// # Errors
/// A data error that names the file, where one is not what was committed.
pub(super) async fn read_by_source(
    reader: &TableReader,
    files: &[&LiveFile],
    targets: &[TargetCurrency],
) -> Result<BySource> {
    // Boxed: a closure over borrowed files makes the whole future impossible to send between threads.
    let reads: Vec<_> = files.iter().map(|file| of_file(reader, file, targets).boxed()).collect();
    let mut sums = BySource::new();
    let mut read = stream::iter(reads).buffered(READS_AT_ONCE);
    while let Some(of_file) = read.try_next().await? {
        merge_by_source(&mut sums, &of_file);
    }
    Ok(sums)
}

async fn of_file(reader: &TableReader, file: &LiveFile, targets: &[TargetCurrency]) -> Result<BySource> {
    let amounts: Vec<String> = targets.iter().map(|target| target.column("amount")).collect();
    let mut columns: Vec<&str> = amounts.iter().map(String::as_str).collect();
    columns.push("source_currency");
    let part = Part { columns: Some(&columns), rows: None };
    let (_, mut batches) = reader.read(TableKind::Main, file, part).await?;
    let mut sums = BySource::new();
    while let Some(batch) = TableReader::next(&mut batches, file).await? {
        add_batch(&mut sums, &batch, targets).ok_or_else(|| {
            JobError::data(format!("the file `{}` lacks an amount or a currency", file.path))
        })?;
    }
    Ok(sums)
}

fn add_batch(sums: &mut BySource, batch: &RecordBatch, targets: &[TargetCurrency]) -> Option<()> {
    let sources = batch.column_by_name("source_currency")?.as_string_opt::<i32>()?;
    // Each row's currency by its place in a short list, so that a row costs no text.
    let mut places: HashMap<&str, usize> = HashMap::new();
    let of_rows: Vec<usize> = (0..sources.len())
        .map(|row| {
            let next = places.len();
            *places.entry(sources.value(row)).or_insert(next)
        })
        .collect();
    let mut figures = vec![SourceFigures::default(); places.len()];
    of_rows.iter().for_each(|place| figures[*place].rows += 1);
    for target in targets {
        let amounts = batch.column_by_name(&target.column("amount"))?.as_primitive_opt::<Decimal128Type>()?;
        let mut totals = vec![ExactSum::zero(amounts.scale().unsigned_abs()); places.len()];
        for (place, amount) in of_rows.iter().zip(amounts.values()) {
            totals[*place].add(*amount);
        }
        for (of_source, total) in figures.iter_mut().zip(totals) {
            of_source.totals.insert(target.code.clone(), total);
        }
    }
    let by_source = places.into_iter().map(|(code, place)| (code.to_owned(), figures[place].clone()));
    merge_by_source(sums, &by_source.collect());
    Some(())
}
