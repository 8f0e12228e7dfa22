//! Builds the batches of one text file: values straight into Arrow buffers, raw records as views into
//! the chunk that was read, faults kept apart because they are few.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryViewBuilder, DictionaryArray, Int32Array, Int64Array, NullBufferBuilder,
    RecordBatch, RecordBatchOptions, StringArray, StringBuilder, StructArray, new_null_array,
};
use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::datatypes::{DataType, Int32Type};
use arrow::error::ArrowError;

use super::column::{Column, contradiction_fault};
use super::schema::{Fault, Layout, Output, RAW_BYTES_MAX, fault_fields, record_fields};

/// A batch ends when its records have this many bytes, so that long records do not fill the memory.
const BATCH_BYTES_MAX: usize = 16 << 20;

/// Where the text of a value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Null,
    /// In the record's text.
    Text,
    /// In the scratch text: it had to be unescaped.
    Scratch,
}

/// One value of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) place: Place,
}

impl Cell {
    pub(crate) const NULL: Self = Self { start: 0, end: 0, place: Place::Null };
}

/// The values of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values<'a> {
    pub(crate) text: &'a str,
    pub(crate) scratch: &'a str,
    pub(crate) cells: &'a [Cell],
    /// The cell of each declared column.
    pub(crate) order: &'a [usize],
}

impl<'a> Values<'a> {
    #[inline]
    fn get(&self, column: usize) -> Option<&'a str> {
        let cell = self.cells.get(*self.order.get(column)?)?;
        match cell.place {
            Place::Null => None,
            Place::Text => self.text.get(cell.start..cell.end),
            Place::Scratch => self.scratch.get(cell.start..cell.end),
        }
    }
}

/// Where a record lies in its file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    pub(crate) offset: u64,
    pub(crate) number: Option<u64>,
}

/// The bytes of a raw record.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Raw<'a> {
    /// In the window that is read now.
    Window {
        start: usize,
        end: usize,
    },
    /// Kept apart, because the window they began in is gone.
    Kept(&'a [u8]),
    Absent,
}

#[derive(Debug)]
pub(crate) struct BatchBuilder {
    layout: Arc<Layout>,
    columns: Vec<Column>,
    typed: Vec<usize>,
    texts: Vec<usize>,
    records: Option<Records>,
    faults: Vec<(usize, Fault)>,
    no_faults: ArrayRef,
    rows: usize,
    bytes: usize,
}

impl BatchBuilder {
    pub(crate) fn new(layout: Arc<Layout>, file: &str) -> Self {
        let rows = layout.batch_rows;
        let columns: Vec<Column> = layout
            .columns
            .iter()
            .map(|column| Column::new(column.column_type.unwrap_or_default(), column.is_projected, rows))
            .collect();
        let (texts, typed): (Vec<usize>, Vec<usize>) =
            (0..columns.len()).partition(|&index| columns.get(index).is_some_and(Column::is_text));
        let is_read = |index: &usize| !matches!(columns.get(*index), Some(Column::Unread));
        let texts = texts.into_iter().filter(is_read).collect();
        Self {
            columns,
            typed,
            texts,
            records: layout.has_records().then(|| Records::new(rows, file)),
            faults: Vec::new(),
            no_faults: new_null_array(&DataType::Struct(fault_fields()), rows),
            rows: 0,
            bytes: 0,
            layout,
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.rows >= self.layout.batch_rows || self.bytes >= BATCH_BYTES_MAX
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Names the window in which the raw records lie from now on.
    pub(crate) fn set_window(&mut self, window: &Buffer) {
        if let Some(records) = &mut self.records {
            records.window = window.clone();
            records.block = None;
        }
    }

    /// Appends a record; one whose values contradict their types becomes a fault row.
    #[inline]
    pub(crate) fn push(
        &mut self,
        position: Position,
        raw: Raw<'_>,
        values: &Values<'_>,
    ) -> Result<(), ArrowError> {
        for at in 0..self.typed.len() {
            let Some(&index) = self.typed.get(at) else { break };
            let Some(column) = self.columns.get_mut(index) else { break };
            let Some(text) = values.get(index) else {
                column.push_null();
                continue;
            };
            if let Err(contradiction) = column.push(text) {
                let Some(spec) = self.layout.columns.get(index) else { break };
                let fault = contradiction_fault(spec, text, contradiction);
                self.take_back();
                return self.push_fault(position, raw, fault);
            }
        }
        for &index in &self.texts {
            let Some(column) = self.columns.get_mut(index) else { break };
            match values.get(index) {
                // Any text fits a text column.
                Some(text) => drop(column.push(text)),
                None => column.push_null(),
            }
        }
        self.push_record(position, raw)
    }

    /// Appends a row without values.
    pub(crate) fn push_fault(
        &mut self,
        position: Position,
        raw: Raw<'_>,
        fault: Fault,
    ) -> Result<(), ArrowError> {
        self.columns.iter_mut().for_each(Column::push_null);
        self.bytes += fault.detail.len();
        self.faults.push((self.rows, fault));
        self.push_record(position, raw)
    }

    fn take_back(&mut self) {
        let rows = self.rows;
        self.columns.iter_mut().for_each(|column| column.truncate(rows));
    }

    #[inline]
    fn push_record(&mut self, position: Position, raw: Raw<'_>) -> Result<(), ArrowError> {
        self.rows += 1;
        self.bytes += match raw {
            Raw::Window { start, end } => end - start,
            Raw::Kept(bytes) => bytes.len(),
            Raw::Absent => 0,
        };
        match &mut self.records {
            Some(records) => records.push(position, raw),
            None => Ok(()),
        }
    }

    /// Takes the rows so far as a batch.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let capacity = self.layout.batch_rows;
        let specs = &self.layout.columns;
        let columns: Vec<ArrayRef> = self
            .columns
            .iter_mut()
            .zip(specs)
            .map(|(column, spec)| column.finish(rows, capacity, &spec.data_type))
            .collect();
        let record = self.records.as_mut().map(|records| records.finish(capacity)).transpose()?;
        let fault = if self.faults.is_empty() {
            self.no_faults.slice(0, rows.min(self.no_faults.len()))
        } else {
            fault_array(rows, &std::mem::take(&mut self.faults))
        };
        let mut arrays = Vec::with_capacity(self.layout.outputs.len());
        for output in &self.layout.outputs {
            arrays.extend(match output {
                Output::Column(index) => columns.get(*index).cloned(),
                Output::Record => record.clone(),
                Output::Fault => Some(Arc::clone(&fault)),
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.layout.schema), arrays, &options)
    }
}

/// Spreads the few faults over `rows` rows.
pub(crate) fn fault_array(rows: usize, faults: &[(usize, Fault)]) -> ArrayRef {
    let mut reasons = StringBuilder::with_capacity(rows, 16 * faults.len());
    let mut details = StringBuilder::with_capacity(rows, 64 * faults.len());
    let mut validity = NullBufferBuilder::new(rows);
    let mut next = 0;
    for (row, fault) in faults {
        reasons.append_nulls(row - next);
        details.append_nulls(row - next);
        validity.append_n_nulls(row - next);
        reasons.append_value(fault.reason);
        details.append_value(&fault.detail);
        validity.append_non_null();
        next = row + 1;
    }
    reasons.append_nulls(rows - next);
    details.append_nulls(rows - next);
    validity.append_n_nulls(rows - next);
    let fields: Vec<ArrayRef> = vec![Arc::new(reasons.finish()), Arc::new(details.finish())];
    Arc::new(StructArray::new(fault_fields(), fields, validity.finish()))
}

/// The dictionary of one value that names the file in every row of a batch.
#[derive(Debug)]
pub(crate) struct FileNames {
    name: ArrayRef,
    keys: Int32Array,
}

impl FileNames {
    pub(crate) fn new(file: &str, rows: usize) -> Self {
        Self { name: Arc::new(StringArray::from(vec![file])), keys: Int32Array::from(vec![0; rows]) }
    }

    pub(crate) fn array(&mut self, rows: usize) -> Result<ArrayRef, ArrowError> {
        if self.keys.len() < rows {
            self.keys = Int32Array::from(vec![0; rows]);
        }
        let keys = self.keys.slice(0, rows);
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::clone(&self.name))?))
    }
}

/// The record column under construction.
#[derive(Debug)]
struct Records {
    files: FileNames,
    offsets: Vec<i64>,
    numbers: Vec<i64>,
    known_numbers: NullBufferBuilder,
    raws: BinaryViewBuilder,
    window: Buffer,
    block: Option<u32>,
}

impl Records {
    fn new(rows: usize, file: &str) -> Self {
        Self {
            files: FileNames::new(file, rows),
            offsets: Vec::with_capacity(rows),
            numbers: Vec::with_capacity(rows),
            known_numbers: NullBufferBuilder::new(rows),
            raws: BinaryViewBuilder::with_capacity(rows),
            window: Buffer::default(),
            block: None,
        }
    }

    #[inline]
    fn push(&mut self, position: Position, raw: Raw<'_>) -> Result<(), ArrowError> {
        self.offsets.push(signed(position.offset));
        self.numbers.push(position.number.map_or(0, signed));
        self.known_numbers.append(position.number.is_some());
        match raw {
            Raw::Window { start, end } => {
                let block = match self.block {
                    Some(block) => block,
                    None => *self.block.insert(self.raws.append_block(self.window.clone())),
                };
                let length = (end - start).min(RAW_BYTES_MAX);
                self.raws.try_append_view(block, view_number(start)?, view_number(length)?)?;
            }
            Raw::Kept(bytes) => self.raws.append_value(bytes),
            Raw::Absent => self.raws.append_null(),
        }
        Ok(())
    }

    fn finish(&mut self, capacity: usize) -> Result<ArrayRef, ArrowError> {
        let rows = self.offsets.len();
        let offsets = std::mem::replace(&mut self.offsets, Vec::with_capacity(capacity));
        let numbers = std::mem::replace(&mut self.numbers, Vec::with_capacity(capacity));
        let raws = std::mem::replace(&mut self.raws, BinaryViewBuilder::with_capacity(capacity)).finish();
        self.block = None;
        let fields: Vec<ArrayRef> = vec![
            self.files.array(rows)?,
            Arc::new(Int64Array::from(offsets)),
            Arc::new(Int64Array::new(ScalarBuffer::from(numbers), self.known_numbers.finish())),
            Arc::new(raws),
        ];
        Ok(Arc::new(StructArray::try_new(record_fields(DataType::BinaryView), fields, None)?))
    }
}

/// A position as Arrow counts it; no object has 2^63 bytes.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn view_number(number: usize) -> Result<u32, ArrowError> {
    u32::try_from(number).map_err(|_| ArrowError::OffsetOverflowError(number))
}
