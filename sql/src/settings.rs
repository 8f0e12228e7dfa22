//! What a deployment declares: tables, rates, places, limits. A TOML file.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::access::Role;
use crate::catalog::TableSettings;
use crate::error::{Result, SqlError};

/// The file.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SqlSettings {
    /// The tables, by name.
    pub tables: BTreeMap<String, TableSettings>,
    /// The rates that `fx_convert` and its like use where a session does not say otherwise.
    pub rates: RatesSettings,
    /// Folders below which `CREATE EXTERNAL TABLE` and the options of `CALL` may name places: local paths or
    /// `s3://` URLs. Without any, neither may name one.
    pub locations: Vec<String>,
    /// Whether they may name every place instead. No file sets this: it is for a command line, whose user reaches
    /// all that its process does anyway.
    #[serde(skip)]
    pub allows_every_location: bool,
    /// Statements of all users at once; one more is refused.
    pub concurrent_queries: Option<usize>,
    /// What the users of each role may take.
    pub limits: BTreeMap<Role, Limits>,
}

/// Statements at once where the settings do not say.
const CONCURRENT_QUERIES: usize = 256;

/// `[rates]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RatesSettings {
    /// A declared table of kind `rates`.
    pub default: Option<String>,
    /// `date` or `instant`.
    pub mode: Option<String>,
    /// The age in days above which a snapshot is too old.
    pub max_age_days: Option<i64>,
    /// Snapshots that were listed longer ago than so many seconds are listed anew.
    pub refresh_seconds: Option<u64>,
}

/// `[limits.ROLE]`: what one user may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Statements at once; one more is refused.
    pub concurrent_queries: usize,
    /// How long a statement may take, its result's transfer included, in seconds.
    pub run_seconds: u64,
    /// Bytes of rows that one statement may return.
    pub result_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { concurrent_queries: 64, run_seconds: 3600, result_bytes: 64 << 30 }
    }
}

impl Limits {
    /// Returns how long a statement may take.
    pub const fn run_time(&self) -> Duration {
        Duration::from_secs(self.run_seconds)
    }
}

impl SqlSettings {
    /// Reads the file's text.
    ///
    /// # Errors
    /// With the line, for text that is not TOML or not of this form.
    pub fn from_toml(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| {
            SqlError::invalid(format!("the settings are not valid: {}", error.to_string().trim_end()))
        })
    }

    /// Returns how many statements may be at work at once.
    pub fn concurrent_queries_max(&self) -> usize {
        self.concurrent_queries.unwrap_or(CONCURRENT_QUERIES)
    }

    /// Returns what a user of this role may take.
    pub fn limits_of(&self, role: Role) -> Limits {
        self.limits.get(&role).copied().unwrap_or_default()
    }
}
