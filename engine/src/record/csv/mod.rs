//! Delimited text.
//!
//! An empty field is null, a quoted empty one an empty text. A quote opens a quoted value only at the beginning of a field; elsewhere it is an ordinary
//! character. Where the quoting of a record is broken, its first line alone is given up and reading
//! goes on with the next line, so that a stray quote cannot swallow the records after it.

mod split;

use cambist_udfs::reason::RowReason;

use super::batch::{Cell, Place, Values};
use super::config::{Encoding, RecordConfig};
use super::schema::Fault;
use super::text::{Dialect, Frame, Skipped, utf8, without_return};
use split::{Split, Splitter};

#[derive(Debug)]
pub(crate) struct Csv {
    splitter: Splitter,
    quoted_newlines: bool,
    encoding: Encoding,
    record_bytes_max: usize,
    /// How many fields a record has; any number while the header is read.
    field_count: Option<usize>,
    /// The field of each declared column.
    order: Vec<usize>,
    scratch: String,
    converted: String,
}

impl Csv {
    /// A reader of records of any number of fields.
    pub(crate) fn new(config: &RecordConfig) -> Self {
        Self {
            splitter: Splitter::new(config.delimiter, config.quote),
            quoted_newlines: config.quoted_newlines,
            encoding: config.encoding,
            record_bytes_max: config.max_record_bytes,
            field_count: None,
            order: Vec::new(),
            scratch: String::new(),
            converted: String::new(),
        }
    }

    /// Reads records of `field_count` fields from now on; the field of each declared column is given
    /// by `order`.
    pub(crate) fn expect(&mut self, field_count: usize, order: Vec<usize>) {
        self.field_count = Some(field_count);
        self.order = order;
    }

    /// Reads the record just framed as a list of texts, as a header needs it.
    pub(crate) fn fields(&mut self, record: &[u8]) -> Result<Vec<String>, Fault> {
        self.order = (0..self.splitter.cells.len()).collect();
        let values = self.decode(record, None)?;
        let field = |cell: &Cell| match cell.place {
            Place::Null => "",
            Place::Text => values.text.get(cell.start..cell.end).unwrap_or_default(),
            Place::Scratch => values.scratch.get(cell.start..cell.end).unwrap_or_default(),
        };
        Ok(values.cells.iter().map(|cell| field(cell).to_owned()).collect())
    }

    /// Returns how many fields the record just framed has.
    pub(crate) fn field_count(&self) -> usize {
        self.splitter.cells.len()
    }

    /// A record that does not end within the bytes it may have. Where it has a line that does, a quoted
    /// value has joined lines.
    #[cold]
    fn unended(&self, view: &[u8]) -> Frame {
        let limit = self.record_bytes_max;
        self.first_line(view, true, format!("a quoted value does not end within {limit} bytes"))
    }

    /// Gives up the first line of `view`.
    #[cold]
    fn first_line(&self, view: &[u8], is_last: bool, detail: String) -> Frame {
        let (line, next) = match memchr::memchr(b'\n', view) {
            Some(newline) => (view.get(..newline).unwrap_or_default(), newline + 1),
            None if is_last || self.is_full(view) => (view, view.len()),
            None => return Frame::More,
        };
        let end = without_return(line);
        if end > self.record_bytes_max {
            return Frame::TooLong;
        }
        Frame::Broken { end, next, fault: Fault::malformed(detail) }
    }

    /// The bytes that are looked at: what a record and its line end may have, and no more, so that the
    /// answer does not depend on how much was read.
    fn view<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(..self.record_bytes_max + 2).unwrap_or(bytes)
    }

    fn is_full(&self, view: &[u8]) -> bool {
        view.len() == self.record_bytes_max + 2
    }

    fn split(&mut self, bytes: &[u8], is_last: bool) -> Split {
        if self.quoted_newlines {
            return self.splitter.split(bytes, is_last);
        }
        match memchr::memchr(b'\n', bytes) {
            Some(newline) => self.splitter.split(bytes.get(..=newline).unwrap_or_default(), true),
            None if is_last => self.splitter.split(bytes, true),
            None => Split::More,
        }
    }

    /// What to do with a record that is too long or has a wrong number of fields.
    #[cold]
    fn misfit(&self, view: &[u8], is_last: bool, end: usize, next: usize) -> Frame {
        if end > self.record_bytes_max {
            return self.unended(view);
        }
        let (found, expected) = (self.splitter.cells.len(), self.field_count.unwrap_or_default());
        let detail = format!("found {found} fields, expected {expected}");
        let record = view.get(..end).unwrap_or_default();
        if memchr::memchr(b'\n', record).is_some() {
            // The likeliest cause is a stray quote that has joined lines.
            return self.first_line(view, is_last, format!("{detail}, in a record that spans lines"));
        }
        Frame::Broken { end, next, fault: Fault::malformed(detail) }
    }

    /// Replaces doubled quotes by single ones.
    fn unescape(&mut self, text: Option<&str>) {
        self.scratch.clear();
        let quote = char::from(self.splitter.quote());
        for at in 0..self.splitter.escaped.len() {
            let Some(cell) =
                self.splitter.escaped.get(at).and_then(|&index| self.splitter.cells.get_mut(index))
            else {
                continue;
            };
            let source = text.unwrap_or(&self.converted);
            let value = source.get(cell.start..cell.end).unwrap_or_default();
            let start = self.scratch.len();
            let mut parts = value.split(quote);
            self.scratch.push_str(parts.next().unwrap_or_default());
            // Every second part lies between the two quotes of a pair.
            while let (Some(_), Some(part)) = (parts.next(), parts.next()) {
                self.scratch.push(quote);
                self.scratch.push_str(part);
            }
            *cell = Cell { start, end: self.scratch.len(), place: Place::Scratch };
        }
    }
}

impl Dialect for Csv {
    #[inline]
    fn frame(&mut self, bytes: &[u8], is_last: bool) -> Frame {
        match bytes {
            [] => return Frame::More,
            [b'\n', ..] => return Frame::Blank { next: 1 },
            [b'\r', b'\n', ..] => return Frame::Blank { next: 2 },
            [b'\r'] if is_last => return Frame::Blank { next: 1 },
            [b'\r'] => return Frame::More,
            _ => {}
        }
        let view = self.view(bytes);
        let is_last = is_last && !self.is_full(view);
        match self.split(view, is_last) {
            Split::Record { end, next } => {
                let is_misfit = self.field_count.is_some_and(|count| count != self.splitter.cells.len());
                if is_misfit || end > self.record_bytes_max {
                    return self.misfit(view, is_last, end, next);
                }
                Frame::Record { end, next }
            }
            Split::More if self.is_full(view) => self.unended(view),
            Split::More => Frame::More,
            Split::Broken(detail) => self.first_line(view, is_last, detail.to_owned()),
        }
    }

    #[inline]
    fn decode<'a>(&'a mut self, record: &'a [u8], text: Option<&'a str>) -> Result<Values<'a>, Fault> {
        let text = match text {
            Some(text) => Some(text),
            None if self.encoding == Encoding::Utf8 => Some(utf8(record)?),
            None if record.is_ascii() => Some(utf8(record)?),
            None => {
                self.converted.clear();
                self.converted.push_str(&encoding_rs::mem::decode_latin1(record));
                // The characters that part fields are ASCII: the fields are the same ones, elsewhere.
                self.splitter.split(self.converted.as_bytes(), true);
                None
            }
        };
        if !self.splitter.escaped.is_empty() {
            self.unescape(text);
        }
        Ok(Values {
            text: text.unwrap_or(&self.converted),
            scratch: &self.scratch,
            cells: &self.splitter.cells,
            order: &self.order,
        })
    }

    fn skip(&mut self, bytes: &[u8]) -> Option<Skipped> {
        memchr::memchr(b'\n', bytes).map(|newline| Skipped { end: newline, next: newline + 1 })
    }
}

/// Says that a fault of a header is about its encoding.
pub(crate) fn is_encoding_fault(fault: &Fault) -> bool {
    fault.reason == RowReason::EncodingInvalid.code()
}
