//! Text of any Arrow layout.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, LargeStringArray, StringArray, StringViewArray};
use arrow::datatypes::DataType;
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::ScalarFunctionArgs;

use super::Column;

/// The values of a text argument.
pub(in crate::sql) struct Texts {
    values: Layout,
    stride: usize,
}

enum Layout {
    Plain(StringArray),
    Large(LargeStringArray),
    View(StringViewArray),
}

impl Texts {
    pub(in crate::sql) fn of(args: &ScalarFunctionArgs, position: usize) -> Result<Self> {
        Self::new(&Column::of(args, position)?)
    }

    /// Reads a column of a batch.
    pub(in crate::sql) fn of_column(array: &ArrayRef) -> Result<Self> {
        Self::new(&Column { array: Arc::clone(array), stride: 1 })
    }

    pub(super) fn new(column: &Column) -> Result<Self> {
        let values = match column.array.data_type() {
            DataType::Utf8 => Layout::Plain(column.array.as_string().clone()),
            DataType::LargeUtf8 => Layout::Large(column.array.as_string().clone()),
            DataType::Utf8View => Layout::View(column.array.as_string_view().clone()),
            other => return internal_err!("text of type {other}"),
        };
        Ok(Self { values, stride: column.stride })
    }

    /// Tells whether all rows have the same text.
    pub(in crate::sql) const fn is_constant(&self) -> bool {
        self.stride == 0
    }

    /// Returns the text of a row, unless it is null.
    #[inline]
    pub(in crate::sql) fn get(&self, row: usize) -> Option<&str> {
        let place = row * self.stride;
        match &self.values {
            Layout::Plain(values) => values.is_valid(place).then(|| values.value(place)),
            Layout::Large(values) => values.is_valid(place).then(|| values.value(place)),
            Layout::View(values) => values.is_valid(place).then(|| values.value(place)),
        }
    }
}
