//! The types that a column can be declared to have, and their Arrow form.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use serde::{Deserialize, Serialize};

const DECIMAL_DIGITS_MAX: u8 = 38;
const DECIMAL_SCALE_MAX: u8 = 18;
const UTC: &str = "UTC";

/// The declared type of a column; written as its lower-case name, `decimal(18,4)` with its parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ColumnType {
    /// Any text.
    #[default]
    Text,
    /// A whole number of 64 bits.
    Int64,
    /// An exact decimal number of at most `precision` digits, `scale` of them decimals.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Decimals, 0 to 18 and not above the precision.
        scale: u8,
    },
    /// `true`, `false`, `1` or `0`; letters of either case.
    Bool,
    /// A calendar date, `YYYY-MM-DD`.
    Date,
    /// A local date and time (ISO 8601 without offset), in microseconds.
    Timestamp,
    /// An instant (ISO 8601 with an offset or `Z`), in microseconds of UTC.
    TimestampTz,
    /// A double; for measures, never for money.
    Float64,
}

/// A type name that is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown column type `{found}`; expected text, int64, decimal(precision,scale) with precision 1 to 38 \
     and scale 0 to 18, bool, date, timestamp, timestamptz or float64"
)]
pub struct UnknownType {
    /// The name as it was written.
    pub found: String,
}

impl ColumnType {
    /// Returns the Arrow type in which the column is read.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Int64 => DataType::Int64,
            Self::Decimal { precision, scale } => {
                DataType::Decimal128(precision, i8::try_from(scale).unwrap_or(i8::MAX))
            }
            Self::Bool => DataType::Boolean,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from(UTC))),
            Self::Float64 => DataType::Float64,
        }
    }

    /// Returns the type whose Arrow form is `data_type`, if there is one.
    pub fn from_data_type(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Utf8 => Some(Self::Text),
            DataType::Int64 => Some(Self::Int64),
            DataType::Decimal128(precision, scale) => {
                let scale = u8::try_from(*scale).ok()?;
                decimal(*precision, scale)
            }
            DataType::Boolean => Some(Self::Bool),
            DataType::Date32 => Some(Self::Date),
            DataType::Timestamp(TimeUnit::Microsecond, None) => Some(Self::Timestamp),
            DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if &**zone == UTC => {
                Some(Self::TimestampTz)
            }
            DataType::Float64 => Some(Self::Float64),
            _ => None,
        }
    }
}

fn decimal(precision: u8, scale: u8) -> Option<ColumnType> {
    let legal = (1..=DECIMAL_DIGITS_MAX).contains(&precision) && scale <= DECIMAL_SCALE_MAX.min(precision);
    legal.then_some(ColumnType::Decimal { precision, scale })
}

impl FromStr for ColumnType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        let unknown = || UnknownType { found: text.to_owned() };
        match text.trim() {
            "text" => Ok(Self::Text),
            "int64" => Ok(Self::Int64),
            "bool" => Ok(Self::Bool),
            "date" => Ok(Self::Date),
            "timestamp" => Ok(Self::Timestamp),
            "timestamptz" => Ok(Self::TimestampTz),
            "float64" => Ok(Self::Float64),
            other => {
                let parameters = other.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')'));
                let (precision, scale) =
                    parameters.and_then(|parameters| parameters.split_once(',')).ok_or_else(unknown)?;
                let precision = precision.trim().parse().map_err(|_| unknown())?;
                let scale = scale.trim().parse().map_err(|_| unknown())?;
                decimal(precision, scale).ok_or_else(unknown)
            }
        }
    }
}

impl TryFrom<String> for ColumnType {
    type Error = UnknownType;

    fn try_from(text: String) -> Result<Self, UnknownType> {
        text.parse()
    }
}

impl From<ColumnType> for String {
    fn from(column_type: ColumnType) -> Self {
        column_type.to_string()
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Int64 => f.write_str("int64"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::Bool => f.write_str("bool"),
            Self::Date => f.write_str("date"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::TimestampTz => f.write_str("timestamptz"),
            Self::Float64 => f.write_str("float64"),
        }
    }
}
