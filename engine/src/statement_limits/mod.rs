//! Limits of a statement's text, checked before it is parsed: no text may overflow a stack or keep the parser busy
//! for hours.

mod depth;
mod nesting;

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::Tokenizer;

/// A statement goes beyond a limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BeyondLimit {
    /// What was found, and the limit.
    pub message: String,
    /// How it can be written otherwise.
    pub hint: &'static str,
}

/// Refuses a statement whose tree could be deeper than a stack, or that could keep the parser busy for ever. A text
/// that has no tokens is the parser's matter.
///
/// # Errors
/// With the limit that it exceeds.
pub fn check_statement(sql: &str) -> Result<(), BeyondLimit> {
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize() else { return Ok(()) };
    nesting::check(&tokens)?;
    depth::check(&tokens)
}
