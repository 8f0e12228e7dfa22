//! One declared column while a batch is built: text in, a typed Arrow array out.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BooleanArray, NullBufferBuilder, PrimitiveArray, StringBuilder,
    new_null_array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use cambist_udfs::reason::RowReason;

use super::column_type::ColumnType;
use super::config::ColumnRole;
use super::schema::{ColumnSpec, Fault, quoted};
use super::value::{self, Contradiction};

/// The bytes that a text column makes room for at first, per row.
const TEXT_BYTES_PER_ROW: usize = 16;

/// Values of fixed width, with their validity.
#[derive(Debug)]
pub(crate) struct Fixed<V> {
    values: Vec<V>,
    validity: NullBufferBuilder,
}

impl<V: Copy + Default> Fixed<V> {
    fn new(rows: usize) -> Self {
        Self { values: Vec::with_capacity(rows), validity: NullBufferBuilder::new(rows) }
    }

    #[inline]
    pub(crate) fn push(&mut self, value: V) {
        self.values.push(value);
        self.validity.append_non_null();
    }

    #[inline]
    pub(crate) fn push_null(&mut self) {
        self.values.push(V::default());
        self.validity.append_null();
    }

    fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.validity.truncate(rows);
    }

    fn take(&mut self, rows: usize) -> (Vec<V>, Option<NullBuffer>) {
        let validity = std::mem::replace(&mut self.validity, NullBufferBuilder::new(rows)).build();
        (std::mem::replace(&mut self.values, Vec::with_capacity(rows)), validity)
    }
}

/// A column under construction.
#[derive(Debug)]
pub(crate) enum Column {
    Text(StringBuilder),
    Int64(Fixed<i64>),
    Decimal {
        values: Fixed<i128>,
        precision: u8,
        scale: u8,
    },
    Bool(Fixed<bool>),
    Date(Fixed<i32>),
    Timestamp(Fixed<i64>),
    TimestampTz(Fixed<i64>),
    Float64(Fixed<f64>),
    /// A text column that nobody reads: any text fits, so nothing is kept.
    Unread,
}

impl Column {
    /// Makes an empty column with room for `rows` rows.
    pub(crate) fn new(column_type: ColumnType, is_projected: bool, rows: usize) -> Self {
        match column_type {
            ColumnType::Text if is_projected => {
                Self::Text(StringBuilder::with_capacity(rows, rows * TEXT_BYTES_PER_ROW))
            }
            ColumnType::Text => Self::Unread,
            ColumnType::Int64 => Self::Int64(Fixed::new(rows)),
            ColumnType::Decimal { precision, scale } => {
                Self::Decimal { values: Fixed::new(rows), precision, scale }
            }
            ColumnType::Bool => Self::Bool(Fixed::new(rows)),
            ColumnType::Date => Self::Date(Fixed::new(rows)),
            ColumnType::Timestamp => Self::Timestamp(Fixed::new(rows)),
            ColumnType::TimestampTz => Self::TimestampTz(Fixed::new(rows)),
            ColumnType::Float64 => Self::Float64(Fixed::new(rows)),
        }
    }

    /// Tells whether every text is a value of this column.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Unread)
    }

    /// Appends a value; white space around a typed value is no part of it, and a blank one is null.
    #[inline]
    pub(crate) fn push(&mut self, text: &str) -> Result<(), Contradiction> {
        match self {
            Self::Text(values) => values.append_value(text),
            Self::Unread => {}
            typed => {
                let text = text.trim_ascii();
                if text.is_empty() {
                    typed.push_null();
                } else {
                    typed.push_typed(text)?;
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn push_typed(&mut self, text: &str) -> Result<(), Contradiction> {
        match self {
            Self::Int64(values) => values.push(value::int64(text)?),
            Self::Decimal { values, precision, scale } => {
                values.push(value::decimal(text, *precision, *scale)?);
            }
            Self::Bool(values) => values.push(value::boolean(text)?),
            Self::Date(values) => values.push(value::date(text)?),
            Self::Timestamp(values) => values.push(value::timestamp(text)?),
            Self::TimestampTz(values) => values.push(value::instant(text)?),
            Self::Float64(values) => values.push(value::float64(text)?),
            Self::Text(_) | Self::Unread => {}
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn push_null(&mut self) {
        match self {
            Self::Text(values) => values.append_null(),
            Self::Int64(values) | Self::Timestamp(values) | Self::TimestampTz(values) => values.push_null(),
            Self::Decimal { values, .. } => values.push_null(),
            Self::Bool(values) => values.push_null(),
            Self::Date(values) => values.push_null(),
            Self::Float64(values) => values.push_null(),
            Self::Unread => {}
        }
    }

    /// Forgets all rows from `rows` on. Text is never taken back: it is appended once nothing can fail.
    pub(crate) fn truncate(&mut self, rows: usize) {
        match self {
            Self::Int64(values) | Self::Timestamp(values) | Self::TimestampTz(values) => {
                values.truncate(rows)
            }
            Self::Decimal { values, .. } => values.truncate(rows),
            Self::Bool(values) => values.truncate(rows),
            Self::Date(values) => values.truncate(rows),
            Self::Float64(values) => values.truncate(rows),
            Self::Text(_) | Self::Unread => {}
        }
    }

    /// Takes the `rows` rows that were appended as an array of `data_type`.
    pub(crate) fn finish(&mut self, rows: usize, capacity: usize, data_type: &DataType) -> ArrayRef {
        match self {
            Self::Text(values) => {
                let bytes = values.values_slice().len();
                let next = StringBuilder::with_capacity(capacity, bytes + bytes / 8);
                Arc::new(std::mem::replace(values, next).finish())
            }
            Self::Int64(values) => primitive::<Int64Type>(values, capacity, data_type),
            Self::Decimal { values, .. } => primitive::<Decimal128Type>(values, capacity, data_type),
            Self::Date(values) => primitive::<Date32Type>(values, capacity, data_type),
            Self::Timestamp(values) | Self::TimestampTz(values) => {
                primitive::<TimestampMicrosecondType>(values, capacity, data_type)
            }
            Self::Float64(values) => primitive::<Float64Type>(values, capacity, data_type),
            Self::Bool(values) => {
                let (values, validity) = values.take(capacity);
                Arc::new(BooleanArray::new(BooleanBuffer::from(values), validity))
            }
            Self::Unread => new_null_array(data_type, rows),
        }
    }
}

fn primitive<T: ArrowPrimitiveType>(
    values: &mut Fixed<T::Native>,
    rows: usize,
    data_type: &DataType,
) -> ArrayRef
where
    T::Native: Default,
{
    let (values, validity) = values.take(rows);
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), validity).with_data_type(data_type.clone()))
}

/// Says what a value that contradicts its column's type is to be quarantined for.
pub(crate) fn contradiction_fault(column: &ColumnSpec, text: &str, contradiction: Contradiction) -> Fault {
    let reason = match (column.role, contradiction) {
        (Some(ColumnRole::Amount), Contradiction::Kind) => RowReason::AmountNotNumeric,
        (Some(ColumnRole::Amount), Contradiction::Scale) => RowReason::AmountScaleExceeded,
        (Some(ColumnRole::Amount), Contradiction::Overflow) => RowReason::AmountOverflow,
        (Some(ColumnRole::EventTime), _) => RowReason::EventTimeInvalid,
        _ => RowReason::RowMalformed,
    };
    let column_type = column.column_type.unwrap_or_default();
    let found = match contradiction {
        Contradiction::Kind => "is not of type",
        Contradiction::Scale => "has more decimals than",
        Contradiction::Overflow => "has more digits than",
    };
    let (name, value) = (&column.name, quoted(text.trim_ascii()));
    Fault::new(reason, format!("column `{name}`: {value} {found} {column_type}"))
}
