//! Places with `{parameter}` in them.

use std::collections::BTreeMap;

use super::parameter::ParameterValue;
use crate::error::{JobError, Result};

/// Fills `url`, which lies under `key`.
///
/// A value becomes a part of one name: it cannot lead to another folder, and it is no pattern.
///
/// # Errors
/// Where a value is not plain.
pub(super) fn fill(key: &str, url: &str, values: &BTreeMap<String, ParameterValue>) -> Result<String> {
    let mut filled = String::new();
    for part in parts(key, url)? {
        match part {
            Part::Text(text) => filled.push_str(text),
            Part::Parameter(name) => {
                let value = values.get(name).ok_or_else(|| unknown(key, name))?.text();
                if !is_plain(value) {
                    return Err(JobError::usage(format!(
                        "`{name}` is `{value}`, and it is a part of {key}: expected ASCII letters, digits, `-`, \
                         `_`, `:` or `.`, not first"
                    )));
                }
                filled.push_str(value);
            }
        }
    }
    Ok(filled)
}

/// Checks that `url` asks for nothing but parameters that there are.
///
/// # Errors
/// Where it does, with its key.
pub(super) fn check(key: &str, url: &str, is_known: impl Fn(&str) -> bool) -> Result<()> {
    for part in parts(key, url)? {
        if let Part::Parameter(name) = part
            && !is_known(name)
        {
            return Err(unknown(key, name));
        }
    }
    Ok(())
}

enum Part<'a> {
    Text(&'a str),
    Parameter(&'a str),
}

fn parts<'a>(key: &str, url: &'a str) -> Result<Vec<Part<'a>>> {
    let mut parts = Vec::new();
    let mut rest = url;
    while let Some((text, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else {
            return Err(JobError::usage(format!("{key} is `{url}`, in which a `{{` has no `}}`")));
        };
        parts.push(Part::Text(text));
        parts.push(Part::Parameter(name));
        rest = after;
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

fn is_plain(value: &str) -> bool {
    !value.is_empty() && !value.starts_with('.') && value.chars().all(is_plain_letter)
}

/// Tells whether a letter means itself in places and in names of batches.
pub(super) fn is_plain_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "-_.:".contains(letter)
}

fn unknown(key: &str, name: &str) -> JobError {
    JobError::usage(format!("{key} asks for `{{{name}}}`, which is no parameter of the job"))
}
