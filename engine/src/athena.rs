//! The types that Athena, Spark and every hive reader understand, and how others become them.

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, plan_err};

use crate::json_text;

/// Returns the type under which a column of type `input` is written.
///
/// Unsigned integers become the next wider signed type, timestamps become microseconds (finer digits are
/// cut off), views and large or dictionary-coded text become plain text, nested values become JSON text.
///
/// # Errors
/// Where the table format has no such type.
pub fn output_type(input: &DataType) -> Result<DataType> {
    Ok(match input {
        DataType::Boolean | DataType::Int32 | DataType::Int64 | DataType::Float32 | DataType::Float64 => {
            input.clone()
        }
        DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Decimal128(_, scale) if *scale >= 0 => input.clone(),
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            DataType::Binary
        }
        DataType::Date32 | DataType::Date64 => DataType::Date32,
        DataType::Timestamp(_, zone) => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| "UTC".into()))
        }
        DataType::Dictionary(_, values) => output_type(values)?,
        nested if nested.is_nested() => DataType::Utf8,
        other => {
            return plan_err!(
                "a column of type {other} cannot be written: leave it out, or CAST it, in the source SQL"
            );
        }
    })
}

/// Returns `column` in the type that [`output_type`] gives it.
///
/// # Errors
/// Where a value does not fit.
pub fn to_output(column: &ArrayRef, written: &DataType) -> Result<ArrayRef> {
    Ok(if column.data_type().is_nested() { json_text::text(column)? } else { cast(column, written)? })
}

/// Returns the hive and Athena name of a written type.
///
/// # Errors
/// Where `written` is not a result of [`output_type`].
pub fn hive_type(written: &DataType) -> Result<String> {
    Ok(match written {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int32 => "int".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float32 => "float".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Utf8 => "string".to_owned(),
        DataType::Binary => "binary".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => "timestamp".to_owned(),
        DataType::Dictionary(_, values) => hive_type(values)?,
        other => return plan_err!("type {other} has no hive name"),
    })
}

/// Returns the type under which a column of the hive type `name` is written; times are taken for such
/// without a zone, since the name does not say.
///
/// # Errors
/// Where `name` is not a result of [`hive_type`].
pub fn arrow_type(name: &str) -> Result<DataType> {
    Ok(match name {
        "boolean" => DataType::Boolean,
        "int" => DataType::Int32,
        "bigint" => DataType::Int64,
        "float" => DataType::Float32,
        "double" => DataType::Float64,
        "string" => DataType::Utf8,
        "binary" => DataType::Binary,
        "date" => DataType::Date32,
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
        other => {
            let digits = other.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')'));
            let parts = digits.and_then(|digits| digits.split_once(','));
            let parsed = parts.map(|(precision, scale)| (precision.parse(), scale.parse()));
            let Some((Ok(precision), Ok(scale))) = parsed else {
                return plan_err!("`{other}` is no hive type of ours");
            };
            DataType::Decimal128(precision, scale)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hive_type_means_the_type_that_it_names() {
        let types = [
            DataType::Boolean,
            DataType::Int32,
            DataType::Int64,
            DataType::Float32,
            DataType::Float64,
            DataType::Decimal128(38, 2),
            DataType::Utf8,
            DataType::Binary,
            DataType::Date32,
            DataType::Timestamp(TimeUnit::Microsecond, None),
        ];
        for written in types {
            assert_eq!(arrow_type(&hive_type(&written).unwrap()).unwrap(), written);
        }
        assert!(arrow_type("decimal(38)").is_err());
    }
}
