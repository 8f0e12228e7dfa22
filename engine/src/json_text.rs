//! Nested and columnar values as JSON text: what the table's flat types and the quarantine's raw records
//! need. Decimals are written digit by digit, nulls explicitly.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryBuilder, StringBuilder};
use arrow::datatypes::Field;
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, make_encoder};

/// Calls `write` with the JSON of each value; with nothing for a null.
fn each_value(
    values: &ArrayRef,
    mut write: impl FnMut(Option<&[u8]>) -> Result<(), ArrowError>,
) -> Result<(), ArrowError> {
    let field = Arc::new(Field::new("value", values.data_type().clone(), true));
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(&field, values.as_ref(), &options)?;
    let mut json = Vec::new();
    for row in 0..values.len() {
        if encoder.is_null(row) {
            write(None)?;
            continue;
        }
        json.clear();
        encoder.encode(row, &mut json);
        write(Some(&json))?;
    }
    Ok(())
}

/// Returns `values` as a column of JSON text.
pub(crate) fn text(values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let mut texts = StringBuilder::new();
    each_value(values, |json| {
        let json = json.map(std::str::from_utf8).transpose();
        texts.append_option(json.map_err(|error| ArrowError::JsonError(error.to_string()))?);
        Ok(())
    })?;
    Ok(Arc::new(texts.finish()))
}

/// Returns `values` as a column of the bytes of their JSON text.
pub(crate) fn bytes(values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let mut texts = BinaryBuilder::new();
    each_value(values, |json| {
        texts.append_option(json);
        Ok(())
    })?;
    Ok(Arc::new(texts.finish()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Decimal128Array, StringArray, StructArray};
    use arrow::datatypes::{DataType, Field};

    use super::*;

    #[test]
    fn nested_decimals_keep_every_digit() {
        let amounts = Decimal128Array::from(vec![Some(10_i128.pow(20) + 1), None])
            .with_precision_and_scale(38, 2)
            .unwrap();
        let codes = StringArray::from(vec!["EUR", "a\"b"]);
        let nested = StructArray::from(vec![
            (Arc::new(Field::new("value", DataType::Decimal128(38, 2), true)), Arc::new(amounts) as ArrayRef),
            (Arc::new(Field::new("ccy", DataType::Utf8, false)), Arc::new(codes) as ArrayRef),
        ]);
        let nested: ArrayRef = Arc::new(nested);
        let texts = text(&nested).unwrap();
        assert_eq!(texts.as_string::<i32>().value(0), r#"{"value":1000000000000000000.01,"ccy":"EUR"}"#);
        assert_eq!(texts.as_string::<i32>().value(1), r#"{"value":null,"ccy":"a\"b"}"#);
    }
}
