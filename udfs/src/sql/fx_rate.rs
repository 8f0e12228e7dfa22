//! `fx_rate` and `try_fx_rate`: the two rates behind a conversion, exactly as published.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Builder, Decimal128Builder, NullBufferBuilder, StringBuilder, StructArray,
};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, Volatility};

use super::card::{Card, Parameter, ParameterKind};
use super::error::FunctionError;
use super::pair::{PairPositions, Pairs, Quote};
use super::scalar::{Constants, Kernel, OnRefusal, Rows};
use super::session_rates::SessionRates;
use crate::decimal::{Decimal, MAX_SCALE};
use crate::rate::{RateBook, RateDate, SnapshotId};
use crate::reason::RowReason;

/// Digits of a snapshot's id, as output rows bear them.
const SHORT_ID_DIGITS: usize = 12;

pub(super) const PAIR: PairPositions = PairPositions { source: 0, target: 1, event: 2 };

pub(super) const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "source_currency",
        kind: ParameterKind::Text,
        text: "Utf8; a currency code, upper or lower case.",
    },
    Parameter {
        name: "target_currency",
        kind: ParameterKind::Text,
        text: "Utf8; a currency code, upper or lower case.",
    },
    Parameter {
        name: "event_date",
        kind: ParameterKind::Event,
        text: "Date32, Date64, Timestamp (its date in UTC; its instant if the rates are chosen by instant), or Utf8 of the form `YYYY-MM-DD`.",
    },
];

pub(super) const CARD: Card = Card {
    name: "fx_rate",
    parameters: PARAMETERS,
    required: 3,
    computes: "Returns the two rates that a conversion uses, exactly as published, with their date and snapshot. A cross rate is not an exact decimal, so it is not given: an amount is converted by `target_rate / source_rate`.",
    result: "Struct{source_rate Decimal128(38, 18), target_rate Decimal128(38, 18): units per one unit of the snapshot's base; rate_date Date32; snapshot Utf8, the first 12 hex digits of the payload's sha256}; nullable. From a currency to itself both rates are 1, without date and snapshot.",
    shape: "One result per row, order kept; arguments may be columns or constants.",
    nulls: "A NULL argument is an error.",
    rounding: "None: both rates are as published.",
    errors: "The query fails at the first row without rates and names the value and its reason: `CURRENCY_MISSING`, `CURRENCY_UNKNOWN` (also for hundredths such as `GBX`, for which nothing is published), `CURRENCY_NOT_MONEY`, `CURRENCY_NOT_VALID_AT_DATE`, `EVENT_TIME_MISSING`, `EVENT_TIME_INVALID`, `EVENT_BEFORE_HISTORY`, `RATE_MISSING_SOURCE`, `RATE_MISSING_TARGET`, `RATE_STALE`. `try_fx_rate` gives NULL instead.",
    cost: "Per row: two code look-ups, one snapshot look-up, two searches among the snapshot's rates.",
    example: (
        "SELECT r['source_rate'] AS gbp, r['target_rate'] AS inr, r['rate_date'] AS rate_date FROM (SELECT fx_rate('GBP', 'INR', DATE '2024-05-04') AS r)",
        "+----------------------+-----------------------+------------+\n| gbp                  | inr                   | rate_date  |\n+----------------------+-----------------------+------------+\n| 0.857500000000000000 | 89.600000000000000000 | 2024-05-03 |\n+----------------------+-----------------------+------------+",
    ),
    source: "the rate book that is bound to the session.",
};

const TRY_CARD: Card = Card {
    name: "try_fx_rate",
    computes: "Does the same as `fx_rate`, but gives NULL for a row without rates.",
    nulls: "A row without rates gives NULL, whatever the reason; so does a NULL in any argument.",
    errors: "Only what is wrong with the call itself, when the query is planned.",
    example: (
        "SELECT try_fx_rate('GBP', 'INR', DATE '1999-01-01') IS NULL AS missing",
        "+---------+\n| missing |\n+---------+\n| true    |\n+---------+",
    ),
    ..CARD
};

/// The kernel of both functions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FxRate {
    on_refusal: OnRefusal,
    rates: Option<SessionRates>,
}

impl FxRate {
    pub(super) const fn new(on_refusal: OnRefusal, rates: Option<SessionRates>) -> Self {
        Self { on_refusal, rates }
    }

    fn bound(&self) -> Result<&SessionRates, FunctionError> {
        self.rates.as_ref().ok_or(FunctionError::NoRates { function: self.card().name })
    }

    fn explain(&self, pairs: &Pairs<'_>, row: usize, reason: RowReason) -> FunctionError {
        let hundredths =
            || pairs.get(row).ok().filter(|pair| pair.source.hundredths || pair.target.hundredths);
        let detail = match reason {
            RowReason::CurrencyUnknown if hundredths().is_some() => {
                "no rate is published for a hundredth of a currency; expected a whole one, as `currency_normalize` gives".to_owned()
            }
            _ => pairs.explain(row, reason),
        };
        let detail = format!("{detail}; try_fx_rate gives NULL for such a row");
        FunctionError::Row { function: self.card().name, reason, detail }
    }
}

impl Kernel for FxRate {
    fn card(&self) -> &'static Card {
        match self.on_refusal {
            OnRefusal::Fail => &CARD,
            OnRefusal::Null => &TRY_CARD,
        }
    }

    fn rates(&self) -> Option<&SessionRates> {
        self.rates.as_ref()
    }

    fn volatility(&self) -> Volatility {
        Volatility::Stable
    }

    fn result_type(&self, _types: &[DataType], _constants: Constants<'_>) -> Result<DataType> {
        self.bound()?;
        Ok(DataType::Struct(fields()))
    }

    fn invoke(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let book = self.bound()?.book()?;
        let (pairs, rows) = (Pairs::of(book, args, PAIR)?, Rows::of(args));
        let mut results = PublishedBuilder::with_capacity(book, rows.count());
        rows.compute(
            self.on_refusal,
            |row| published(&pairs, book, row).map(Some),
            |row, reason| self.explain(&pairs, row, reason),
            |found| results.append(found),
        )?;
        rows.finish(results.finish()?)
    }
}

fn fields() -> Fields {
    let rate = DataType::Decimal128(38, MAX_SCALE.cast_signed());
    Fields::from(vec![
        Field::new("source_rate", rate.clone(), true),
        Field::new("target_rate", rate, true),
        Field::new("rate_date", DataType::Date32, true),
        Field::new("snapshot", DataType::Utf8, true),
    ])
}

/// The rates of one row, at 18 decimals.
struct Published {
    source: i128,
    target: i128,
    snapshot: Option<usize>,
}

fn published(pairs: &Pairs<'_>, book: &RateBook, row: usize) -> std::result::Result<Published, RowReason> {
    let pair = pairs.get(row)?;
    if pair.source.hundredths || pair.target.hundredths {
        return Err(RowReason::CurrencyUnknown);
    }
    // A rate has at most 20 integer digits, so that 18 decimals always fit.
    let rate = |rate: Option<Decimal>| {
        rate.and_then(|rate| rate.rescale(MAX_SCALE)).ok_or(RowReason::RateMissingSource)
    };
    match pairs.quote(&pair)? {
        Quote::Same => {
            let one = rate(Some(Decimal::ONE))?;
            Ok(Published { source: one, target: one, snapshot: None })
        }
        Quote::Published(snapshot) => Ok(Published {
            source: rate(book.rate(snapshot, pair.source.currency))?,
            target: rate(book.rate(snapshot, pair.target.currency))?,
            snapshot: Some(snapshot.index()),
        }),
    }
}

/// Builds the column of a batch's rates.
struct PublishedBuilder<'b> {
    book: &'b RateBook,
    sources: Decimal128Builder,
    targets: Decimal128Builder,
    dates: Date32Builder,
    snapshots: StringBuilder,
    nulls: NullBufferBuilder,
}

impl<'b> PublishedBuilder<'b> {
    fn with_capacity(book: &'b RateBook, rows: usize) -> Self {
        let rates = || {
            Decimal128Builder::with_capacity(rows)
                .with_data_type(DataType::Decimal128(38, MAX_SCALE.cast_signed()))
        };
        Self {
            book,
            sources: rates(),
            targets: rates(),
            dates: Date32Builder::with_capacity(rows),
            snapshots: StringBuilder::with_capacity(rows, rows * SHORT_ID_DIGITS),
            nulls: NullBufferBuilder::new(rows),
        }
    }

    fn append(&mut self, found: Option<Published>) {
        self.nulls.append(found.is_some());
        self.sources.append_option(found.as_ref().map(|found| found.source));
        self.targets.append_option(found.as_ref().map(|found| found.target));
        let snapshot =
            found.and_then(|found| found.snapshot).and_then(|index| self.book.snapshots().get(index));
        self.dates.append_option(snapshot.map(|snapshot| {
            let RateDate(day) = snapshot.rate_date;
            day
        }));
        match snapshot {
            Some(snapshot) => self.snapshots.append_value(text_of(&short_id(&snapshot.id))),
            None => self.snapshots.append_null(),
        }
    }

    fn finish(mut self) -> Result<ArrayRef> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.sources.finish()),
            Arc::new(self.targets.finish()),
            Arc::new(self.dates.finish()),
            Arc::new(self.snapshots.finish()),
        ];
        Ok(Arc::new(StructArray::try_new(fields(), columns, self.nulls.finish())?))
    }
}

/// Does the same as [`SnapshotId::short`] without an allocation per row.
fn short_id(id: &SnapshotId) -> [u8; SHORT_ID_DIGITS] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |position: usize| {
        let byte = id.0[position / 2];
        let nibble = if position.is_multiple_of(2) { byte >> 4 } else { byte & 0xf };
        DIGITS[usize::from(nibble)]
    };
    std::array::from_fn(digit)
}

fn text_of(digits: &[u8; SHORT_ID_DIGITS]) -> &str {
    // The digits are ASCII by construction, so the text is never empty.
    str::from_utf8(digits).unwrap_or_default()
}
