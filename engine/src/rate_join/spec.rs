//! What a conversion is told, and the columns it yields.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use cambist_udfs::decimal::MAX_SCALE;
use cambist_udfs::rounding::RoundingMode;
use datafusion::common::{Result, plan_err};
use serde::{Deserialize, Serialize};

use crate::athena::output_type;
use crate::rates::RateBookRef;
use crate::record::RECORD_COLUMN;

/// The event date in the rate zone, days since 1970-01-01; the writer's partition value.
pub const EVENT_DATE_COLUMN: &str = "__event_date";

/// Digits of every amount and rate.
pub(super) const PRECISION: u8 = 38;

/// A currency to convert into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetCurrency {
    /// The ISO 4217 code, or a code that the rate book carries.
    pub code: String,
    /// Decimals of its amounts.
    pub minor_units: u8,
}

impl TargetCurrency {
    /// Returns `stem_<code>` in lower case, as the columns of this target are named.
    pub fn column(&self, stem: &str) -> String {
        format!("{stem}_{}", self.code.to_ascii_lowercase())
    }
}

/// An input column that the output keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptColumn {
    /// Its name in the input.
    pub input: String,
    /// Its name in the output, lower case.
    pub output: String,
}

/// What to convert, how, and with which rates.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RateJoinSpec {
    /// The column that holds the amount: text, an integer or `Decimal128` of scale 0 to 18.
    pub amount: String,
    /// The column that holds the currency code: text.
    pub currency: String,
    /// The column that holds the event time: text, a date or a timestamp.
    pub event_time: String,
    /// The input columns that the output keeps, in order.
    pub kept: Vec<KeptColumn>,
    /// `strptime` form of a text event time; ISO 8601 where none is given.
    pub time_format: Option<String>,
    /// IANA zone of event times that name none.
    pub time_zone: Option<String>,
    /// IANA zone in which an event's date is taken.
    pub rate_zone: String,
    /// The currencies to convert into, in output order; at least one.
    pub targets: Vec<TargetCurrency>,
    /// How the one rounding is done.
    pub rounding: RoundingMode,
    /// Adds the columns `source_file` and `source_offset`.
    pub lineage: bool,
    /// The rates.
    pub book: RateBookRef,
}

/// Returns the scale of `source_amount` for an amount column of type `amount`.
///
/// Two decimals more than the column's own, because a minor-unit alias such as `GBX` divides by 100; 18
/// for text, whose decimals are not known beforehand.
///
/// # Errors
/// Where the type is no money: floating point, a negative scale, more than 18 decimals.
pub fn source_amount_scale(amount: &DataType) -> Result<u8> {
    match amount {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => Ok(MAX_SCALE),
        integer if integer.is_integer() => Ok(2),
        DataType::Decimal128(_, scale) => match u8::try_from(*scale) {
            Ok(scale) if scale <= MAX_SCALE => Ok((scale + 2).min(MAX_SCALE)),
            _ => plan_err!(
                "the amount has {scale} decimals, expected 0 to {MAX_SCALE}: use CAST(… AS DECIMAL(38, {MAX_SCALE})) \
                 where no digit is lost"
            ),
        },
        DataType::Float16 | DataType::Float32 | DataType::Float64 => plan_err!(
            "the amount is a floating-point column ({amount}), which cannot hold money exactly: \
             use CAST(… AS DECIMAL(38, 4)) in the source SQL, with as many decimals as the money has"
        ),
        other => plan_err!("the amount is of type {other}, expected text, an integer or a decimal"),
    }
}

/// Returns the columns that a conversion of `input` yields: those kept, per target the amount, the
/// provenance, then the hidden event date.
///
/// # Errors
/// Where a column is missing, an amount cannot be money, or two output columns would bear one name.
pub fn output_schema(spec: &RateJoinSpec, input: &Schema) -> Result<SchemaRef> {
    let mut fields = Vec::new();
    for kept in &spec.kept {
        let field = input.field_with_name(&kept.input)?;
        fields.push(Field::new(&kept.output, output_type(field.data_type())?, true));
    }
    let scale = source_amount_scale(input.field_with_name(&spec.amount)?.data_type())?;
    input.field_with_name(&spec.currency)?;
    input.field_with_name(&spec.event_time)?;
    input.field_with_name(RECORD_COLUMN)?;
    fields.extend(
        spec.targets
            .iter()
            .map(|target| Field::new(target.column("amount"), decimal(target.minor_units), true)),
    );
    fields.push(Field::new("source_amount", decimal(scale), true));
    fields.push(Field::new("source_currency", dictionary(), true));
    fields.extend(provenance(""));
    fields.extend(
        spec.targets.iter().map(|target| Field::new(target.column("rate"), decimal(MAX_SCALE), true)),
    );
    fields.push(Field::new("rate_age_days", DataType::Int32, true));
    for target in spec.targets.iter().skip(1) {
        fields.extend(provenance(&target.column("")));
    }
    if spec.lineage {
        fields.push(Field::new("source_file", DataType::Utf8, true));
        fields.push(Field::new("source_offset", DataType::Int64, true));
    }
    fields.push(Field::new(EVENT_DATE_COLUMN, DataType::Int32, false));
    for (index, field) in fields.iter().enumerate() {
        if fields[..index].iter().any(|other| other.name() == field.name()) {
            return plan_err!(
                "two output columns would be named `{}` (names are lower-cased for Athena): \
                 rename one with AS in the source SQL",
                field.name()
            );
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

fn provenance(suffix: &str) -> [Field; 3] {
    [
        Field::new(format!("rate_date{suffix}"), DataType::Date32, true),
        Field::new(format!("rate_snapshot{suffix}"), dictionary(), true),
        Field::new(format!("rate_source{suffix}"), decimal(MAX_SCALE), true),
    ]
}

fn decimal(scale: u8) -> DataType {
    DataType::Decimal128(PRECISION, scale.cast_signed())
}

/// Text of few distinct values; written as plain text.
fn dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}
