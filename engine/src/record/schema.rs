//! The hidden columns of a scan and the layout of its batches.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use cambist_udfs::reason::RowReason;

use super::column_type::ColumnType;
use super::config::{ColumnRole, RecordConfig};

/// The hidden column that says where a record lies: a struct of [`FILE_FIELD`], [`OFFSET_FIELD`],
/// [`NUMBER_FIELD`] and [`RAW_FIELD`], never null.
pub const RECORD_COLUMN: &str = "__record";
/// The hidden column that says why a record is broken: a struct of [`REASON_FIELD`] and
/// [`DETAIL_FIELD`], null for a good record. Every declared column of a broken record is null.
pub const FAULT_COLUMN: &str = "__fault";
/// The object's path in its store; a dictionary of one value, since a batch is of one file.
pub const FILE_FIELD: &str = "file";
/// The byte in the decompressed file at which the record begins; for Parquet the row, from 0.
pub const OFFSET_FIELD: &str = "offset";
/// The record's number in its file, from 1, headers and blank lines not counted; null where the scan
/// began inside the file.
pub const NUMBER_FIELD: &str = "number";
/// The record's bytes as they were read, without its line end, at most [`RAW_BYTES_MAX`] of them: a
/// view into the chunk that was read, which lives as long as the batch. For Parquet a struct of all
/// columns of the file instead.
pub const RAW_FIELD: &str = "raw";
/// The code of a [`RowReason`], or [`DAMAGED_FILE_MARKER`].
pub const REASON_FIELD: &str = "reason";
/// What was found, for a person.
pub const DETAIL_FIELD: &str = "detail";
/// The reason of a row that is no record: its file is damaged, and what the scan gave of it is the part
/// before the damage.
pub const DAMAGED_FILE_MARKER: &str = "__DAMAGED_FILE";
/// How many bytes of a raw record are kept.
pub const RAW_BYTES_MAX: usize = 64 << 10;

/// How much of a value is quoted in a fault's detail, in characters.
const QUOTED_CHARACTERS_MAX: usize = 80;

/// Why a record is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// A reason code, or the damage marker.
    pub(crate) reason: &'static str,
    /// What was found.
    pub(crate) detail: String,
}

impl Fault {
    pub(crate) fn new(reason: RowReason, detail: impl Into<String>) -> Self {
        Self { reason: reason.code(), detail: detail.into() }
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(RowReason::RowMalformed, detail)
    }

    pub(crate) fn damaged_file(detail: impl Into<String>) -> Self {
        Self { reason: DAMAGED_FILE_MARKER, detail: detail.into() }
    }
}

/// Quotes a value for a fault's detail, bounded.
pub(crate) fn quoted(value: &str) -> String {
    match value.char_indices().nth(QUOTED_CHARACTERS_MAX) {
        Some((end, _)) => format!("`{}…`", value.get(..end).unwrap_or_default()),
        None => format!("`{value}`"),
    }
}

/// Returns the type of the file field: a dictionary whose one value serves a whole batch.
pub(crate) fn file_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

pub(crate) fn record_fields(raw: DataType) -> Fields {
    Fields::from(vec![
        Field::new(FILE_FIELD, file_type(), false),
        Field::new(OFFSET_FIELD, DataType::Int64, false),
        Field::new(NUMBER_FIELD, DataType::Int64, true),
        Field::new(RAW_FIELD, raw, true),
    ])
}

pub(crate) fn fault_fields() -> Fields {
    Fields::from(vec![
        Field::new(REASON_FIELD, DataType::Utf8, true),
        Field::new(DETAIL_FIELD, DataType::Utf8, true),
    ])
}

/// Appends the hidden columns to the declared ones.
pub(crate) fn with_hidden_columns(mut columns: Vec<Arc<Field>>, raw: DataType) -> SchemaRef {
    columns.push(Arc::new(Field::new(RECORD_COLUMN, DataType::Struct(record_fields(raw)), false)));
    columns.push(Arc::new(Field::new(FAULT_COLUMN, DataType::Struct(fault_fields()), true)));
    Arc::new(Schema::new(columns))
}

/// Where a column of the output comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// The declared column of this index.
    Column(usize),
    Record,
    Fault,
}

/// A declared column.
#[derive(Clone, Debug)]
pub(crate) struct ColumnSpec {
    pub(crate) name: String,
    pub(crate) data_type: DataType,
    pub(crate) column_type: Option<ColumnType>,
    pub(crate) role: Option<ColumnRole>,
    pub(crate) is_projected: bool,
}

/// What a scan yields: the declared columns of the table, and which of them, and which hidden columns,
/// are in the output.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) columns: Vec<ColumnSpec>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) schema: SchemaRef,
    pub(crate) batch_rows: usize,
}

impl Layout {
    /// Lays out the columns `projection` of the table `schema`, in that order.
    pub(crate) fn new(
        schema: &Schema,
        projection: &[usize],
        config: &RecordConfig,
        batch_rows: usize,
    ) -> Result<Self, arrow::error::ArrowError> {
        let mut columns = Vec::new();
        let mut table = Vec::new();
        for (index, field) in schema.fields().iter().enumerate() {
            table.push(match field.name().as_str() {
                RECORD_COLUMN => Output::Record,
                FAULT_COLUMN => Output::Fault,
                name => {
                    columns.push(ColumnSpec {
                        name: name.to_owned(),
                        data_type: field.data_type().clone(),
                        column_type: ColumnType::from_data_type(field.data_type()),
                        role: config.roles.get(name).copied(),
                        is_projected: projection.contains(&index),
                    });
                    Output::Column(columns.len() - 1)
                }
            });
        }
        let outputs = projection.iter().filter_map(|&index| table.get(index).copied()).collect();
        let schema = Arc::new(schema.project(projection)?);
        Ok(Self { columns, outputs, schema, batch_rows: batch_rows.max(1) })
    }

    /// Tells whether the record column is in the output.
    pub(crate) fn has_records(&self) -> bool {
        self.outputs.contains(&Output::Record)
    }
}
