//! The options of `normalize` as a TOML file gives them; flags override single ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{JobError, Result};
use crate::registry::{JobDescription, OptionDescription, OptionType};

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

/// Describes the job and its options, for `cambist jobs`, the reference page and every other caller.
pub fn describe() -> JobDescription {
    JobDescription::new(
        "normalize",
        "Converts raw transactions to the target currencies, exactly, into an atomic Parquet table",
        OPTIONS.to_vec(),
    )
}

const OPTIONS: &[OptionDescription] = &[
    OptionDescription::new(
        "source.url",
        OptionType::Place,
        "file, folder or glob",
        "required",
        "The transactions: a local path or `s3://`; `{date}`, `{yyyy}`, `{mm}`, `{dd}` stand for the date of `run.date`; names that begin with `_` or `.` are passed over",
    ),
    OptionDescription::new(
        "source.format",
        OptionType::Text,
        "csv | ndjson | json | parquet",
        "by file name",
        "`json` is objects one after another, with or without line ends; gzip and zstd are told by their first bytes",
    ),
    OptionDescription::new(
        "source.encoding",
        OptionType::Text,
        "utf-8 | latin1",
        "utf-8",
        "The encoding of text files",
    ),
    OptionDescription::new(
        "source.delimiter",
        OptionType::Text,
        "one byte",
        ",",
        "The CSV field delimiter; `\\t` for a tab",
    ),
    OptionDescription::new("source.quote", OptionType::Text, "one byte", "\"", "The CSV quote"),
    OptionDescription::new(
        "source.header",
        OptionType::Boolean,
        "boolean",
        "true",
        "Whether CSV files begin with a line of names; without one the columns are `column_1`, `column_2`, …",
    ),
    OptionDescription::new(
        "source.quoted_newlines",
        OptionType::Boolean,
        "boolean",
        "true",
        "Whether a quoted CSV field may hold line ends; `false` lets one large file be read by several tasks",
    ),
    OptionDescription::new(
        "source.time_zone",
        OptionType::Text,
        "IANA zone",
        "none",
        "The zone of event times that name none; required for such times",
    ),
    OptionDescription::new(
        "source.time_format",
        OptionType::Text,
        "strptime form",
        "ISO 8601",
        "The form of text event times, such as `%m/%d/%Y %H:%M`; a form without a time of day is a date already and is not moved",
    ),
    OptionDescription::new(
        "source.sql",
        OptionType::Text,
        "SELECT",
        "SELECT * FROM source",
        "Maps the columns of `source`, row by row; yields `amount`, `currency` and `event_time`",
    ),
    OptionDescription::new(
        "source.amount",
        OptionType::Text,
        "column, path or expression",
        "amount",
        "The amount: text, integer or decimal of at most 18 decimals, never floating point",
    ),
    OptionDescription::new(
        "source.currency",
        OptionType::Text,
        "column, path or expression",
        "currency",
        "The currency code",
    ),
    OptionDescription::new(
        "source.event_time",
        OptionType::Text,
        "column, path or expression",
        "event_time",
        "When the transaction happened: text, date or timestamp",
    ),
    OptionDescription::new(
        "source.types",
        OptionType::Map,
        "table of column = type",
        "CSV: text; JSON: what all values are; Parquet: its own",
        "`text`, `int64`, `decimal(p,s)`, `bool`, `date`, `timestamp` (local), `timestamptz` (an instant), `float64`",
    ),
    OptionDescription::new(
        "source.paths",
        OptionType::List,
        "list of paths",
        "none",
        "Nested JSON fields, such as `amount.value`, that become columns of that name (quote it in the SQL)",
    ),
    OptionDescription::new(
        "source.tables.NAME",
        OptionType::Map,
        "url, format, encoding, delimiter, types",
        "none",
        "A small table that the SQL may join; read whole into memory, at most 64 MiB",
    ),
    OptionDescription::new(
        "source.max_record_bytes",
        OptionType::Integer,
        "bytes",
        "1048576",
        "A record above this size is quarantined by its beginning",
    ),
    OptionDescription::new(
        "rates.url",
        OptionType::Place,
        "file, folder or glob",
        "required",
        "Rate snapshots of any known provider, told by their content",
    ),
    OptionDescription::new(
        "rates.mode",
        OptionType::Text,
        "date | instant",
        "date",
        "`date`: newest snapshot dated on or before the event's date; `instant`: newest that held at the event's instant",
    ),
    OptionDescription::new(
        "rates.rate_zone",
        OptionType::Text,
        "IANA zone",
        "UTC",
        "The zone in which an event's date is taken",
    ),
    OptionDescription::new(
        "rates.max_age_days",
        OptionType::Integer,
        "days, 0 to 36500",
        "7 (date), none (instant)",
        "An older snapshot is `RATE_STALE`",
    ),
    OptionDescription::new(
        "rates.known_as_of",
        OptionType::Instant,
        "ISO 8601 instant",
        "the run's start",
        "Only snapshots known by then count; of several versions of one day the latest known",
    ),
    OptionDescription::new(
        "target.currencies",
        OptionType::List,
        "list of codes",
        "required",
        "What to convert into; a row is quarantined where any of them fails",
    ),
    OptionDescription::new(
        "target.rounding",
        OptionType::Text,
        "half_even | half_up",
        "half_even",
        "How the one rounding is done",
    ),
    OptionDescription::new(
        "target.scales",
        OptionType::Map,
        "table of code = decimals, 0 to 18",
        "ISO 4217 minor units",
        "Required for a target without minor units, such as XAU or BTC",
    ),
    OptionDescription::new(
        "output.url",
        OptionType::Place,
        "folder",
        "required",
        "The table: a local path or `s3://`; its quarantine lies beside it under `<output>_quarantine`",
    ),
    OptionDescription::new(
        "output.partition_by",
        OptionType::Text,
        "column name",
        "dt",
        "The name of the partition column: the event date in the rate zone",
    ),
    OptionDescription::new(
        "output.lineage",
        OptionType::Boolean,
        "boolean",
        "false",
        "Adds `source_file` and `source_offset` (byte offset in the decompressed file, row number for Parquet)",
    ),
    OptionDescription::new(
        "output.retain_superseded_seconds",
        OptionType::Integer,
        "seconds",
        "0",
        "How long superseded files stay where running queries read them",
    ),
    OptionDescription::new(
        "output.files_per_partition",
        OptionType::Integer,
        "files, 1 to 10000",
        "16",
        "A run of more tasks merges what they wrote, wherever a partition has more files than this, before it commits",
    ),
    OptionDescription::new(
        "quality.max_quarantine_ratio",
        OptionType::Number,
        "ratio, 0 to 1",
        "0.01",
        "Above it nothing is committed, exit 12",
    ),
    OptionDescription::new(
        "quality.allow_fan_out",
        OptionType::Boolean,
        "boolean",
        "false",
        "Lets the SQL return more rows than it read",
    ),
    OptionDescription::new(
        "quality.allow_damaged",
        OptionType::Boolean,
        "boolean",
        "false",
        "Commits the whole records of files that are cut short or corrupt",
    ),
    OptionDescription::new(
        "run.batch",
        OptionType::Text,
        "name",
        "default",
        "What this run replaces when it is run again",
    ),
    OptionDescription::new(
        "run.date",
        OptionType::Date,
        "YYYY-MM-DD",
        "none",
        "The batch is this date; also fills `{date}` in `source.url`",
    ),
    OptionDescription::new(
        "run.parallelism",
        OptionType::Integer,
        "tasks, 1 to 1024",
        "the machine's cores; on a cluster by `run.task_bytes`",
        "Into how many tasks the source is cut; in one process they all run at once",
    ),
    OptionDescription::new(
        "run.task_bytes",
        OptionType::Integer,
        "bytes, 1 MiB or more",
        "134217728 (128 MiB)",
        "What a task of a cluster reads, as stored; a source that is worth it occupies every core",
    ),
    OptionDescription::new(
        "ready.expect",
        OptionType::Places,
        "list of files, folders or globs",
        "`source.url`",
        "What must be there before `cambist ready` says so; `{date}` and its parts as in `source.url`",
    ),
    OptionDescription::new(
        "ready.quiet_seconds",
        OptionType::Integer,
        "seconds",
        "0",
        "None of these files may have been written within this time",
    ),
    OptionDescription::new(
        "ready.currencies",
        OptionType::List,
        "list of codes",
        "`target.currencies`",
        "One snapshot of the day must hold all of them",
    ),
    OptionDescription::new(
        "ready.rates_age_days_max",
        OptionType::Integer,
        "days, 0 to 36500",
        "0",
        "How many days older than the day that snapshot may be: more than 0 for providers that skip weekends",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The keys that the reference page lists are those that a spec file may have, no more and no fewer.
    #[test]
    fn every_key_is_described_and_every_description_is_a_key() {
        let spec = serde_json::to_value(NormalizeSpec::default()).unwrap();
        let mut keys = BTreeSet::new();
        for (section, options) in spec.as_object().unwrap() {
            for key in options.as_object().unwrap().keys() {
                keys.insert(format!("{section}.{}", if key == "tables" { "tables.NAME" } else { key }));
            }
        }
        let described: BTreeSet<String> = OPTIONS.iter().map(|option| option.key.to_string()).collect();
        assert_eq!(keys, described);
    }

    #[test]
    fn an_unknown_key_is_refused_with_those_that_are_allowed() {
        let error = NormalizeSpec::from_toml("[source]\nurl = \"x\"\nfoo = 1\n").unwrap_err();
        assert!(error.to_string().contains("unknown field `foo`"), "{error}");
        assert!(error.to_string().contains("`time_zone`"), "{error}");
    }
}
