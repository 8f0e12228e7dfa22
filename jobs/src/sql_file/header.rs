//! A job's file: one leading comment with TOML in it, then one SELECT.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::{JobError, Result};
use crate::query::{QueryRatesSpec, QueryTableSpec};

/// What the header stands between.
const BEGIN: &str = "/*---";
const END: &str = "---*/";

const HINT: &str = "a job's file begins with `/*---`, TOML, `---*/`, and then has one SELECT";

/// The parts of a file. Lines are numbered as in the file.
#[derive(Debug)]
pub(super) struct Parts {
    /// The header, below as many empty lines as there are above it in the file.
    pub(super) header: String,
    /// The SELECT, likewise.
    pub(super) sql: String,
}

/// What a header says. Unknown keys are refused.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    /// The job's name; the file's where none is given.
    #[serde(default)]
    pub(super) name: Option<String>,
    /// What the job does, in a sentence.
    #[serde(default)]
    pub(super) summary: Option<String>,
    /// What a caller gives, by name.
    #[serde(default)]
    pub(super) parameters: BTreeMap<String, ParameterSpec>,
    /// What the SELECT reads, as in a spec of `query`.
    #[serde(default)]
    pub(super) tables: BTreeMap<String, QueryTableSpec>,
    /// Where its rates come from, as in a spec of `query`.
    #[serde(default)]
    pub(super) rates: QueryRatesSpec,
    /// Where its rows go.
    pub(super) output: OutputSpec,
}

/// `[parameters.NAME]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ParameterSpec {
    /// `text`, `int64`, `decimal(p,s)`, `bool`, `date` or `timestamptz`.
    #[serde(rename = "type")]
    pub(super) value_type: String,
    /// What holds where none is given; without it the parameter is required.
    #[serde(default)]
    pub(super) default: Option<toml::Value>,
    /// What it means, in a sentence.
    #[serde(default)]
    pub(super) doc: Option<String>,
}

/// `[output]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutputSpec {
    /// The table's folder; a caller may name another.
    #[serde(default)]
    pub(super) url: Option<String>,
    /// The column that the table is partitioned by, a date.
    pub(super) partition_by: String,
}

/// Takes a file apart.
pub(super) fn split(text: &str) -> Result<Parts> {
    let text = text.trim_start_matches('\u{feff}');
    let start = text.trim_start();
    let Some(inner) = start.strip_prefix(BEGIN) else {
        let line = line_of(text, text.len() - start.len());
        return Err(JobError::usage(format!("line {line}: expected `{BEGIN}`")).with_hint(HINT));
    };
    let begins = text.len() - inner.len();
    let Some(length) = inner.find(END) else {
        let line = line_of(text, begins);
        return Err(JobError::usage(format!(
            "line {line}: the header that begins here has no end, expected `{END}`"
        ))
        .with_hint(HINT));
    };
    let ends = begins + length + END.len();
    Ok(Parts { header: placed(text, begins, begins + length), sql: placed(text, ends, text.len()) })
}

/// Reads a header.
pub(super) fn read(text: &str) -> Result<Header> {
    toml::from_str(text).map_err(|error| {
        JobError::usage(format!("the header is not valid: {}", error.to_string().trim_end()))
    })
}

/// Returns a part of `text` below as many line ends as there are before it.
fn placed(text: &str, from: usize, to: usize) -> String {
    let mut part = "\n".repeat(line_of(text, from) - 1);
    part.push_str(&text[from..to]);
    part
}

fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}
