//! Reads a text file record by record: the same loop for every format, around a [`Dialect`] that knows
//! where a record ends and what is in it.

use arrow::record_batch::RecordBatch;
use cambist_udfs::reason::RowReason;

use super::batch::{BatchBuilder, Position, Raw, Values};
use super::config::Encoding;
use super::error::RecordError;
use super::schema::{Fault, RAW_BYTES_MAX};
use super::window::Window;

/// What lies at the beginning of the unread bytes. Lengths count from there: `end` is where the record
/// ends, `next` where the one after it begins.
#[derive(Debug)]
pub(crate) enum Frame {
    /// It cannot be told without more bytes; at the end of the file: nothing.
    More,
    /// Nothing that counts.
    Blank { next: usize },
    /// A record.
    Record { end: usize, next: usize },
    /// Bytes that cannot be a record.
    Broken { end: usize, next: usize, fault: Fault },
    /// A record above the limit, which is to be passed over by [`Dialect::skip`].
    TooLong,
}

/// A text format. Its answers depend on the bytes alone, not on how much of them was read at a time.
pub(crate) trait Dialect: Send {
    /// Finds the first record of `bytes`.
    fn frame(&mut self, bytes: &[u8], is_last: bool) -> Frame;

    /// Reads the record that `frame` has just found; `text` is the same as text, where that is known.
    fn decode<'a>(&'a mut self, record: &'a [u8], text: Option<&'a str>) -> Result<Values<'a>, Fault>;

    /// Looks for the end of a record that is too long, in bytes that follow those of the last call.
    fn skip(&mut self, bytes: &[u8]) -> Option<Skipped>;

    /// Tells whether a byte at the end of a record that is too long is part of what ends it.
    fn is_tail(&self, byte: u8) -> bool {
        byte == b'\r'
    }
}

/// The end of a record that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Skipped {
    /// Where its line end, or what else parts it from the next, begins.
    pub(crate) end: usize,
    /// Where the next record begins.
    pub(crate) next: usize,
}

/// Reads a record as UTF-8.
pub(crate) fn utf8(record: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(record).map_err(|error| {
        let position = error.valid_up_to();
        let byte = record.get(position).copied().unwrap_or_default();
        let detail = format!("byte 0x{byte:02x} at byte {position} of the record is not valid utf-8");
        Fault::new(RowReason::EncodingInvalid, detail)
    })
}

/// Returns the length of `record` without a carriage return at its end.
pub(crate) fn without_return(record: &[u8]) -> usize {
    record.strip_suffix(b"\r").unwrap_or(record).len()
}

/// A record that is passed over.
#[derive(Debug)]
struct Skip {
    position: Position,
    head: Vec<u8>,
    length: u64,
    /// How many bytes at the end so far are none of the record's if it ends here.
    tail: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// Before the first record that begins in a byte range.
    Align,
    Reading,
    /// At the damage of the file, which is still to be told.
    Damaged(String),
    Done,
}

enum Scan {
    BatchFull,
    More,
    End,
}

/// The limits of what a reader reads of its file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Whether the window begins in the middle of a record, which belongs to the range before.
    pub(crate) is_unaligned: bool,
    /// Records that begin here or later belong to the range after.
    pub(crate) end: Option<u64>,
    /// Whether records can be numbered.
    pub(crate) has_numbers: bool,
}

/// The reader of one text file, or of one byte range of it.
pub(crate) struct TextReader<D> {
    file: String,
    window: Window,
    dialect: D,
    encoding: Encoding,
    batch: BatchBuilder,
    end: Option<u64>,
    next_number: Option<u64>,
    record_bytes_max: usize,
    allow_damaged: bool,
    skip: Option<Skip>,
    phase: Phase,
}

/// What is the same for every record of a file.
#[derive(Clone, Debug)]
pub(crate) struct TextOptions {
    pub(crate) file: String,
    pub(crate) encoding: Encoding,
    pub(crate) record_bytes_max: usize,
    pub(crate) allow_damaged: bool,
}

impl<D: Dialect> TextReader<D> {
    pub(crate) fn new(
        options: TextOptions,
        window: Window,
        dialect: D,
        mut batch: BatchBuilder,
        extent: Extent,
    ) -> Self {
        batch.set_window(&window.buffer);
        Self {
            file: options.file,
            window,
            dialect,
            encoding: options.encoding,
            batch,
            end: extent.end,
            next_number: extent.has_numbers.then_some(1),
            record_bytes_max: options.record_bytes_max,
            allow_damaged: options.allow_damaged,
            skip: None,
            phase: if extent.is_unaligned { Phase::Align } else { Phase::Reading },
        }
    }

    /// Reads the next batch; none at the end.
    pub(crate) async fn next_batch(&mut self) -> Result<Option<RecordBatch>, RecordError> {
        loop {
            match &self.phase {
                Phase::Align => self.align().await?,
                Phase::Done if self.batch.is_empty() => return Ok(None),
                Phase::Done => return self.finish_batch(),
                Phase::Damaged(detail) => {
                    if !self.batch.is_empty() && !self.allow_damaged {
                        return self.finish_batch();
                    }
                    let detail = detail.clone();
                    self.tell_damage(detail)?;
                }
                Phase::Reading => match self.scan()? {
                    Scan::BatchFull => return self.finish_batch(),
                    Scan::More => self.refill().await?,
                    Scan::End => {
                        let damage = self.window.damage.take();
                        self.phase = damage.map_or(Phase::Done, Phase::Damaged);
                    }
                },
            }
        }
    }

    fn finish_batch(&mut self) -> Result<Option<RecordBatch>, RecordError> {
        let batch = self.batch.finish();
        batch.map(Some).map_err(|source| arrow_error(&self.file, source))
    }

    async fn refill(&mut self) -> Result<(), RecordError> {
        self.window.refill().await?;
        self.batch.set_window(&self.window.buffer);
        Ok(())
    }

    /// Passes over the record in whose middle a byte range begins.
    async fn align(&mut self) -> Result<(), RecordError> {
        let unread = self.window.unread();
        match memchr::memchr(b'\n', unread) {
            Some(newline) => {
                self.window.position += newline + 1;
                self.phase = Phase::Reading;
            }
            None if self.window.is_last => self.phase = Phase::Done,
            None => {
                self.window.position += unread.len();
                self.refill().await?;
            }
        }
        Ok(())
    }

    /// Reads the records of the window until it, the batch or the range ends.
    fn scan(&mut self) -> Result<Scan, RecordError> {
        let buffer = self.window.buffer.clone();
        let bytes = buffer.as_slice();
        let is_last = self.window.is_last && self.window.damage.is_none();
        let mut valid = ValidText::new(self.encoding);
        let outcome = loop {
            if self.batch.is_full() {
                break Scan::BatchFull;
            }
            let start = self.window.position;
            let unread = bytes.get(start..).unwrap_or_default();
            if self.skip.is_some() {
                if self.pass_over(unread)? {
                    continue;
                }
                break if self.window.is_last { Scan::End } else { Scan::More };
            }
            if self.end.is_some_and(|end| self.window.offset() >= end) {
                break Scan::End;
            }
            match self.dialect.frame(unread, is_last) {
                Frame::Blank { next } => self.window.position += next,
                Frame::Record { end, next } => {
                    let text = valid.get(bytes, start, start + end);
                    self.read_record(start, unread, text, end, next)?;
                }
                Frame::Broken { end, next, fault } => self.push_fault(start, end, next, fault)?,
                Frame::TooLong => self.begin_skip(),
                Frame::More if self.window.is_last => break Scan::End,
                Frame::More => break Scan::More,
            }
        };
        Ok(outcome)
    }

    #[inline]
    fn read_record(
        &mut self,
        start: usize,
        unread: &[u8],
        text: Option<&str>,
        end: usize,
        next: usize,
    ) -> Result<(), RecordError> {
        let record = unread.get(..end).unwrap_or_default();
        let position = Position { offset: self.window.offset(), number: self.next_number };
        match self.dialect.decode(record, text) {
            Ok(values) => {
                let pushed = self.batch.push(position, Raw::Window { start, end: start + end }, &values);
                pushed.map_err(|source| arrow_error(&self.file, source))?;
                self.window.position += next;
                self.next_number = self.next_number.map(|number| number + 1);
                Ok(())
            }
            Err(fault) => self.push_fault(start, end, next, fault),
        }
    }

    fn push_fault(&mut self, start: usize, end: usize, next: usize, fault: Fault) -> Result<(), RecordError> {
        let position = self.take_position();
        let pushed = self.batch.push_fault(position, Raw::Window { start, end: start + end }, fault);
        self.window.position += next;
        pushed.map_err(|source| arrow_error(&self.file, source))
    }

    fn take_position(&mut self) -> Position {
        let number = self.next_number;
        self.next_number = number.map(|number| number + 1);
        Position { offset: self.window.offset(), number }
    }

    fn begin_skip(&mut self) {
        let position = self.take_position();
        self.skip = Some(Skip { position, head: Vec::new(), length: 0, tail: 0 });
    }

    /// Passes over more of a record that is too long; tells whether its end was reached.
    fn pass_over(&mut self, unread: &[u8]) -> Result<bool, RecordError> {
        let Some(skip) = &mut self.skip else { return Ok(true) };
        let found = self.dialect.skip(unread);
        let end = found.map_or(unread.len(), |skipped| skipped.end);
        let passed = unread.get(..end).unwrap_or_default();
        let kept = passed.len().min(RAW_BYTES_MAX - skip.head.len());
        skip.head.extend_from_slice(passed.get(..kept).unwrap_or_default());
        skip.length += passed.len() as u64;
        let tail = passed.iter().rev().take_while(|byte| self.dialect.is_tail(**byte)).count();
        skip.tail = if tail == passed.len() { skip.tail + tail as u64 } else { tail as u64 };
        self.window.position += found.map_or(unread.len(), |skipped| skipped.next);
        let is_at_end = found.is_some() || self.window.is_last;
        if is_at_end {
            self.end_skip()?;
        }
        Ok(is_at_end)
    }

    fn end_skip(&mut self) -> Result<(), RecordError> {
        let Some(mut skip) = self.skip.take() else { return Ok(()) };
        skip.length -= skip.tail;
        skip.head.truncate(usize::try_from(skip.length).unwrap_or(usize::MAX));
        let (length, limit) = (skip.length, self.record_bytes_max);
        let fault = Fault::malformed(format!("the record has {length} bytes; at most {limit} are allowed"));
        let pushed = self.batch.push_fault(skip.position, Raw::Kept(&skip.head), fault);
        pushed.map_err(|source| arrow_error(&self.file, source))
    }

    /// Ends the scan of a damaged file: an error, or a row for what is left and a marker.
    fn tell_damage(&mut self, detail: String) -> Result<(), RecordError> {
        self.phase = Phase::Done;
        if !self.allow_damaged {
            return Err(RecordError::DamagedFile { file: self.file.clone(), detail });
        }
        let rest = self.window.unread().len();
        let is_blank = self.window.unread().trim_ascii().is_empty();
        if !is_blank {
            let fault = Fault::malformed(format!("the record is truncated, as its file is: {detail}"));
            self.push_fault(self.window.position, rest, rest, fault)?;
        }
        let position = Position { offset: self.window.offset(), number: None };
        let pushed = self.batch.push_fault(position, Raw::Absent, Fault::damaged_file(detail));
        pushed.map_err(|source| arrow_error(&self.file, source))
    }
}

pub(crate) fn arrow_error(file: &str, source: arrow::error::ArrowError) -> RecordError {
    RecordError::Arrow { file: file.to_owned(), source }
}

/// Knows of a stretch of the window that it is valid text, so that not every record need be checked.
struct ValidText<'a> {
    encoding: Encoding,
    start: usize,
    text: &'a str,
}

impl<'a> ValidText<'a> {
    fn new(encoding: Encoding) -> Self {
        Self { encoding, start: 0, text: "" }
    }

    /// Returns the record as text, where the bytes are the text; not so for a record with bytes that
    /// are invalid or have to be converted.
    #[inline]
    fn get(&mut self, bytes: &'a [u8], start: usize, end: usize) -> Option<&'a str> {
        if start >= self.start + self.text.len() {
            // A record beyond the stretch: either the first one, or what stopped the stretch is passed.
            self.start = start;
            self.text = self.stretch(bytes.get(start..).unwrap_or_default());
        }
        self.text.get(start - self.start..end - self.start)
    }

    fn stretch(&self, bytes: &'a [u8]) -> &'a str {
        if self.encoding == Encoding::Latin1 {
            let length = encoding_rs::Encoding::ascii_valid_up_to(bytes);
            return std::str::from_utf8(bytes.get(..length).unwrap_or_default()).unwrap_or_default();
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
                std::str::from_utf8(valid).unwrap_or_default()
            }
        }
    }
}
