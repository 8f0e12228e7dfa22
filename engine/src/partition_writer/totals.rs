//! The sums that are kept of a partition's rows.

use arrow::array::{Array, AsArray, PrimitiveArray, RecordBatch, StringArray};
use arrow::datatypes::{Decimal128Type, Int32Type, SchemaRef};
use datafusion::common::Result;

use super::figures::{BySource, SourceFigures, merge_by_source};
use crate::exact_sum::{CurrencySums, ExactSum};
use crate::rate_join::TargetCurrency;

/// Where the columns are that totals are taken from; none where no target is asked for.
pub(super) struct TotalColumns {
    source: Option<SourceColumns>,
    targets: Vec<(String, usize)>,
}

#[derive(Clone, Copy)]
struct SourceColumns {
    amount: usize,
    currency: usize,
}

impl TotalColumns {
    pub(super) fn of(input: &SchemaRef, targets: &[TargetCurrency]) -> Result<Self> {
        let column =
            |target: &TargetCurrency| Ok((target.code.clone(), input.index_of(&target.column("amount"))?));
        let source = if targets.is_empty() {
            None
        } else {
            let (amount, currency) = (input.index_of("source_amount")?, input.index_of("source_currency")?);
            Some(SourceColumns { amount, currency })
        };
        Ok(Self { source, targets: targets.iter().map(column).collect::<Result<_>>()? })
    }

    /// Adds the rows' amounts to the sums by source and by target currency.
    pub(super) fn add(
        &self,
        rows: &RecordBatch,
        source_totals: &mut CurrencySums,
        totals: &mut CurrencySums,
    ) {
        for (code, column) in &self.targets {
            let amounts = rows.column(*column).as_primitive::<Decimal128Type>();
            let mut sum = ExactSum::zero(amounts.scale().unsigned_abs());
            amounts.values().iter().for_each(|amount| sum.add(*amount));
            totals.entry(code.clone()).or_insert(ExactSum::zero(0)).merge(&sum);
        }
        let Some(source) = self.source else { return };
        let amounts = rows.column(source.amount).as_primitive::<Decimal128Type>();
        let (codes, places, used) = source.currencies(rows);
        let zero = ExactSum::zero(amounts.scale().unsigned_abs());
        let mut sums = vec![zero; used.len()];
        for (place, amount) in places.into_iter().zip(amounts.values()) {
            sums[place].add(*amount);
        }
        for (code, sum) in used.into_iter().zip(sums) {
            source_totals.entry(codes.value(code).to_owned()).or_insert(ExactSum::zero(0)).merge(&sum);
        }
    }

    /// Returns the rows and the converted amounts by source currency.
    pub(super) fn by_source(&self, rows: &RecordBatch) -> BySource {
        let Some(source) = self.source else { return BySource::new() };
        let (codes, places, used) = source.currencies(rows);
        let mut figures = vec![SourceFigures::default(); used.len()];
        places.iter().for_each(|place| figures[*place].rows += 1);
        for (target, column) in &self.targets {
            let amounts: &PrimitiveArray<Decimal128Type> = rows.column(*column).as_primitive();
            let mut sums = vec![ExactSum::zero(amounts.scale().unsigned_abs()); used.len()];
            for (place, amount) in places.iter().zip(amounts.values()) {
                sums[*place].add(*amount);
            }
            for (of_source, sum) in figures.iter_mut().zip(sums) {
                of_source.totals.insert(target.clone(), sum);
            }
        }
        let mut by_source = BySource::new();
        // Rows that were gathered from several batches may name one code in several places.
        for (code, of_code) in used.into_iter().zip(figures) {
            merge_by_source(&mut by_source, &BySource::from([(codes.value(code).to_owned(), of_code)]));
        }
        by_source
    }
}

impl SourceColumns {
    /// The known codes, each row's place among those that the rows use, and these by their number.
    fn currencies(self, rows: &RecordBatch) -> (&StringArray, Vec<usize>, Vec<usize>) {
        let coded = rows.column(self.currency).as_dictionary::<Int32Type>();
        let codes: &StringArray = coded.values().as_string();
        // Few of the known currencies are in a file: they are found by their place in this list.
        let mut places = vec![usize::MAX; codes.len()];
        let mut used: Vec<usize> = Vec::new();
        let place = |key: &i32| {
            let code = *key as usize;
            if places[code] == usize::MAX {
                places[code] = used.len();
                used.push(code);
            }
            places[code]
        };
        let of_rows = coded.keys().values().iter().map(place).collect();
        (codes, of_rows, used)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Decimal128Array, DictionaryArray, Int32Array};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    /// Rows that were gathered from several batches may have a dictionary that holds a code twice.
    #[test]
    fn a_code_that_a_dictionary_holds_twice_is_one_currency() {
        let coded = DictionaryArray::<Int32Type>::new(
            Int32Array::from(vec![0, 1, 2, 1]),
            Arc::new(StringArray::from(vec!["GBP", "EUR", "GBP"])),
        );
        let amounts = |units: Vec<i128>| {
            Arc::new(Decimal128Array::from(units).with_precision_and_scale(38, 2).unwrap())
        };
        let decimal = DataType::Decimal128(38, 2);
        let fields = vec![
            Field::new("amount_inr", decimal.clone(), true),
            Field::new("source_amount", decimal, true),
            Field::new("source_currency", coded.data_type().clone(), true),
        ];
        let schema = Arc::new(Schema::new(fields));
        let targets = [TargetCurrency { code: "INR".to_owned(), minor_units: 2 }];
        let columns = TotalColumns::of(&schema, &targets).unwrap();
        let rows = RecordBatch::try_new(
            schema,
            vec![amounts(vec![100, 20, 3, 4_000]), amounts(vec![1, 2, 4, 8]), Arc::new(coded)],
        )
        .unwrap();
        let by_source = columns.by_source(&rows);
        let figures = |code: &str| (by_source[code].rows, by_source[code].totals["INR"].to_string());
        assert_eq!(figures("GBP"), (2, "1.03".to_owned()));
        assert_eq!(figures("EUR"), (2, "40.2".to_owned()));
        let (mut source_totals, mut totals) = (CurrencySums::new(), CurrencySums::new());
        columns.add(&rows, &mut source_totals, &mut totals);
        assert_eq!(
            (source_totals["GBP"].to_string(), totals["INR"].to_string()),
            ("0.05".to_owned(), "41.23".to_owned())
        );
    }
}
