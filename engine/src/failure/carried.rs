//! A failure on its way through error types that know nothing of it.

use std::fmt;
use std::io;

use datafusion::common::DataFusionError;

use super::TaskFailure;

/// Stands before a failure's JSON in an error text.
const MARK: &str = "task failure: ";

/// A message longer than this helps nobody, and every layer of a cluster copies it.
const MESSAGE_BYTES_MAX: usize = 8 << 10;

/// An error text that was quoted by this many layers can still be read.
const QUOTINGS_MAX: usize = 4;

/// The error that leaves a task. `Debug` prints what `Display` prints, because a cluster keeps of a task's
/// error only its `Debug` text.
pub(super) struct Carried(pub(super) TaskFailure);

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MARK)?;
        let json = serde_json::to_string(&self.0).map_err(|_| fmt::Error)?;
        // Beyond ASCII a quoting layer could write a letter in a way of its own.
        let mut units = [0; 2];
        for letter in json.chars() {
            if letter.is_ascii() {
                fmt::Write::write_char(f, letter)?;
            } else {
                for unit in letter.encode_utf16(&mut units) {
                    write!(f, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Carried {}

impl TaskFailure {
    /// Returns the error that a task ends with. Where another task is worth while it is an `IoError`, the
    /// only kind that Ballista tries again; its text tells the driver all.
    pub fn into_error(mut self) -> DataFusionError {
        if self.message.len() > MESSAGE_BYTES_MAX {
            let end = self.message.floor_char_boundary(MESSAGE_BYTES_MAX);
            self.message.truncate(end);
            self.message.push('…');
        }
        if self.kind.is_worth_another_task() {
            DataFusionError::IoError(io::Error::other(Carried(self)))
        } else {
            DataFusionError::External(Box::new(Carried(self)))
        }
    }

    /// Finds a failure in the text that a scheduler gives for a failed job.
    pub fn in_text(text: &str) -> Option<Self> {
        let mut rest = text[text.find(MARK)? + MARK.len()..].to_owned();
        for _ in 0..QUOTINGS_MAX {
            if let Some(Ok(failure)) = serde_json::Deserializer::from_str(&rest).into_iter().next() {
                return Some(failure);
            }
            rest = unquoted(&rest);
        }
        None
    }
}

/// Takes back what `{:?}` does to the text of a string: ours has but quotes and backslashes to escape.
fn unquoted(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => plain.extend(letters.next()),
            other => plain.push(other),
        }
    }
    plain
}
