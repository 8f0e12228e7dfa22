//! `parse_decimal`: the number that a text writes, to the last digit.

use std::sync::Arc;

use arrow::array::Decimal128Builder;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use super::argument::Texts;
use super::card::{Card, Parameter, ParameterKind};
use super::scalar::{Constants, Kernel, Rows};
use crate::decimal::{Decimal, MAX_SCALE};

const CARD: Card = Card {
    name: "parse_decimal",
    parameters: &[Parameter {
        name: "text",
        kind: ParameterKind::Text,
        text: "Utf8; white space, a sign, digits with a point anywhere among them, an exponent; no group separators; nullable.",
    }],
    required: 1,
    computes: "Reads the decimal number that a text writes, exactly: never through a float.",
    result: "Decimal128(38, 18); the unit is that of the text; nullable.",
    shape: "One result per row, order kept; the argument may be a column or a constant.",
    nulls: "NULL, and any text that is no decimal number or does not fit 20 integer digits and 18 decimals, gives NULL. A job whose SQL reads its amounts so quarantines them as `AMOUNT_MISSING`; give it the text itself to learn more.",
    rounding: "None: a number with more than 18 decimals is NULL.",
    errors: "None.",
    cost: "Per row: about a nanosecond per digit.",
    example: (
        "SELECT parse_decimal(' -1.5e-3 ') AS small, parse_decimal('1,000') AS grouped",
        "+-----------------------+---------+\n| small                 | grouped |\n+-----------------------+---------+\n| -0.001500000000000000 |         |\n+-----------------------+---------+",
    ),
    source: "the decimal numbers of this library: at most 18 decimals.",
};

/// The kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ParseDecimal;

impl Kernel for ParseDecimal {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn result_type(&self, _types: &[DataType], _constants: Constants<'_>) -> Result<DataType> {
        Ok(DataType::Decimal128(38, MAX_SCALE.cast_signed()))
    }

    fn invoke(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (texts, rows) = (Texts::of(args, 0)?, Rows::of(args));
        let mut results =
            Decimal128Builder::with_capacity(rows.count()).with_data_type(args.return_type().clone());
        for row in 0..rows.count() {
            let number = texts.get(row).and_then(|text| Decimal::from_bytes(text.as_bytes()).ok());
            results.append_option(number.and_then(|number| number.rescale(MAX_SCALE)));
        }
        rows.finish(Arc::new(results.finish()))
    }
}
