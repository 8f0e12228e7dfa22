//! The arguments of a call as rows: a column has one value per row, a constant one for all of them.

mod amount;
mod event;
mod text;

use arrow::array::ArrayRef;
use datafusion::common::{Result, ScalarValue, internal_datafusion_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

pub(super) use amount::{Amount, Amounts};
pub(super) use event::{Event, Events};
pub(super) use text::Texts;

/// The values of one argument.
struct Column {
    array: ArrayRef,
    /// What a row is multiplied by to give its value's place: 0 for a constant.
    stride: usize,
}

impl Column {
    fn of(args: &ScalarFunctionArgs, position: usize) -> Result<Self> {
        match args.args.get(position) {
            Some(ColumnarValue::Array(array)) => Ok(Self { array: array.clone(), stride: 1 }),
            Some(ColumnarValue::Scalar(value)) => Ok(Self { array: value.to_array_of_size(1)?, stride: 0 }),
            None => Err(internal_datafusion_err!("argument {position} is missing")),
        }
    }
}

/// Returns the value of a constant argument; nothing for a column, or where none is given.
pub(super) fn constant(args: &ScalarFunctionArgs, position: usize) -> Option<&ScalarValue> {
    match args.args.get(position) {
        Some(ColumnarValue::Scalar(value)) => Some(value),
        _ => None,
    }
}
