//! Where in a statement's text something is, as a person looks for it.

use datafusion::common::Span;
use datafusion::sql::sqlparser::tokenizer;

use super::redact::redacted;
use crate::error::SqlError;

/// A line is shown up to so many characters around the place.
const SHOWN_CHARS: usize = 100;

/// A line and a column of a statement's text, both from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

impl Place {
    /// Returns where a part of the syntax tree begins, if the parser has noted that.
    pub(crate) fn of(location: tokenizer::Location) -> Option<Self> {
        (location.line > 0).then_some(Self { line: location.line, column: location.column })
    }

    /// Returns where a span begins.
    pub(crate) fn of_span(span: Option<Span>) -> Option<Self> {
        let start = span?.start;
        (start.line > 0).then_some(Self { line: start.line, column: start.column })
    }

    /// Finds the place that the parser has put at the end of its message, and returns the message without it.
    pub(crate) fn of_message(message: &str) -> (&str, Option<Self>) {
        let found = message.rsplit_once(" at Line: ").and_then(|(rest, place)| {
            let (line, column) = place.split_once(", Column: ")?;
            Some((rest, Self { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? }))
        });
        match found {
            Some((rest, place)) if place.line > 0 => (rest, Some(place)),
            Some((rest, _)) => (rest, None),
            None => (message, None),
        }
    }

    /// Points at the place: line, column, and the line with a caret below.
    ///
    /// The line is left out where the statement holds what may be secret.
    pub(crate) fn shown(self, sql: &str) -> String {
        let Self { line, column } = self;
        let mut shown = format!("line {line}, column {column}");
        let text = usize::try_from(line - 1).ok().and_then(|line| sql.lines().nth(line));
        let (Some(text), Ok(column)) = (text, usize::try_from(column.saturating_sub(1))) else {
            return shown;
        };
        if redacted(sql) != sql {
            return shown;
        }
        let start = column.saturating_sub(SHOWN_CHARS / 2);
        let part: String = text.chars().skip(start).take(SHOWN_CHARS).map(plain).collect();
        shown.push_str(&format!("\n  {part}\n  {}^", " ".repeat(column - start)));
        shown
    }
}

/// A tab would move the caret.
fn plain(letter: char) -> char {
    if letter.is_control() { ' ' } else { letter }
}

impl SqlError {
    /// Adds where in `sql` it is.
    pub(crate) fn at(mut self, sql: &str, place: Option<Place>) -> Self {
        if let Some(place) = place {
            self.message = format!("{}, {}", self.message, place.shown(sql));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_below_the_place() {
        let sql = "SELECT 1,\n\tamount FRM orders";
        assert_eq!(
            Place { line: 2, column: 13 }.shown(sql),
            "line 2, column 13\n   amount FRM orders\n              ^"
        );
    }

    #[test]
    fn of_a_long_line_only_the_surroundings_are_shown() {
        let sql = format!("SELECT {}, x FROM", "a, ".repeat(1000));
        let shown = Place { line: 1, column: 3001 }.shown(&sql);
        let (line, caret) = shown.split_once('\n').unwrap().1.split_once('\n').unwrap();
        assert!(line.len() <= 102 && caret.len() == 53, "{shown}");
    }

    #[test]
    fn a_line_that_may_hold_a_secret_is_not_shown() {
        let sql =
            "CREATE EXTERNAL TABLE t STORED AS CSV OPTIONS ('aws.secret_access_key' 'abc') LOCATON 's3://b/'";
        assert_eq!(Place { line: 1, column: 8 }.shown(sql), "line 1, column 8");
    }

    #[test]
    fn the_place_is_taken_from_the_parsers_message() {
        let message = "Expected: FROM, found: x at Line: 3, Column: 14";
        assert_eq!(
            Place::of_message(message),
            ("Expected: FROM, found: x", Some(Place { line: 3, column: 14 }))
        );
        assert_eq!(Place::of_message("recursion limit exceeded"), ("recursion limit exceeded", None));
    }
}
