//! A statement is read, sorted by what it does, and refused where it does what is not done here. Nothing is
//! planned or opened for that.

mod action;
mod external_table;
pub(crate) mod place;
pub(crate) mod redact;
mod rewrite;
mod sort;

use std::fmt;

pub(crate) use action::{Action, PUBLIC, Query};
use cambist_engine::statement_limits::check_statement;
use datafusion::common::DataFusionError;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::ParserError;
pub(crate) use external_table::NewTable;
use place::Place;
pub(crate) use rewrite::TABLE_FUNCTIONS;

use crate::error::{Result, SqlError, SqlErrorKind};
use crate::prepared::StatementKind;

/// Nothing that a person writes is nested deeper; a parser's stack is.
const NESTING_MAX: usize = 50;

/// More text than that is no statement but data.
const STATEMENT_BYTES_MAX: usize = 1 << 20;

/// One statement as the parser reads it, and what it does.
pub(crate) struct Parsed {
    pub(crate) kind: StatementKind,
    statement: Statement,
}

impl fmt::Debug for Parsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parsed").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Parsed {
    /// Reads a text of one statement.
    ///
    /// # Errors
    /// With the place, where it cannot be read; where there are several, or it is too long or too deep; where its
    /// kind is not supported.
    pub(crate) fn read(sql: &str) -> Result<Self> {
        if sql.len() > STATEMENT_BYTES_MAX {
            return Err(SqlError::invalid(format!(
                "the statement has {} bytes, expected at most {STATEMENT_BYTES_MAX}",
                sql.len()
            )));
        }
        check_statement(sql)?;
        let parser = DFParserBuilder::new(sql).with_dialect(&GenericDialect {});
        let parser = parser.with_recursion_limit(NESTING_MAX).build();
        let statements = parser.and_then(|mut parser| parser.parse_statements());
        let mut statements = statements.map_err(|error| syntax_error(&error, sql))?;
        let statement = match (statements.pop_front(), statements.len()) {
            (Some(statement), 0) => statement,
            (None, _) => return Err(SqlError::invalid("the text holds no statement")),
            (_, more) => {
                let error =
                    SqlError::invalid(format!("the text holds {} statements, expected one", more + 1));
                return Err(error.with_hint("send them one after the other"));
            }
        };
        Ok(Self { kind: sort::kind(&statement)?, statement })
    }

    /// Returns what is to be done, with everything that the text alone tells checked.
    ///
    /// # Errors
    /// Where an option, a type or a call is not valid.
    pub(crate) fn action(self, sql: &str) -> Result<Action> {
        action::action(self.statement, sql)
    }
}

fn syntax_error(error: &DataFusionError, sql: &str) -> SqlError {
    let message = match error.find_root() {
        DataFusionError::SQL(parser, _) => match parser.as_ref() {
            ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.clone(),
            ParserError::RecursionLimitExceeded => {
                format!("the statement is nested too deeply, expected at most {NESTING_MAX} levels")
            }
        },
        other => other.message().into_owned(),
    };
    let (message, place) = Place::of_message(&message);
    let place = place.or_else(|| Place::of_span(error.diagnostic()?.span));
    // The parser quotes what it found, which may be the secret itself.
    let message = if redact::redacted(sql) == sql {
        message.strip_prefix("Expected: ").map_or_else(
            || format!("the statement cannot be read: {message}"),
            |rest| match rest.split_once(", found: ") {
                Some((expected, found)) => format!("`{found}` was found, expected {expected}"),
                None => format!("expected {rest}"),
            },
        )
    } else {
        "the statement cannot be read".to_owned()
    };
    SqlError::new(SqlErrorKind::Invalid, message).at(sql, place)
}

#[cfg(test)]
mod tests;
