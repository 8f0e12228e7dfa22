//! The columns that a conversion adds, built row by row.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, DictionaryArray, Int32Array, PrimitiveBuilder, StringArray,
};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Int32Type};
use cambist_udfs::currency::Currency;
use cambist_udfs::decimal::MAX_SCALE;
use cambist_udfs::rate::RateBook;
use datafusion::common::Result;

use super::quotes::Converted;
use super::spec::{PRECISION, TargetCurrency};

/// 1 at 18 decimals.
const ONE: i128 = 10_i128.pow(MAX_SCALE as u32);

/// One row's conversion into one target, in the form of the columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct TargetCells {
    amount: i128,
    target_rate: i128,
    origin: Option<Origin>,
}

/// The snapshot a conversion used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Origin {
    snapshot: u32,
    rate_date: i32,
    source_rate: i128,
    age_days: u32,
}

impl From<Converted<'_>> for TargetCells {
    #[inline]
    fn from(converted: Converted<'_>) -> Self {
        match converted {
            Converted::Same { amount } => Self { amount, target_rate: ONE, origin: None },
            Converted::ByRate { amount, quote, age_days } => Self {
                amount,
                target_rate: quote.target_rate,
                origin: Some(Origin {
                    snapshot: quote.snapshot,
                    rate_date: quote.rate_date,
                    source_rate: quote.source_rate,
                    age_days,
                }),
            },
        }
    }
}

/// The dictionaries that all batches of a task share.
#[derive(Clone)]
pub(super) struct Dictionaries {
    currencies: ArrayRef,
    snapshots: ArrayRef,
}

impl Dictionaries {
    pub(super) fn of(book: &RateBook) -> Self {
        let currencies = book.currencies().entries().iter().map(|currency| currency.code.to_string());
        let snapshots = book.snapshots().iter().map(|snapshot| snapshot.id.short());
        Self {
            currencies: Arc::new(StringArray::from_iter_values(currencies)),
            snapshots: Arc::new(StringArray::from_iter_values(snapshots)),
        }
    }
}

/// Builders of one batch's columns.
pub(super) struct Columns {
    amounts: Vec<Vec<i128>>,
    source_amount: Vec<i128>,
    source_currency: Vec<i32>,
    provenance: Vec<Provenance>,
    rates: Vec<Vec<i128>>,
    age_days: PrimitiveBuilder<Int32Type>,
    event_day: Vec<i32>,
}

struct Provenance {
    rate_date: PrimitiveBuilder<Date32Type>,
    snapshot: PrimitiveBuilder<Int32Type>,
    source_rate: PrimitiveBuilder<Decimal128Type>,
}

impl Columns {
    pub(super) fn with_capacity(rows: usize, targets: usize) -> Self {
        let provenance = || Provenance {
            rate_date: PrimitiveBuilder::with_capacity(rows),
            snapshot: PrimitiveBuilder::with_capacity(rows),
            source_rate: PrimitiveBuilder::with_capacity(rows),
        };
        Self {
            amounts: vec![Vec::with_capacity(rows); targets],
            source_amount: Vec::with_capacity(rows),
            source_currency: Vec::with_capacity(rows),
            provenance: (0..targets).map(|_| provenance()).collect(),
            rates: vec![Vec::with_capacity(rows); targets],
            age_days: PrimitiveBuilder::with_capacity(rows),
            event_day: Vec::with_capacity(rows),
        }
    }

    /// Adds one converted row.
    ///
    /// The row's snapshot is that of the first target that needed one; a further target's own columns
    /// stay null where it used the same.
    #[inline]
    pub(super) fn push(&mut self, source_amount: i128, source: Currency, day: i32, targets: &[TargetCells]) {
        self.source_amount.push(source_amount);
        self.source_currency.push(source.index() as i32);
        self.event_day.push(day);
        let main = targets.iter().find_map(|target| target.origin);
        self.age_days.append_option(main.map(|origin| origin.age_days as i32));
        match main {
            Some(origin) => self.provenance[0].push(origin),
            None => self.provenance[0].push_without_snapshot(),
        }
        for (index, target) in targets.iter().enumerate() {
            self.amounts[index].push(target.amount);
            // The target that is the source has the source's rate, so that the row's formula holds.
            let rate = match (target.origin, main) {
                (None, Some(main)) => main.source_rate,
                _ => target.target_rate,
            };
            self.rates[index].push(rate);
            if index > 0 {
                match target.origin {
                    Some(origin) if Some(origin) != main => self.provenance[index].push(origin),
                    _ => self.provenance[index].push_null(),
                }
            }
        }
    }

    /// Returns the columns in the order of the output schema, the event day last.
    pub(super) fn finish(
        mut self,
        targets: &[TargetCurrency],
        source_scale: u8,
        dictionaries: &Dictionaries,
    ) -> Result<(Vec<ArrayRef>, ArrayRef)> {
        let mut columns: Vec<ArrayRef> = Vec::new();
        for (target, amounts) in targets.iter().zip(self.amounts) {
            columns.push(decimals(amounts, target.minor_units)?);
        }
        columns.push(decimals(self.source_amount, source_scale)?);
        columns.push(coded(Int32Array::from(self.source_currency), &dictionaries.currencies)?);
        let mut provenance = self.provenance.into_iter();
        for main in provenance.by_ref().take(1) {
            columns.extend(main.finish(dictionaries)?);
        }
        for rates in self.rates {
            columns.push(decimals(rates, MAX_SCALE)?);
        }
        columns.push(Arc::new(self.age_days.finish()));
        for further in provenance {
            columns.extend(further.finish(dictionaries)?);
        }
        Ok((columns, Arc::new(Int32Array::from(self.event_day))))
    }
}

impl Provenance {
    #[inline]
    fn push(&mut self, origin: Origin) {
        self.rate_date.append_value(origin.rate_date);
        self.snapshot.append_value(origin.snapshot as i32);
        self.source_rate.append_value(origin.source_rate);
    }

    fn push_without_snapshot(&mut self) {
        self.rate_date.append_null();
        self.snapshot.append_null();
        self.source_rate.append_value(ONE);
    }

    #[inline]
    fn push_null(&mut self) {
        self.rate_date.append_null();
        self.snapshot.append_null();
        self.source_rate.append_null();
    }

    fn finish(mut self, dictionaries: &Dictionaries) -> Result<[ArrayRef; 3]> {
        let rate_date: Date32Array = self.rate_date.finish();
        let source_rate = self.source_rate.finish().with_data_type(decimal_type(MAX_SCALE));
        Ok([
            Arc::new(rate_date),
            coded(self.snapshot.finish(), &dictionaries.snapshots)?,
            Arc::new(source_rate),
        ])
    }
}

fn coded(keys: Int32Array, values: &ArrayRef) -> Result<ArrayRef> {
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::clone(values))?))
}

fn decimals(mantissas: Vec<i128>, scale: u8) -> Result<ArrayRef> {
    Ok(Arc::new(Decimal128Array::from(mantissas).with_data_type(decimal_type(scale))))
}

fn decimal_type(scale: u8) -> DataType {
    DataType::Decimal128(PRECISION, scale.cast_signed())
}
