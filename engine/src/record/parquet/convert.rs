//! From the types of a Parquet file to those of its source.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::record::column::{Column, contradiction_fault};
use crate::record::column_type::ColumnType;
use crate::record::error::RecordError;
use crate::record::schema::{ColumnSpec, Fault};

/// Digits of the largest unsigned 64-bit number, 18446744073709551615.
const UINT64_DIGITS: u8 = 20;

/// Returns the type in which a column of a file is read: text, signed numbers, decimals of at most 38
/// digits where they fit.
pub(super) fn normalised(data_type: &DataType) -> DataType {
    let field = |field: &FieldRef| Arc::new(Field::new(field.name(), normalised(field.data_type()), true));
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Dictionary(_, values) => normalised(values),
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(UINT64_DIGITS, 0),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Decimal256(precision, scale) if *precision <= DECIMAL128_MAX_PRECISION => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Float16 => DataType::Float32,
        DataType::List(item) | DataType::LargeList(item) => DataType::List(field(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        other => other.clone(),
    }
}

#[derive(Clone, Debug)]
enum Conversion {
    None,
    /// To a type that holds every value of the file's.
    Widen(DataType),
    /// By way of the value's text, as exact as that; what the type cannot hold contradicts it.
    Text(ColumnType),
}

/// Where a column of the source is in a file, and how it is read.
#[derive(Clone, Debug)]
pub(super) struct ColumnSource {
    name: String,
    root: usize,
    conversion: Conversion,
}

impl ColumnSource {
    pub(super) fn new(
        schema: &SchemaRef,
        name: &str,
        expected: &DataType,
        file: &str,
    ) -> Result<Self, RecordError> {
        let Ok(root) = schema.index_of(name) else {
            return Err(RecordError::MissingColumn {
                file: file.to_owned(),
                column: name.to_owned(),
                origin: "the source".to_owned(),
            });
        };
        let found = schema.field(root).data_type();
        let conversion = if found == expected {
            Conversion::None
        } else if normalised(found) == *expected {
            Conversion::Widen(expected.clone())
        } else if let (Some(column_type), false) = (ColumnType::from_data_type(expected), found.is_nested()) {
            Conversion::Text(column_type)
        } else {
            return Err(RecordError::ColumnType {
                file: file.to_owned(),
                column: name.to_owned(),
                found: found.to_string(),
                expected: expected.to_string(),
            });
        };
        Ok(Self { name: name.to_owned(), root, conversion })
    }

    pub(super) const fn root(&self) -> usize {
        self.root
    }

    pub(super) const fn may_contradict(&self) -> bool {
        matches!(self.conversion, Conversion::Text(_))
    }

    /// Reads the column; adds a fault for each row that has none yet and whose value contradicts it.
    pub(super) fn read(
        &self,
        batch: &RecordBatch,
        spec: &ColumnSpec,
        faults: &mut BTreeMap<usize, Fault>,
    ) -> Result<ArrayRef, ArrowError> {
        let array = self.array(batch)?;
        match &self.conversion {
            Conversion::None => Ok(array),
            Conversion::Widen(data_type) => cast(&array, data_type),
            Conversion::Text(column_type) => read_text(&array, *column_type, spec, faults),
        }
    }

    /// Reads the column for the raw record, where nothing can be a fault.
    pub(super) fn read_raw(&self, batch: &RecordBatch) -> Result<ArrayRef, ArrowError> {
        let array = self.array(batch)?;
        match &self.conversion {
            Conversion::None => Ok(array),
            Conversion::Widen(data_type) => cast(&array, data_type),
            Conversion::Text(column_type) => cast(&array, &column_type.data_type()),
        }
    }

    fn array(&self, batch: &RecordBatch) -> Result<ArrayRef, ArrowError> {
        let column = batch.column_by_name(&self.name).cloned();
        column.ok_or_else(|| ArrowError::SchemaError(format!("no column `{}` in a batch", self.name)))
    }
}

fn read_text(
    array: &ArrayRef,
    column_type: ColumnType,
    spec: &ColumnSpec,
    faults: &mut BTreeMap<usize, Fault>,
) -> Result<ArrayRef, ArrowError> {
    let rows = array.len();
    let mut column = Column::new(column_type, true, rows);
    let strings = array.as_string_opt::<i32>();
    let options = FormatOptions::default();
    let formatter = if strings.is_none() { Some(ArrayFormatter::try_new(array, &options)?) } else { None };
    for row in 0..rows {
        if array.is_null(row) {
            column.push_null();
            continue;
        }
        let formatted =
            formatter.as_ref().map(|formatter| formatter.value(row).try_to_string()).transpose()?;
        let text = match (&formatted, strings) {
            (Some(text), _) => text.as_str(),
            (None, Some(strings)) => strings.value(row),
            (None, None) => "",
        };
        if let Err(contradiction) = column.push(text) {
            column.push_null();
            faults.entry(row).or_insert_with(|| contradiction_fault(spec, text, contradiction));
        }
    }
    Ok(column.finish(rows, 0, &column_type.data_type()))
}
