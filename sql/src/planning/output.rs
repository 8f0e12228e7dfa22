//! Results in types that every client can read: no views, dictionaries or runs, however deep.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;

use crate::error::{Result, SqlError, SqlErrorKind};

/// Returns the columns as clients see them.
///
/// Every column may hold nulls: what the planner promises of that differs from plan to plan.
pub(crate) fn readable(columns: &Schema) -> SchemaRef {
    let fields: Vec<Field> = columns
        .fields()
        .iter()
        .map(|field| {
            let data_type = readable_type(field.data_type());
            Field::new(field.name(), data_type, true).with_metadata(field.metadata().clone())
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// Returns the type as clients see it.
pub(crate) fn readable_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => readable_type(values),
        DataType::RunEndEncoded(_, values) => readable_type(values.data_type()),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Float16 => DataType::Float32,
        DataType::List(item) | DataType::ListView(item) => DataType::List(readable_field(item)),
        DataType::LargeList(item) | DataType::LargeListView(item) => {
            DataType::LargeList(readable_field(item))
        }
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(readable_field(item), *length),
        DataType::Struct(members) => DataType::Struct(members.iter().map(readable_field).collect()),
        DataType::Map(entries, is_sorted) => DataType::Map(readable_field(entries), *is_sorted),
        other => other.clone(),
    }
}

fn readable_field(field: &FieldRef) -> FieldRef {
    let data_type = readable_type(field.data_type());
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

/// Gives a batch the columns that were promised.
///
/// # Errors
/// Where the plan made other columns than it promised.
pub(crate) fn conform(batch: &RecordBatch, promised: &SchemaRef) -> Result<RecordBatch> {
    if batch.num_columns() != promised.fields().len() {
        let found = batch.num_columns();
        return Err(defect(format!("{found} columns were made, {} were promised", promised.fields().len())));
    }
    let columns = batch.columns().iter().zip(promised.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type()));
    let columns = columns.collect::<Result<Vec<ArrayRef>, ArrowError>>();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    columns
        .and_then(|columns| RecordBatch::try_new_with_options(Arc::clone(promised), columns, &options))
        .map_err(|error| defect(error.to_string()))
}

fn cast(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    if column.data_type() == data_type {
        return Ok(Arc::clone(column));
    }
    cast_with_options(column, data_type, &CastOptions { safe: false, ..CastOptions::default() })
}

fn defect(detail: String) -> SqlError {
    SqlError::new(SqlErrorKind::Internal, format!("the rows are not those that were promised: {detail}"))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{
        Array, AsArray, DictionaryArray, Int32Array, ListArray, StringViewArray, StructArray,
    };
    use datafusion::arrow::datatypes::Int8Type;

    use super::*;

    #[test]
    fn views_and_dictionaries_become_plain_however_deep() {
        let view: ArrayRef =
            Arc::new(StringViewArray::from(vec![Some("a long text that is no inline view"), None]));
        let dictionary: DictionaryArray<Int8Type> = vec![Some("x"), None].into_iter().collect();
        let inner = StructArray::try_new(
            vec![Field::new("v", DataType::Utf8View, true)].into(),
            vec![Arc::clone(&view)],
            None,
        );
        let lists = ListArray::try_new(
            Arc::new(Field::new("item", inner.as_ref().unwrap().data_type().clone(), true)),
            datafusion::arrow::buffer::OffsetBuffer::from_lengths([1, 1]),
            Arc::new(inner.unwrap()),
            None,
        );
        let batch = RecordBatch::try_from_iter([
            ("view", view),
            ("dictionary", Arc::new(dictionary) as ArrayRef),
            ("lists", Arc::new(lists.unwrap()) as ArrayRef),
        ])
        .unwrap();
        let promised = readable(&batch.schema());
        let found = conform(&batch, &promised).unwrap();
        assert_eq!(found.schema(), promised);
        assert_eq!(found.column(0).as_string::<i32>().value(0), "a long text that is no inline view");
        assert_eq!(found.column(1).as_string::<i32>().value(0), "x");
        assert!(found.column(1).is_null(1));
        let list = found.column(2).as_list::<i32>().value(0);
        assert_eq!(
            list.as_struct().column(0).as_string::<i32>().value(0),
            "a long text that is no inline view"
        );
    }

    #[test]
    fn batches_without_columns_keep_their_number_of_rows() {
        let options = RecordBatchOptions::new().with_row_count(Some(3));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
        assert_eq!(conform(&batch, &readable(&Schema::empty())).unwrap().num_rows(), 3);
    }

    #[test]
    fn other_columns_than_promised_are_a_defect() {
        let column: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        let batch = RecordBatch::try_from_iter([("a", column)]).unwrap();
        assert_eq!(conform(&batch, &readable(&Schema::empty())).unwrap_err().kind, SqlErrorKind::Internal);
    }
}
