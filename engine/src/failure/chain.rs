//! An error with its causes on one line.

use std::error::Error;

/// Returns the error's text and those of its causes, each once.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(found) = cause {
        let next = found.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = found.source();
    }
    text
}
