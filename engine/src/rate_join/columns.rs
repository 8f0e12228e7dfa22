//! The columns that a conversion adds, built row by row.

use std::sync::Arc;

use arrow::array::NullBufferBuilder;
use arrow::array::{ArrayRef, Date32Array, Decimal128Array, DictionaryArray, Int32Array, StringArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Int32Type};
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
    age_days: Vec<i32>,
    event_day: Vec<i32>,
}

/// The snapshot's columns of one target; the day, the snapshot and the age are null together.
struct Provenance {
    rate_date: Vec<i32>,
    snapshot: Vec<i32>,
    source_rate: Vec<i128>,
    has_snapshot: NullBufferBuilder,
    has_rate: NullBufferBuilder,
}

impl Columns {
    pub(super) fn with_capacity(rows: usize, targets: usize) -> Self {
        let provenance = || Provenance {
            rate_date: Vec::with_capacity(rows),
            snapshot: Vec::with_capacity(rows),
            source_rate: Vec::with_capacity(rows),
            has_snapshot: NullBufferBuilder::new(rows),
            has_rate: NullBufferBuilder::new(rows),
        };
        Self {
            amounts: vec![Vec::with_capacity(rows); targets],
            source_amount: Vec::with_capacity(rows),
            source_currency: Vec::with_capacity(rows),
            provenance: (0..targets).map(|_| provenance()).collect(),
            rates: vec![Vec::with_capacity(rows); targets],
            age_days: Vec::with_capacity(rows),
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
        self.age_days.push(main.map_or(0, |origin| origin.age_days as i32));
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
        self,
        targets: &[TargetCurrency],
        source_scale: u8,
        dictionaries: &Dictionaries,
    ) -> Result<(Vec<ArrayRef>, ArrayRef)> {
        let mut columns: Vec<ArrayRef> = Vec::new();
        for (target, amounts) in targets.iter().zip(self.amounts) {
            columns.push(decimals(amounts, target.minor_units, None)?);
        }
        columns.push(decimals(self.source_amount, source_scale, None)?);
        columns.push(coded(Int32Array::from(self.source_currency), &dictionaries.currencies)?);
        let mut provenance = self.provenance.into_iter();
        let mut is_aged = None;
        for main in provenance.by_ref().take(1) {
            let (main, has_snapshot) = main.finish(dictionaries)?;
            columns.extend(main);
            is_aged = has_snapshot;
        }
        for rates in self.rates {
            columns.push(decimals(rates, MAX_SCALE, None)?);
        }
        columns.push(Arc::new(Int32Array::try_new(self.age_days.into(), is_aged)?));
        for further in provenance {
            columns.extend(further.finish(dictionaries)?.0);
        }
        Ok((columns, Arc::new(Int32Array::from(self.event_day))))
    }
}

impl Provenance {
    #[inline]
    fn push(&mut self, origin: Origin) {
        self.rate_date.push(origin.rate_date);
        self.snapshot.push(origin.snapshot as i32);
        self.source_rate.push(origin.source_rate);
        self.has_snapshot.append_non_null();
        self.has_rate.append_non_null();
    }

    fn push_without_snapshot(&mut self) {
        self.rate_date.push(0);
        self.snapshot.push(0);
        self.source_rate.push(ONE);
        self.has_snapshot.append_null();
        self.has_rate.append_non_null();
    }

    #[inline]
    fn push_null(&mut self) {
        self.rate_date.push(0);
        self.snapshot.push(0);
        self.source_rate.push(0);
        self.has_snapshot.append_null();
        self.has_rate.append_null();
    }

    /// Returns the columns, and which rows have a snapshot.
    fn finish(mut self, dictionaries: &Dictionaries) -> Result<([ArrayRef; 3], Option<NullBuffer>)> {
        let has_snapshot = self.has_snapshot.finish();
        let rate_date = Date32Array::try_new(self.rate_date.into(), has_snapshot.clone())?;
        let snapshot = Int32Array::try_new(self.snapshot.into(), has_snapshot.clone())?;
        let columns = [
            Arc::new(rate_date) as ArrayRef,
            coded(snapshot, &dictionaries.snapshots)?,
            decimals(self.source_rate, MAX_SCALE, self.has_rate.finish())?,
        ];
        Ok((columns, has_snapshot))
    }
}

fn coded(keys: Int32Array, values: &ArrayRef) -> Result<ArrayRef> {
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::clone(values))?))
}

fn decimals(mantissas: Vec<i128>, scale: u8, validity: Option<NullBuffer>) -> Result<ArrayRef> {
    let values = Decimal128Array::try_new(mantissas.into(), validity)?;
    Ok(Arc::new(values.with_data_type(DataType::Decimal128(PRECISION, scale.cast_signed()))))
}
