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
    /// What all statements that run in this process may take for their rows, in bytes; no file sets this either.
    #[serde(skip)]
    pub memory_bytes: Option<usize>,
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

/// Listings of rates that are older are those of another day.
const REFRESH_SECONDS_MAX: u64 = 86_400;

/// How old a listing of rates may be where the settings do not say.
const REFRESH_SECONDS: u64 = 10;

/// More statements at once than any server works on.
const STATEMENTS_MAX: usize = 100_000;

/// Executors keep what nobody fetches for a day, and the fetching is part of a statement.
const RUN_SECONDS_MAX: u64 = 86_400;

impl RatesSettings {
    /// Returns how old a listing of rates may be.
    pub(crate) fn refresh(&self) -> Duration {
        Duration::from_secs(self.refresh_seconds.unwrap_or(REFRESH_SECONDS))
    }
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
    /// With the line, for text that is not TOML or not of this form; with the name, for a limit out of its range.
    pub fn from_toml(text: &str) -> Result<Self> {
        let settings: Self = toml::from_str(text).map_err(|error| {
            SqlError::invalid(format!("the settings are not valid: {}", error.to_string().trim_end()))
        })?;
        settings.check_ranges()?;
        Ok(settings)
    }

    fn check_ranges(&self) -> Result<()> {
        in_range("concurrent_queries", self.concurrent_queries_max() as u64, 1, STATEMENTS_MAX as u64)?;
        in_range("rates.refresh_seconds", self.rates.refresh().as_secs(), 0, REFRESH_SECONDS_MAX)?;
        for (role, limits) in &self.limits {
            let place = |name: &str| format!("limits.{role}.{name}");
            let at_once = limits.concurrent_queries as u64;
            in_range(&place("concurrent_queries"), at_once, 1, STATEMENTS_MAX as u64)?;
            in_range(&place("run_seconds"), limits.run_seconds, 1, RUN_SECONDS_MAX)?;
            in_range(&place("result_bytes"), limits.result_bytes, 1, u64::MAX)?;
        }
        Ok(())
    }

    /// Returns how many statements may be at work at once.
    pub fn concurrent_queries_max(&self) -> usize {
        self.concurrent_queries.unwrap_or(CONCURRENT_QUERIES)
    }

    /// Returns how long a statement of anybody may take.
    pub(crate) fn run_time_max(&self) -> Duration {
        let of_roles = self.limits.values().map(Limits::run_time);
        of_roles.max().unwrap_or_default().max(Limits::default().run_time())
    }

    /// Returns what a user of this role may take.
    pub fn limits_of(&self, role: Role) -> Limits {
        self.limits.get(&role).copied().unwrap_or_default()
    }
}

fn in_range(name: &str, found: u64, least: u64, most: u64) -> Result<()> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(SqlError::invalid(format!(
        "the settings are not valid: `{name}` is {found}, expected {least} to {most}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_out_of_range_are_refused_with_their_names() {
        for (text, said) in [
            ("concurrent_queries = 0", "`concurrent_queries` is 0, expected 1 to 100000"),
            ("concurrent_queries = 9223372036854775807", "expected 1 to 100000"),
            ("[limits.reader]\nrun_seconds = 9223372036854775807", "`limits.reader.run_seconds` is"),
            ("[limits.reader]\nrun_seconds = 0", "expected 1 to 86400"),
            ("[limits.admin]\nconcurrent_queries = 0", "`limits.admin.concurrent_queries` is 0"),
            ("[limits.admin]\nresult_bytes = 0", "`limits.admin.result_bytes` is 0"),
            ("[rates]\nrefresh_seconds = 100000", "`rates.refresh_seconds` is 100000"),
        ] {
            let error = SqlSettings::from_toml(text).unwrap_err();
            assert!(error.message.contains(said), "{text}: {error}");
        }
        SqlSettings::from_toml("[limits.reader]\nrun_seconds = 600\n[rates]\nrefresh_seconds = 0").unwrap();
    }
}
