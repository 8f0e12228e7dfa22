//! A table as a deployment declares it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What lies at a table's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TableKind {
    /// Raw files.
    Raw,
    /// A table that a job of ours commits to.
    Cambist,
    /// Snapshots of exchange rates, a ledger or a plain folder.
    Rates,
}

impl fmt::Display for TableKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raw => "raw",
            Self::Cambist => "cambist",
            Self::Rates => "rates",
        })
    }
}

impl TableSettings {
    /// Declares what lies at `url`, with everything else by default.
    pub fn new(url: impl Into<String>, kind: TableKind) -> Self {
        Self { url: url.into(), kind, format: None, encoding: None, delimiter: None, types: BTreeMap::new() }
    }
}

/// `[tables.NAME]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TableSettings {
    /// Where it lies: a local path or `s3://`; for raw files a file, a folder or a glob.
    pub url: String,
    /// What lies there.
    pub kind: TableKind,
    /// Of raw files: `csv`, `ndjson`, `json` or `parquet`; by file name where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Of text files: `utf-8` or `latin1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Of CSV files: the delimiter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// Types of columns, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, String>,
}
