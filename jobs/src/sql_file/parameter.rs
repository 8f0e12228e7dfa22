//! Parameters: their types, and values that are constants of SQL and parts of places.

use cambist_engine::record::ColumnType;
use cambist_udfs::decimal::Decimal;
use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, ExactNumberInfo, Expr, TimezoneInfo, Value as SqlValue,
};
use serde_json::Value;

use super::header::ParameterSpec;
use crate::error::{JobError, Result};
use crate::options::PLACE_KEY;
use crate::registry::OptionType;

/// Sections of the options: a parameter's value lies beside them.
const SECTIONS: [&str; 2] = ["output", "run"];

/// A parameter.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    pub(super) name: String,
    value_type: ColumnType,
    pub(super) default: Option<ParameterValue>,
    pub(super) doc: String,
}

/// A value of its parameter's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ParameterValue {
    value_type: ColumnType,
    /// The one way in which this value is written.
    text: String,
}

impl Parameter {
    pub(super) fn of(name: &str, spec: &ParameterSpec) -> Result<Self> {
        let refused = |detail: String| JobError::usage(format!("parameters.{name}: {detail}"));
        let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
        if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.chars().all(is_plain) {
            return Err(refused("expected a name of lower-case letters, digits and `_`".to_owned()));
        }
        if SECTIONS.contains(&name) {
            return Err(refused(format!(
                "{} are sections of every job's options; call it otherwise",
                SECTIONS.map(|section| format!("`{section}`")).join(" and ")
            )));
        }
        if name == PLACE_KEY {
            return Err(refused(
                "what is called so is a place in every job's options; call it otherwise".to_owned(),
            ));
        }
        let value_type: ColumnType = match spec.value_type.parse() {
            Ok(ColumnType::Timestamp | ColumnType::Float64) | Err(_) => {
                return Err(refused(format!(
                    "type is `{}`, expected text, int64, decimal(precision,scale), bool, date or timestamptz",
                    spec.value_type
                )));
            }
            Ok(known) => known,
        };
        let mut parameter = Self {
            name: name.to_owned(),
            value_type,
            default: None,
            doc: spec.doc.clone().unwrap_or_default(),
        };
        if let Some(default) = &spec.default {
            let default = parameter.value(&crate::options::json_of(default.clone()));
            parameter.default =
                Some(default.map_err(|error| refused(format!("default: {}", error.message)))?);
        }
        Ok(parameter)
    }

    /// Returns the type's name.
    pub(super) fn kind(&self) -> String {
        String::from(self.value_type)
    }

    pub(super) fn option_type(&self) -> OptionType {
        match self.value_type {
            ColumnType::Int64 => OptionType::Integer,
            ColumnType::Decimal { .. } => OptionType::Decimal,
            ColumnType::Bool => OptionType::Boolean,
            ColumnType::Date => OptionType::Date,
            ColumnType::TimestampTz => OptionType::Instant,
            ColumnType::Text | ColumnType::Timestamp | ColumnType::Float64 => OptionType::Text,
        }
    }

    /// Reads a value that was given.
    ///
    /// # Errors
    /// Where it is none of this type.
    pub(super) fn value(&self, given: &Value) -> Result<ParameterValue> {
        let (text, expected) = match self.value_type {
            ColumnType::Text => (given.as_str().map(str::to_owned), "a text".to_owned()),
            ColumnType::Int64 => (integer(given), "a whole number of 64 bits".to_owned()),
            ColumnType::Decimal { precision, scale } => (
                decimal(given, precision, scale),
                format!(
                    "a number of at most {precision} digits, {scale} of them decimals; in quotes where it has \
                     decimals"
                ),
            ),
            ColumnType::Bool => {
                (given.as_bool().map(|is_set| is_set.to_string()), "true or false".to_owned())
            }
            ColumnType::Date => (date(given), "a day such as `2024-05-01`".to_owned()),
            _ => (instant(given), "an instant such as `2024-05-01T06:00:00Z`".to_owned()),
        };
        let text =
            text.ok_or_else(|| JobError::usage(format!("`{}` is {given}, expected {expected}", self.name)))?;
        Ok(ParameterValue { value_type: self.value_type, text })
    }
}

impl ParameterValue {
    /// Returns the value as text; equal values have equal texts.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the value as a part of a batch's name: a decimal has the same whatever the scale of its type is.
    pub(super) fn in_name(&self) -> &str {
        match self.value_type {
            ColumnType::Decimal { .. } if self.text.contains('.') => {
                self.text.trim_end_matches('0').trim_end_matches('.')
            }
            _ => &self.text,
        }
    }

    /// Returns the value as a constant of SQL, of its type.
    pub(super) fn constant(&self) -> Expr {
        let data_type = match self.value_type {
            ColumnType::Bool => return Expr::Value(SqlValue::Boolean(self.text == "true").with_empty_span()),
            ColumnType::Int64 => DataType::BigInt(None),
            ColumnType::Decimal { precision, scale } => {
                DataType::Decimal(ExactNumberInfo::PrecisionAndScale(precision.into(), scale.into()))
            }
            ColumnType::Date => DataType::Date,
            ColumnType::TimestampTz => DataType::Timestamp(None, TimezoneInfo::WithTimeZone),
            ColumnType::Text | ColumnType::Timestamp | ColumnType::Float64 => return self.quoted(),
        };
        Expr::Cast {
            kind: CastKind::Cast,
            expr: Box::new(self.quoted()),
            data_type,
            array: false,
            format: None,
        }
    }

    fn quoted(&self) -> Expr {
        Expr::Value(SqlValue::SingleQuotedString(self.text.clone()).with_empty_span())
    }
}

fn integer(given: &Value) -> Option<String> {
    let number = match given {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.map(|number: i64| number.to_string())
}

fn decimal(given: &Value, precision: u8, scale: u8) -> Option<String> {
    let text = match given {
        Value::String(text) => text.clone(),
        // One with decimals is no longer what was written, but the float beside it.
        Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
        _ => return None,
    };
    let mantissa = Decimal::from_bytes(text.as_bytes()).ok()?.rescale(scale)?;
    let digits = mantissa.unsigned_abs().checked_ilog10().map_or(1, |log| log + 1);
    if digits > u32::from(precision) {
        return None;
    }
    Decimal::new(mantissa, scale).map(|decimal| decimal.to_string())
}

fn date(given: &Value) -> Option<String> {
    given.as_str()?.parse::<jiff::civil::Date>().ok().map(|date| date.to_string())
}

fn instant(given: &Value) -> Option<String> {
    given.as_str()?.parse::<jiff::Timestamp>().ok().map(|instant| instant.to_string())
}
