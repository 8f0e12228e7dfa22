//! Splits one record into its fields.

use crate::record::batch::{Cell, Place};

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Split {
    /// A whole record; its content ends at `end`, the next one begins at `next`.
    Record { end: usize, next: usize },
    /// The record does not end in these bytes.
    More,
    /// The quoting is broken.
    Broken(&'static str),
}

#[derive(Debug)]
pub(super) struct Splitter {
    delimiter: u8,
    quote: u8,
    /// The fields of the record, in order.
    pub(super) cells: Vec<Cell>,
    /// Those of them that hold doubled quotes.
    pub(super) escaped: Vec<usize>,
}

/// The end of a field.
enum FieldEnd {
    /// Another field begins at this byte.
    Delimiter(usize),
    /// The record ends; the next one begins at this byte.
    Line(usize),
}

impl Splitter {
    pub(super) const fn new(delimiter: u8, quote: u8) -> Self {
        Self { delimiter, quote, cells: Vec::new(), escaped: Vec::new() }
    }

    pub(super) const fn quote(&self) -> u8 {
        self.quote
    }

    /// Splits the record at the beginning of `bytes`.
    #[inline]
    pub(super) fn split(&mut self, bytes: &[u8], is_last: bool) -> Split {
        self.cells.clear();
        self.escaped.clear();
        let mut start = 0;
        loop {
            let end = if bytes.get(start) == Some(&self.quote) {
                match self.quoted_field(bytes, start, is_last) {
                    Ok(end) => end,
                    Err(split) => return split,
                }
            } else {
                match self.plain_field(bytes, start, is_last) {
                    Some(end) => end,
                    None => return Split::More,
                }
            };
            match end {
                FieldEnd::Delimiter(next) => start = next,
                FieldEnd::Line(next) => {
                    let record = bytes.get(..next).unwrap_or_default();
                    let record = record.strip_suffix(b"\n").unwrap_or(record);
                    let record = record.strip_suffix(b"\r").unwrap_or(record);
                    return Split::Record { end: record.len(), next };
                }
            }
        }
    }

    #[inline]
    fn plain_field(&mut self, bytes: &[u8], start: usize, is_last: bool) -> Option<FieldEnd> {
        let (end, found) = match find_either(bytes, start, self.delimiter, b'\n') {
            Some(at) if bytes.get(at) == Some(&self.delimiter) => (at, FieldEnd::Delimiter(at + 1)),
            Some(at) => (line_end(bytes, start, at), FieldEnd::Line(at + 1)),
            None if is_last => (line_end(bytes, start, bytes.len()), FieldEnd::Line(bytes.len())),
            None => return None,
        };
        let place = if start == end { Place::Null } else { Place::Text };
        self.cells.push(Cell { start, end, place });
        Some(found)
    }

    fn quoted_field(&mut self, bytes: &[u8], start: usize, is_last: bool) -> Result<FieldEnd, Split> {
        let unclosed = if is_last { Split::Broken("a quoted value does not end") } else { Split::More };
        let content = start + 1;
        let mut from = content;
        loop {
            let rest = bytes.get(from..).unwrap_or_default();
            let close = from + memchr::memchr(self.quote, rest).ok_or(unclosed)?;
            let after = bytes.get(close + 1..).unwrap_or_default();
            let end = match after {
                [] if is_last => FieldEnd::Line(close + 1),
                [b'\r'] if is_last => FieldEnd::Line(close + 2),
                [] | [b'\r'] => return Err(Split::More),
                [b'\n', ..] => FieldEnd::Line(close + 2),
                [b'\r', b'\n', ..] => FieldEnd::Line(close + 3),
                [byte, ..] if *byte == self.delimiter => FieldEnd::Delimiter(close + 2),
                [byte, ..] if *byte == self.quote => {
                    if self.escaped.last() != Some(&self.cells.len()) {
                        self.escaped.push(self.cells.len());
                    }
                    from = close + 2;
                    continue;
                }
                _ => return Err(Split::Broken("text follows a closing quote")),
            };
            self.cells.push(Cell { start: content, end: close, place: Place::Text });
            return Ok(end);
        }
    }
}

/// Where the field that begins at `start` and whose line ends at `end` ends.
#[inline]
fn line_end(bytes: &[u8], start: usize, end: usize) -> usize {
    if end > start && bytes.get(end - 1) == Some(&b'\r') { end - 1 } else { end }
}

/// Finds the first of two bytes, eight bytes at a time: most fields are shorter than what a call to a
/// vectorised search takes to set up.
#[inline]
fn find_either(bytes: &[u8], from: usize, first: u8, second: u8) -> Option<usize> {
    let (words, rest) = bytes.get(from..)?.as_chunks::<8>();
    let (first_word, second_word) = (ONES * u64::from(first), ONES * u64::from(second));
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let hits = zero_bytes(word ^ first_word) | zero_bytes(word ^ second_word);
        if hits != 0 {
            return Some(from + index * 8 + hits.trailing_zeros() as usize / 8);
        }
    }
    let tail = from + words.len() * 8;
    rest.iter().position(|&byte| byte == first || byte == second).map(|at| tail + at)
}

/// Marks the zero bytes of a word by their highest bit. The lowest mark is always right
/// (<https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord>), and only that one is used.
#[inline]
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHS
}
