//! JSON objects, one per line or one after another.
//!
//! Numbers are taken by their text. In a text column a value is the content of a string, the digits of
//! a number as written, `true` and `false`, an object or array as written; `null` and a missing key are
//! null. Of a repeated key the last one counts. Keys that no column is named after stay in the raw
//! record only.

mod kind;
mod object;
mod scan;

use super::batch::{Cell, Place, Values};
use super::config::{Format, RecordConfig};
use super::schema::{ColumnSpec, Fault};
use super::text::{Dialect, Frame, Skipped, utf8, without_return};
pub(crate) use kind::ValueKind;
pub(crate) use object::value_kinds;
use object::{Keys, Span, find, read_object};
use scan::{Scanned, SkipScan, resume_point, scan_object};

/// A column that is read from inside a value.
#[derive(Debug)]
struct NestedColumn {
    column: usize,
    /// The slot of the value that it is inside of.
    root: usize,
    path: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Json {
    is_by_line: bool,
    /// Whether the file is one array; known once its first byte is seen.
    is_array: Option<bool>,
    record_bytes_max: usize,
    keys: Keys,
    nested: Vec<NestedColumn>,
    /// Where the value of each key of interest is in the record.
    spans: Vec<Option<Span>>,
    cells: Vec<Cell>,
    order: Vec<usize>,
    scratch: String,
    skip: Option<SkipScan>,
}

impl Json {
    pub(crate) fn new(config: &RecordConfig, columns: &[ColumnSpec]) -> Self {
        let mut keys = Keys::new(columns.iter().map(|column| column.name.as_str()));
        let mut nested = Vec::new();
        for (column, spec) in columns.iter().enumerate() {
            if !config.paths.contains(&spec.name) {
                continue;
            }
            let mut segments = spec.name.split('.').map(str::to_owned);
            let Some(root) = segments.next() else { continue };
            nested.push(NestedColumn { column, root: keys.slot(&root), path: segments.collect() });
        }
        Self {
            is_by_line: config.format == Format::Ndjson,
            is_array: None,
            record_bytes_max: config.max_record_bytes,
            spans: vec![None; keys.len()],
            keys,
            nested,
            cells: Vec::with_capacity(columns.len()),
            order: (0..columns.len()).collect(),
            scratch: String::new(),
            skip: None,
        }
    }

    fn frame_line(&self, bytes: &[u8], is_last: bool) -> Frame {
        let (line, next) = match memchr::memchr(b'\n', bytes) {
            Some(newline) => (bytes.get(..newline).unwrap_or_default(), newline + 1),
            None if is_last && !bytes.is_empty() => (bytes, bytes.len()),
            None if bytes.len() >= self.record_bytes_max + 2 => return Frame::TooLong,
            None => return Frame::More,
        };
        let end = without_return(line);
        if end > self.record_bytes_max {
            return Frame::TooLong;
        }
        if line.trim_ascii().is_empty() { Frame::Blank { next } } else { Frame::Record { end, next } }
    }

    fn frame_object(&mut self, bytes: &[u8], is_last: bool) -> Frame {
        let is_array = self.is_array.unwrap_or_default();
        let is_between =
            |byte: &u8| byte.is_ascii_whitespace() || (is_array && matches!(byte, b',' | b'[' | b']'));
        let blank = bytes.iter().position(|byte| !is_between(byte)).unwrap_or(bytes.len());
        if blank > 0 {
            return Frame::Blank { next: blank };
        }
        let Some(first) = bytes.first() else { return Frame::More };
        if self.is_array.is_none() {
            self.is_array = Some(*first == b'[');
            return self.frame_object(bytes, is_last);
        }
        // As with lines, the answer rests on what a record may have, not on how much was read.
        let view = bytes.get(..self.record_bytes_max + 1).unwrap_or(bytes);
        let is_full = view.len() > self.record_bytes_max;
        let is_last = is_last && view.len() == bytes.len();
        let fault = match scan_object(view) {
            Scanned::Object { end } if end > self.record_bytes_max => return Frame::TooLong,
            Scanned::Object { end } => return Frame::Record { end, next: end },
            Scanned::Unended if is_full => return Frame::TooLong,
            Scanned::Unended if !is_last => return Frame::More,
            Scanned::Unended => {
                let end = view.trim_ascii_end().len();
                let fault = Fault::malformed("the record is truncated: its object does not end");
                return Frame::Broken { end, next: view.len(), fault };
            }
            Scanned::Malformed(detail) => Fault::malformed(detail),
        };
        match resume_point(view) {
            Some(next) => {
                let end = view.get(..next).unwrap_or_default().trim_ascii_end().len();
                Frame::Broken { end, next, fault }
            }
            None if is_full => Frame::TooLong,
            None if is_last => Frame::Broken { end: view.trim_ascii_end().len(), next: view.len(), fault },
            None => Frame::More,
        }
    }

    /// Finds the cell of each column from where the values are in the record.
    fn fill_cells(&mut self, text: &str) -> Result<(), Fault> {
        self.scratch.clear();
        self.cells.clear();
        for column in 0..self.order.len() {
            let span = self.spans.get(column).copied().flatten();
            self.cells.push(cell(text, span, &mut self.scratch)?);
        }
        for nested in &self.nested {
            let has_own_key = self.spans.get(nested.column).is_some_and(Option::is_some);
            let Some(root) = self.spans.get(nested.root).copied().flatten() else { continue };
            if has_own_key {
                continue;
            }
            let span = find(text, root, &nested.path).map_err(|error| Fault::malformed(error.to_string()))?;
            if let Some(cell_of_column) = self.cells.get_mut(nested.column) {
                *cell_of_column = cell(text, span, &mut self.scratch)?;
            }
        }
        Ok(())
    }
}

/// Reads one value: its text without quotes and escapes.
#[inline]
fn cell(text: &str, span: Option<Span>, scratch: &mut String) -> Result<Cell, Fault> {
    let Some((start, end)) = span else { return Ok(Cell::NULL) };
    let value = text.get(start..end).unwrap_or_default();
    match value.as_bytes() {
        [b'n', ..] => Ok(Cell::NULL),
        [b'"', content @ .., b'"'] => {
            if memchr::memchr(b'\\', content).is_none() {
                return Ok(Cell { start: start + 1, end: end - 1, place: Place::Text });
            }
            let content: String =
                serde_json::from_str(value).map_err(|error| Fault::malformed(error.to_string()))?;
            let start = scratch.len();
            scratch.push_str(&content);
            Ok(Cell { start, end: scratch.len(), place: Place::Scratch })
        }
        _ => Ok(Cell { start, end, place: Place::Text }),
    }
}

impl Dialect for Json {
    #[inline]
    fn frame(&mut self, bytes: &[u8], is_last: bool) -> Frame {
        if self.is_by_line { self.frame_line(bytes, is_last) } else { self.frame_object(bytes, is_last) }
    }

    fn decode<'a>(&'a mut self, record: &'a [u8], text: Option<&'a str>) -> Result<Values<'a>, Fault> {
        let text = match text {
            Some(text) => text,
            None => utf8(record)?,
        };
        self.spans.fill(None);
        read_object(text, &mut self.keys, &mut self.spans).map_err(|error| {
            let what = if error.is_eof() { "the record is truncated: " } else { "" };
            Fault::malformed(format!("{what}{error}"))
        })?;
        self.fill_cells(text)?;
        Ok(Values { text, scratch: &self.scratch, cells: &self.cells, order: &self.order })
    }

    fn is_tail(&self, byte: u8) -> bool {
        if self.is_by_line { byte == b'\r' } else { byte.is_ascii_whitespace() }
    }

    fn skip(&mut self, bytes: &[u8]) -> Option<Skipped> {
        if self.is_by_line {
            return memchr::memchr(b'\n', bytes).map(|newline| Skipped { end: newline, next: newline + 1 });
        }
        let limit = self.record_bytes_max;
        let scan = self.skip.get_or_insert_with(|| SkipScan::new(bytes.get(..=limit).unwrap_or(bytes)));
        let skipped = scan.advance(bytes)?;
        self.skip = None;
        Some(skipped)
    }
}
