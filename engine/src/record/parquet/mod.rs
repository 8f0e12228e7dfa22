//! Parquet files as records: a record is a row, its raw form the struct of all columns of its file.
//!
//! A byte range owns the row groups whose middle lies in it. Values are read in the types of the source's
//! schema; what a declared type cannot hold is a fault, as in a text file.

mod convert;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, StructArray, new_null_array,
};
use arrow::compute::nullif;
use arrow::datatypes::{DataType, Fields, SchemaRef};
use arrow::error::ArrowError;
use futures::StreamExt;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{ParquetRecordBatchStream, ParquetRecordBatchStreamBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;

use super::batch::{FileNames, fault_array, signed};
use super::error::RecordError;
use super::input::Object;
use super::schema::{Fault, Layout, Output, RAW_FIELD, RECORD_COLUMN, record_fields};
use super::text::arrow_error;
use crate::parquet_object::ParquetObject;
use convert::{ColumnSource, normalised};

/// What can go wrong: the file, or its reading.
enum Failure {
    Damage(String),
    Other(RecordError),
}

impl Failure {
    fn of(error: ParquetError, object: &Object) -> Self {
        let error = match error {
            ParquetError::External(source) => match source.downcast::<object_store::Error>() {
                Ok(source) => {
                    let file = object.file().to_owned();
                    return Self::Other(RecordError::Store { file, source: *source });
                }
                Err(source) => ParquetError::External(source),
            },
            other => other,
        };
        Self::Damage(error.to_string())
    }
}

/// Returns the columns of a file in the types in which they are read.
pub(crate) async fn read_schema(object: &Object) -> Result<Fields, RecordError> {
    match open(object).await {
        Ok(builder) => {
            let fields = builder.schema().fields().iter();
            let field = |field: &Arc<arrow::datatypes::Field>| {
                let data_type = normalised(field.data_type());
                arrow::datatypes::Field::new(field.name(), data_type, true)
            };
            Ok(fields.map(field).collect())
        }
        Err(Failure::Damage(detail)) => {
            Err(RecordError::DamagedFile { file: object.file().to_owned(), detail })
        }
        Err(Failure::Other(error)) => Err(error),
    }
}

async fn open(object: &Object) -> Result<ParquetRecordBatchStreamBuilder<ParquetObject>, Failure> {
    // Types embedded by the writing engine would bring dictionaries and views; the file's own are plain.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let reader =
        ParquetObject::new(Arc::clone(&object.store), object.meta.location.clone(), object.meta.size);
    ParquetRecordBatchStreamBuilder::new_with_options(reader, options)
        .await
        .map_err(|error| Failure::of(error, object))
}

/// The reader of one Parquet file, or of the row groups of one byte range of it.
pub(crate) struct ParquetReader {
    object: Object,
    layout: Arc<Layout>,
    allow_damaged: bool,
    stream: Option<ParquetRecordBatchStream<ParquetObject>>,
    damage: Option<String>,
    columns: Vec<Option<ColumnSource>>,
    raw: Vec<ColumnSource>,
    raw_fields: Fields,
    files: FileNames,
    next_row: u64,
    progress: RowProgress,
}

impl ParquetReader {
    pub(crate) async fn open(
        object: &Object,
        layout: Arc<Layout>,
        raw: Option<&DataType>,
        range: Option<Range<u64>>,
        allow_damaged: bool,
    ) -> Result<Self, RecordError> {
        let bytes = range.as_ref().map_or(object.meta.size, |range| range.end.saturating_sub(range.start));
        let mut reader = Self {
            object: object.clone(),
            allow_damaged,
            stream: None,
            damage: None,
            columns: Vec::new(),
            raw: Vec::new(),
            raw_fields: match raw {
                Some(DataType::Struct(fields)) => fields.clone(),
                _ => Fields::empty(),
            },
            files: FileNames::new(object.file(), layout.batch_rows),
            next_row: 0,
            progress: RowProgress { bytes, rows: 0, bytes_done: 0, rows_done: 0 },
            layout,
        };
        match reader.prepare(range).await {
            Ok(()) => Ok(reader),
            Err(Failure::Damage(detail)) => {
                // A file that is split is told to be damaged once, by the range that begins it.
                reader.damage = Some(detail);
                Ok(reader)
            }
            Err(Failure::Other(error)) => Err(error),
        }
    }

    async fn prepare(&mut self, range: Option<Range<u64>>) -> Result<(), Failure> {
        let builder = match open(&self.object).await {
            Err(Failure::Damage(_)) if range.as_ref().is_some_and(|range| range.start > 0) => return Ok(()),
            opened => opened?,
        };
        let schema = Arc::clone(builder.schema());
        self.match_columns(&schema).map_err(Failure::Other)?;
        let mut row_groups = Vec::new();
        let mut first_row = 0;
        let mut rows = 0;
        for (index, group) in builder.metadata().row_groups().iter().enumerate() {
            let group_rows = u64::try_from(group.num_rows()).unwrap_or_default();
            if range.as_ref().is_none_or(|range| range.contains(&middle(group))) {
                row_groups.push(index);
                rows += group_rows;
            } else if row_groups.is_empty() {
                first_row += group_rows;
            }
        }
        let wanted = self.columns.iter().flatten().chain(&self.raw).map(ColumnSource::root);
        let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
        let stream = builder
            .with_row_groups(row_groups)
            .with_projection(mask)
            .with_batch_size(self.layout.batch_rows)
            .build()
            .map_err(|error| Failure::of(error, &self.object))?;
        self.next_row = first_row;
        self.progress.rows = rows;
        self.stream = Some(stream);
        Ok(())
    }

    /// Finds the columns of the source in the file.
    fn match_columns(&mut self, schema: &SchemaRef) -> Result<(), RecordError> {
        let file = self.object.file();
        let source = |name: &str, data_type: &DataType| ColumnSource::new(schema, name, data_type, file);
        for field in schema.fields() {
            if !self.layout.columns.iter().any(|column| column.name == *field.name()) {
                return Err(RecordError::ExtraColumn {
                    file: file.to_owned(),
                    column: field.name().clone(),
                    origin: "the source".to_owned(),
                });
            }
        }
        let mut columns = Vec::with_capacity(self.layout.columns.len());
        for column in &self.layout.columns {
            let found = source(&column.name, &column.data_type)?;
            // Whether a record is broken must not depend on which columns the query reads.
            columns.push((column.is_projected || found.may_contradict()).then_some(found));
        }
        if self.layout.has_records() {
            let raw = self.raw_fields.iter().map(|field| source(field.name(), field.data_type()));
            self.raw = raw.collect::<Result<_, _>>()?;
        }
        self.columns = columns;
        Ok(())
    }

    /// Reads the next batch; none at the end.
    pub(crate) async fn next_batch(&mut self) -> Result<Option<RecordBatch>, RecordError> {
        if let Some(stream) = &mut self.stream {
            match stream.next().await {
                Some(Ok(batch)) => {
                    let bytes = self.progress.advance(batch.num_rows() as u64);
                    self.object.progress.add_bytes(bytes);
                    let batch = self.convert(&batch);
                    return batch.map(Some).map_err(|source| arrow_error(self.object.file(), source));
                }
                Some(Err(error)) => match Failure::of(error, &self.object) {
                    Failure::Damage(detail) => self.damage = Some(detail),
                    Failure::Other(error) => return Err(error),
                },
                None => {}
            }
            self.stream = None;
        }
        self.object.progress.add_bytes(self.progress.rest());
        match self.damage.take() {
            None => Ok(None),
            Some(detail) if self.allow_damaged => {
                let marker = self.marker(Fault::damaged_file(detail));
                marker.map(Some).map_err(|source| arrow_error(self.object.file(), source))
            }
            Some(detail) => Err(RecordError::DamagedFile { file: self.object.file().to_owned(), detail }),
        }
    }

    fn convert(&mut self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let rows = batch.num_rows();
        let mut faults = std::collections::BTreeMap::new();
        let mut columns: Vec<Option<ArrayRef>> = Vec::with_capacity(self.columns.len());
        for (source, spec) in self.columns.iter().zip(&self.layout.columns) {
            let array = source.as_ref().map(|source| source.read(batch, spec, &mut faults));
            columns.push(array.transpose()?);
        }
        let faults: Vec<(usize, Fault)> = faults.into_iter().collect();
        if !faults.is_empty() {
            let mut is_faulty = vec![false; rows];
            for (row, _) in &faults {
                if let Some(flag) = is_faulty.get_mut(*row) {
                    *flag = true;
                }
            }
            let mask = BooleanArray::from(is_faulty);
            for column in columns.iter_mut().flatten() {
                *column = nullif(column.as_ref(), &mask)?;
            }
        }
        let raw = if self.layout.has_records() { Some(self.raw_rows(batch)?) } else { None };
        let first = self.next_row;
        self.next_row += rows as u64;
        self.assemble(rows, &columns, raw, first, fault_array(rows, &faults))
    }

    fn raw_rows(&self, batch: &RecordBatch) -> Result<ArrayRef, ArrowError> {
        let arrays = self.raw.iter().map(|source| source.read_raw(batch)).collect::<Result<Vec<_>, _>>()?;
        Ok(Arc::new(StructArray::try_new_with_length(
            self.raw_fields.clone(),
            arrays,
            None,
            batch.num_rows(),
        )?))
    }

    /// A batch of one row that is no record.
    fn marker(&mut self, fault: Fault) -> Result<RecordBatch, ArrowError> {
        let nulls: Vec<Option<ArrayRef>> =
            self.layout.columns.iter().map(|column| Some(new_null_array(&column.data_type, 1))).collect();
        let raw = new_null_array(&DataType::Struct(self.raw_fields.clone()), 1);
        self.assemble(1, &nulls, Some(raw), self.next_row, fault_array(1, &[(0, fault)]))
    }

    fn assemble(
        &mut self,
        rows: usize,
        columns: &[Option<ArrayRef>],
        raw: Option<ArrayRef>,
        first_row: u64,
        faults: ArrayRef,
    ) -> Result<RecordBatch, ArrowError> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.layout.outputs.len());
        for output in &self.layout.outputs {
            match output {
                Output::Column(index) => arrays.extend(columns.get(*index).cloned().flatten()),
                Output::Fault => arrays.push(Arc::clone(&faults)),
                Output::Record => {
                    let Some(raw) = &raw else { continue };
                    let offsets = (first_row..).take(rows).map(signed);
                    let numbers = (first_row + 1..).take(rows).map(signed);
                    let fields: Vec<ArrayRef> = vec![
                        self.files.array(rows)?,
                        Arc::new(Int64Array::from_iter_values(offsets)),
                        Arc::new(Int64Array::from_iter_values(numbers)),
                        Arc::clone(raw),
                    ];
                    let record = record_fields(raw.data_type().clone());
                    arrays.push(Arc::new(StructArray::try_new(record, fields, None)?));
                }
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.layout.schema), arrays, &options)
    }
}

/// Returns the type of the raw field in a table's schema.
pub(crate) fn raw_type(schema: &arrow::datatypes::Schema) -> Option<&DataType> {
    let DataType::Struct(fields) = schema.field_with_name(RECORD_COLUMN).ok()?.data_type() else {
        return None;
    };
    fields.iter().find(|field| field.name() == RAW_FIELD).map(|field| field.data_type())
}

/// The byte in the middle of a row group, by which it belongs to one byte range.
fn middle(group: &RowGroupMetaData) -> u64 {
    let start = group.columns().first().map_or(0, |column| {
        column
            .dictionary_page_offset()
            .unwrap_or_else(|| column.data_page_offset())
            .min(column.data_page_offset())
    });
    let bytes = group.compressed_size().max(0);
    u64::try_from(start + bytes / 2).unwrap_or_default()
}

/// Tells rows as raw bytes: a file's bytes are spread evenly over its rows.
#[derive(Debug)]
struct RowProgress {
    bytes: u64,
    rows: u64,
    bytes_done: u64,
    rows_done: u64,
}

impl RowProgress {
    fn advance(&mut self, rows: u64) -> u64 {
        self.rows_done += rows;
        let done = u128::from(self.bytes) * u128::from(self.rows_done) / u128::from(self.rows.max(1));
        let done = u64::try_from(done).unwrap_or(self.bytes).min(self.bytes);
        let bytes = done - self.bytes_done;
        self.bytes_done = done;
        bytes
    }

    fn rest(&mut self) -> u64 {
        let bytes = self.bytes - self.bytes_done;
        self.bytes_done = self.bytes;
        bytes
    }
}
