//! Columns of rows of ours.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::Result as PlanResult;

const UTC: &str = "UTC";

/// The type of instants: microseconds of UTC.
pub(super) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
}

/// Returns a table's columns.
pub(super) fn schema<const N: usize>(columns: [(&str, DataType); N]) -> SchemaRef {
    let fields = columns.map(|(name, data_type)| Field::new(name, data_type, true));
    Arc::new(Schema::new(fields.to_vec()))
}

/// Makes the rows of a table.
pub(super) fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>) -> PlanResult<RecordBatch> {
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// A column of text.
pub(super) fn texts<T: AsRef<str>>(values: impl IntoIterator<Item = Option<T>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<StringArray>())
}

/// A column of whole numbers; one beyond what the type holds is its greatest.
pub(super) fn counts(values: impl IntoIterator<Item = u64>) -> ArrayRef {
    let values = values.into_iter().map(|value| i64::try_from(value).unwrap_or(i64::MAX));
    Arc::new(Int64Array::from_iter_values(values))
}

/// A column of instants.
pub(super) fn instants(values: impl IntoIterator<Item = Option<jiff::Timestamp>>) -> ArrayRef {
    micros(values.into_iter().map(|value| value.map(jiff::Timestamp::as_microsecond)))
}

/// A column of instants in microseconds.
pub(super) fn micros(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<TimestampMicrosecondArray>().with_timezone(UTC))
}
