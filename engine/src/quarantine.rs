//! The quarantine: what a record looks like once it is set aside.
//!
//! A diverted row keeps its record byte for byte; the table shows it as text, and the bytes beside it
//! only where they are not text in the source's encoding.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, RecordBatch, StringArray, StringBuilder,
    StructArray, UInt32Array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use cambist_udfs::reason::RowReason;
use datafusion::common::{DataFusionError, Result};
use serde::{Deserialize, Serialize};

use crate::athena::hive_type;
use crate::json_text;
use crate::record;
use crate::table::{Column, TableSchema};

/// How the bytes of a raw record are shown as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RawEncoding {
    /// UTF-8; bytes that are not are shown as U+FFFD and kept in `raw_bytes`.
    Utf8,
    /// ISO-8859-1: every byte is the character of its number.
    Latin1,
}

/// Returns the schema of rows on their way to the quarantine.
pub fn diverted_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("reason", DataType::Utf8, false),
        Field::new("detail", DataType::Utf8, true),
        Field::new("source_file", DataType::Utf8, true),
        Field::new("record_number", DataType::Int64, true),
        Field::new("byte_offset", DataType::Int64, true),
        Field::new("raw", DataType::Binary, true),
    ]))
}

/// Returns the schema of the quarantine table.
pub fn table_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("reason", DataType::Utf8, false),
        Field::new("detail", DataType::Utf8, true),
        Field::new("source_file", DataType::Utf8, true),
        Field::new("record_number", DataType::Int64, true),
        Field::new("byte_offset", DataType::Int64, true),
        Field::new("raw_record", DataType::Utf8, true),
        Field::new("raw_bytes", DataType::Binary, true),
        Field::new("run_id", DataType::Utf8, false),
    ]))
}

/// Returns the quarantine table's columns as the log records them: it is not partitioned, because many of
/// its records have no date.
///
/// # Errors
/// Never for the schema above; the signature is that of the type names.
pub fn hive_schema() -> Result<TableSchema> {
    let column = |field: &Arc<Field>| {
        Ok(Column { name: field.name().clone(), hive_type: hive_type(field.data_type())? })
    };
    let columns = table_schema().fields().iter().map(column).collect::<Result<_>>()?;
    Ok(TableSchema { columns, partition_column: None })
}

/// One record that is set aside: its row in the batch, why, and what exactly was found.
#[derive(Clone, Debug)]
pub struct Rejection {
    /// The row in the batch of records.
    pub row: u32,
    /// The primary reason.
    pub reason: RowReason,
    /// What was found, for a person.
    pub detail: String,
}

/// Makes the diverted rows for `rejections` of `records`, the hidden record column of their batch.
///
/// # Errors
/// Where the column has not the form that the record readers give it.
pub fn divert(records: &StructArray, rejections: &[Rejection]) -> Result<RecordBatch> {
    let rows = UInt32Array::from_iter_values(rejections.iter().map(|rejection| rejection.row));
    let records = take(records, &rows, None)?;
    let records = records.as_struct();
    let field = |name: &str| {
        records
            .column_by_name(name)
            .cloned()
            .ok_or_else(|| DataFusionError::Internal(format!("the record column has no field `{name}`")))
    };
    let reasons = StringArray::from_iter_values(rejections.iter().map(|rejection| rejection.reason.code()));
    let details = StringArray::from_iter_values(rejections.iter().map(|rejection| &rejection.detail));
    Ok(RecordBatch::try_new(
        diverted_schema(),
        vec![
            Arc::new(reasons),
            Arc::new(details),
            cast(&field(record::FILE_FIELD)?, &DataType::Utf8)?,
            cast(&field(record::NUMBER_FIELD)?, &DataType::Int64)?,
            cast(&field(record::OFFSET_FIELD)?, &DataType::Int64)?,
            raw_bytes(&field(record::RAW_FIELD)?)?,
        ],
    )?)
}

/// A text record's bytes as they were read; a columnar record as one JSON object.
fn raw_bytes(raw: &ArrayRef) -> Result<ArrayRef> {
    let is_columnar = raw.data_type().is_nested();
    Ok(if is_columnar { json_text::bytes(raw)? } else { cast(raw, &DataType::Binary)? })
}

/// Turns diverted rows into rows of the quarantine table.
///
/// # Errors
/// Where `diverted` has another schema than [`diverted_schema`].
pub fn to_table(diverted: &RecordBatch, encoding: RawEncoding, run_id: &str) -> Result<RecordBatch> {
    let rows = diverted.num_rows();
    let raw: &BinaryArray = diverted.column(5).as_binary();
    let mut text = StringBuilder::new();
    let mut bytes = BinaryBuilder::new();
    for record in raw {
        match (record, encoding) {
            (None, _) => {
                text.append_null();
                bytes.append_null();
            }
            (Some(record), RawEncoding::Latin1) => {
                text.append_value(encoding_rs::mem::decode_latin1(record));
                bytes.append_null();
            }
            (Some(record), RawEncoding::Utf8) => match std::str::from_utf8(record) {
                Ok(valid) => {
                    text.append_value(valid);
                    bytes.append_null();
                }
                Err(_) => {
                    text.append_value(String::from_utf8_lossy(record));
                    bytes.append_value(record);
                }
            },
        }
    }
    let mut columns = diverted.columns()[..5].to_vec();
    columns.push(Arc::new(text.finish()));
    columns.push(Arc::new(bytes.finish()));
    columns.push(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(run_id, rows))));
    Ok(RecordBatch::try_new(table_schema(), columns)?)
}
