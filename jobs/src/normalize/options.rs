//! The options of `normalize` as a TOML file gives them; flags override single ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{JobError, Result};

/// A whole spec file. Unknown keys are refused.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct NormalizeSpec {
    /// Where the transactions come from.
    pub source: SourceSpec,
    /// Where the rates come from, and which one a row uses.
    pub rates: RatesSpec,
    /// What is converted into.
    pub target: TargetSpec,
    /// Where the table is written.
    pub output: OutputSpec,
    /// When a run is not good enough to be committed.
    pub quality: QualitySpec,
    /// Which batch this is, and how it runs.
    pub run: RunSpec,
    /// What `cambist ready` waits for.
    pub ready: ReadySpec,
}

/// `[source]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceSpec {
    /// File, folder or glob.
    pub url: Option<String>,
    /// `csv`, `ndjson`, `json` or `parquet`.
    pub format: Option<String>,
    /// `utf-8` or `latin1`.
    pub encoding: Option<String>,
    /// The CSV field delimiter.
    pub delimiter: Option<String>,
    /// The CSV quote.
    pub quote: Option<String>,
    /// Whether CSV files begin with a line of names.
    pub header: Option<bool>,
    /// Whether a quoted CSV field may hold line ends.
    pub quoted_newlines: Option<bool>,
    /// The zone of times that name none.
    pub time_zone: Option<String>,
    /// The `strptime` form of text times.
    pub time_format: Option<String>,
    /// The job's own SELECT over `source`.
    pub sql: Option<String>,
    /// Column, nested path or SQL expression.
    pub amount: Option<String>,
    /// Column, nested path or SQL expression.
    pub currency: Option<String>,
    /// Column, nested path or SQL expression.
    pub event_time: Option<String>,
    /// Types of columns, by name.
    pub types: BTreeMap<String, String>,
    /// Nested JSON fields that become columns of their path's name.
    pub paths: Vec<String>,
    /// Small tables that the SQL may join, by name.
    pub tables: BTreeMap<String, SourceTableSpec>,
    /// The size from which a record is quarantined unread.
    pub max_record_bytes: Option<u64>,
}

/// `[source.tables.NAME]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceTableSpec {
    /// File, folder or glob.
    pub url: String,
    /// As in `[source]`; `csv` where none is given.
    pub format: Option<String>,
    /// As in `[source]`.
    pub encoding: Option<String>,
    /// As in `[source]`.
    pub delimiter: Option<String>,
    /// As in `[source]`.
    pub types: BTreeMap<String, String>,
}

/// `[rates]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RatesSpec {
    /// File, folder or glob of snapshots.
    pub url: Option<String>,
    /// `date` or `instant`.
    pub mode: Option<String>,
    /// The zone in which an event's date is taken.
    pub rate_zone: Option<String>,
    /// The age in days above which a snapshot is too old.
    pub max_age_days: Option<i64>,
    /// Only snapshots known by then count.
    pub known_as_of: Option<String>,
}

/// `[target]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetSpec {
    /// Currency codes.
    pub currencies: Vec<String>,
    /// `half_even` or `half_up`.
    pub rounding: Option<String>,
    /// Decimals of targets that ISO 4217 gives none.
    pub scales: BTreeMap<String, i64>,
}

/// `[output]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutputSpec {
    /// The table's folder.
    pub url: Option<String>,
    /// The name of the partition column.
    pub partition_by: Option<String>,
    /// Whether rows say where they came from.
    pub lineage: Option<bool>,
    /// Seconds for which superseded files stay in place.
    pub retain_superseded_seconds: Option<u64>,
    /// Files that a run may write into a partition before they are merged.
    pub files_per_partition: Option<u64>,
}

/// `[quality]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct QualitySpec {
    /// The largest share of quarantined records.
    pub max_quarantine_ratio: Option<f64>,
    /// Whether the SQL may return more rows than it read.
    pub allow_fan_out: Option<bool>,
    /// Whether whole records of damaged files are committed.
    pub allow_damaged: Option<bool>,
}

/// `[run]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunSpec {
    /// The batch's name.
    pub batch: Option<String>,
    /// The batch's date.
    pub date: Option<String>,
    /// Into how many tasks the source is cut.
    pub parallelism: Option<u64>,
    /// Bytes that a task of a cluster reads.
    pub task_bytes: Option<u64>,
}

/// `[ready]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadySpec {
    /// Files, folders or globs that must be there.
    pub expect: Vec<String>,
    /// For how long none of them may have been written.
    pub quiet_seconds: Option<u64>,
    /// Currencies that the day's rates must hold.
    pub currencies: Vec<String>,
    /// How many days the rates may be older than the day.
    pub rates_age_days_max: Option<i64>,
}

impl NormalizeSpec {
    /// Reads a spec file's text.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Usage`] with the line, the key and the keys that are allowed.
    pub fn from_toml(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| {
            JobError::usage(format!("the spec is not valid: {}", error.to_string().trim_end()))
                .with_hint("`cambist jobs normalize` lists every key")
        })
    }

    /// Returns the options that are given, as JSON; [`crate::registry::prepare`] reads them again.
    ///
    /// # Errors
    /// Where a number has no JSON form.
    pub fn to_options(&self) -> Result<serde_json::Value> {
        crate::options::to_json(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_with_those_that_are_allowed() {
        let error = NormalizeSpec::from_toml("[source]\nurl = \"x\"\nfoo = 1\n").unwrap_err();
        assert!(error.to_string().contains("unknown field `foo`"), "{error}");
        assert!(error.to_string().contains("`time_zone`"), "{error}");
    }
}
