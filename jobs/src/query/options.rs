//! The options of `query`.

use std::collections::BTreeMap;

use cambist_engine::record::{Format, RecordConfig};
use cambist_udfs::rate::{AsOfMode, InstantMicros};
use serde::{Deserialize, Serialize};

use super::encode::FileFormat;
use crate::error::{JobError, Result};
use crate::normalize::values;
use crate::registry::{JobDescription, OptionDescription, OptionType};

/// Results beyond this are no results but tables.
const MAX_BYTES_LIMIT: u64 = 512 << 20;

/// What a result may take in memory where no limit is given.
pub(crate) const MAX_BYTES: u64 = 256 << 20;

/// The age limit of rates in date mode where none is given, as in `normalize`.
const DEFAULT_MAX_AGE_DAYS: u32 = 7;
const MAX_AGE_DAYS_LIMIT: i64 = 36_500;

/// The format of a table that `normalize` writes.
const TABLE_FORMAT: &str = "cambist";

/// A whole spec file. Unknown keys are refused.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuerySpec {
    /// What is asked.
    pub query: QuerySection,
    /// What may be asked, by name.
    pub tables: BTreeMap<String, QueryTableSpec>,
    /// Where the rates come from.
    pub rates: QueryRatesSpec,
    /// Where the result goes.
    pub output: QueryOutputSpec,
    /// How it runs.
    pub run: QueryRunSpec,
}

/// `[query]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuerySection {
    /// One SELECT.
    pub sql: Option<String>,
}

/// `[tables.NAME]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueryTableSpec {
    /// A table's folder; file, folder or glob of raw files.
    pub url: String,
    /// `cambist`, `csv`, `ndjson`, `json` or `parquet`.
    pub format: Option<String>,
    /// `utf-8` or `latin1`.
    pub encoding: Option<String>,
    /// The CSV field delimiter.
    pub delimiter: Option<String>,
    /// Types of columns, by name.
    pub types: BTreeMap<String, String>,
}

/// `[rates]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueryRatesSpec {
    /// File, folder or glob of snapshots.
    pub url: Option<String>,
    /// `date` or `instant`.
    pub mode: Option<String>,
    /// The age in days above which a snapshot is too old.
    pub max_age_days: Option<i64>,
    /// Only snapshots known by then count.
    pub known_as_of: Option<String>,
}

/// `[output]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueryOutputSpec {
    /// The file.
    pub url: Option<String>,
    /// Bytes that the result may have.
    pub max_bytes: Option<u64>,
}

/// `[run]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueryRunSpec {
    /// Whether broken records are left out.
    pub allow_broken: Option<bool>,
}

/// Checked options.
#[derive(Clone, Debug)]
pub struct QueryConfig {
    /// One SELECT.
    pub sql: String,
    /// The tables, by name.
    pub tables: BTreeMap<String, TableConfig>,
    /// The rates, where the SQL may use some.
    pub rates: Option<RatesConfig>,
    /// The file.
    pub output_url: String,
    /// What it will be.
    pub output_format: FileFormat,
    /// Bytes that the result may have in memory.
    pub max_bytes: usize,
    /// Whether broken records are left out.
    pub allow_broken: bool,
}

/// A table.
#[derive(Clone, Debug)]
pub struct TableConfig {
    /// Where it lies.
    pub url: String,
    /// How its records are read; nothing for a table that `normalize` writes.
    pub records: Option<RecordConfig>,
}

/// The rates of the SQL's functions.
#[derive(Clone, Debug)]
pub struct RatesConfig {
    /// Where the snapshots lie.
    pub url: String,
    /// How a snapshot is chosen.
    pub mode: AsOfMode,
    /// The age limit in days.
    pub max_age_days: Option<u32>,
    /// Only snapshots known by then count; the run's start where none.
    pub known_as_of: Option<InstantMicros>,
}

impl TryFrom<QuerySpec> for QueryConfig {
    type Error = JobError;

    fn try_from(spec: QuerySpec) -> Result<Self> {
        let given = |key: &str, value: Option<String>| {
            value
                .filter(|text| !text.trim().is_empty())
                .ok_or_else(|| JobError::usage(format!("{key} is not given")))
        };
        let output_url = given("output.url", spec.output.url)?;
        let max_bytes = spec.output.max_bytes.unwrap_or(MAX_BYTES);
        if !(1..=MAX_BYTES_LIMIT).contains(&max_bytes) {
            let expected = format!("1 to {MAX_BYTES_LIMIT} (512 MiB)");
            return Err(values::out_of_range("output.max_bytes", &max_bytes.to_string(), &expected));
        }
        Ok(Self {
            sql: given("query.sql", spec.query.sql)?,
            tables: spec
                .tables
                .into_iter()
                .map(|(name, table)| TableConfig::of(&name, table).map(|config| (name, config)))
                .collect::<Result<_>>()?,
            rates: rates(spec.rates)?,
            output_format: FileFormat::of_name(&output_url)?,
            output_url,
            max_bytes: usize::try_from(max_bytes).unwrap_or(usize::MAX),
            allow_broken: spec.run.allow_broken.unwrap_or(false),
        })
    }
}

impl TableConfig {
    /// Checks the options of the table `name`.
    ///
    /// # Errors
    /// A usage error that names the option as `tables.NAME.OPTION`.
    pub fn of(name: &str, spec: QueryTableSpec) -> Result<Self> {
        let key = |option: &str| format!("tables.{name}.{option}");
        if spec.url.is_empty() {
            return Err(JobError::usage(format!("{} is not given", key("url"))));
        }
        if spec.format.as_deref() == Some(TABLE_FORMAT) {
            if spec.encoding.is_some() || spec.delimiter.is_some() || !spec.types.is_empty() {
                return Err(JobError::usage(format!(
                    "{} is `{TABLE_FORMAT}`, which has no encoding, delimiter or types of its own",
                    key("format")
                )));
            }
            return Ok(Self { url: spec.url, records: None });
        }
        let format = values::format(&key("format"), spec.format.as_deref(), &spec.url)
            .map_err(|error| error.with_hint("`cambist` is the format of a table that `normalize` writes"))?;
        let mut records = RecordConfig::new(format);
        if format == Format::Csv {
            records.delimiter =
                values::byte(&key("delimiter"), spec.delimiter.as_deref(), records.delimiter)?;
        }
        values::encoding(&key("encoding"), &mut records, spec.encoding.as_deref())?;
        records.types = values::types(&key("types"), &spec.types)?;
        records.validate().map_err(|error| JobError::usage(format!("tables.{name}: {error}")))?;
        Ok(Self { url: spec.url, records: Some(records) })
    }
}

/// Checks the options of rates.
pub(crate) fn rates(spec: QueryRatesSpec) -> Result<Option<RatesConfig>> {
    let Some(url) = spec.url else {
        let is_given = spec.mode.is_some() || spec.max_age_days.is_some() || spec.known_as_of.is_some();
        return if is_given { Err(JobError::usage("rates.url is not given")) } else { Ok(None) };
    };
    let mode = values::choice("rates.mode", spec.mode.as_deref().unwrap_or("date"), "date or instant")?;
    let max_age_days = match (spec.max_age_days, mode) {
        (Some(days), _) => Some(values::in_range("rates.max_age_days", days, 0, MAX_AGE_DAYS_LIMIT)?),
        (None, AsOfMode::Date) => Some(DEFAULT_MAX_AGE_DAYS),
        (None, AsOfMode::Instant) => None,
    };
    let instant = |text| values::instant("rates.known_as_of", text);
    let known_as_of = spec.known_as_of.as_deref().map(instant).transpose()?;
    Ok(Some(RatesConfig { url, mode, max_age_days, known_as_of }))
}

/// Returns the job's entry in the registry.
pub fn describe() -> JobDescription {
    JobDescription::new(
        "query",
        "Runs one SELECT over raw files and tables, with joins, groups and sorts, and writes its result as one file",
        OPTIONS.to_vec(),
    )
}

const OPTIONS: &[OptionDescription] = &[
    OptionDescription::new(
        "query.sql",
        OptionType::Text,
        "SELECT",
        "required",
        "The question; names are those of `tables`, as they are written",
    ),
    OptionDescription::new(
        "tables.NAME.url",
        OptionType::Place,
        "folder, file or glob",
        "required",
        "The table's folder, or raw files: a local path or `s3://`",
    ),
    OptionDescription::new(
        "tables.NAME.format",
        OptionType::Text,
        "cambist | csv | ndjson | json | parquet",
        "by file name",
        "`cambist` is a table that `normalize` writes: its live files, and its partition column as text",
    ),
    OptionDescription::new(
        "tables.NAME.encoding",
        OptionType::Text,
        "utf-8 | latin1",
        "utf-8",
        "The encoding of text files",
    ),
    OptionDescription::new(
        "tables.NAME.delimiter",
        OptionType::Text,
        "one byte",
        ",",
        "The CSV field delimiter; `\\t` for a tab",
    ),
    OptionDescription::new(
        "tables.NAME.types",
        OptionType::Map,
        "table of column = type",
        "CSV: text; JSON: what all values are; Parquet: its own",
        "`text`, `int64`, `decimal(p,s)`, `bool`, `date`, `timestamp` (local), `timestamptz` (an instant), `float64`",
    ),
    OptionDescription::new(
        "rates.url",
        OptionType::Place,
        "file, folder or glob",
        "none",
        "The rate snapshots of `fx_convert` and the other functions that need rates",
    ),
    OptionDescription::new(
        "rates.mode",
        OptionType::Text,
        "date | instant",
        "date",
        "Whether an event uses the rate of its date or of its instant",
    ),
    OptionDescription::new(
        "rates.max_age_days",
        OptionType::Integer,
        "days, 0 to 36500",
        "7 in date mode, none in instant mode",
        "The age above which a snapshot is too old",
    ),
    OptionDescription::new(
        "rates.known_as_of",
        OptionType::Instant,
        "instant",
        "the run's start",
        "Only snapshots that were known by then count",
    ),
    OptionDescription::new(
        "output.url",
        OptionType::Place,
        "file",
        "required",
        "The result: `.parquet`, `.csv` or `.ndjson`; created whole or not at all, never replaced",
    ),
    OptionDescription::new(
        "output.max_bytes",
        OptionType::Integer,
        "bytes, 1 to 536870912",
        "268435456 (256 MiB)",
        "The most that the result may take in memory; a larger one is refused",
    ),
    OptionDescription::new(
        "run.allow_broken",
        OptionType::Boolean,
        "boolean",
        "false",
        "Whether broken records of raw files are left out and counted, for which the files are read twice; otherwise one fails the query",
    ),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::ErrorKind;
    use crate::registry::prepare;

    fn refused(change: serde_json::Value) -> String {
        let mut options = json!({
            "query": {"sql": "SELECT 1"}, "tables": {"t": {"url": "a.csv"}}, "output": {"url": "out.csv"},
        });
        for (section, members) in change.as_object().unwrap() {
            for (key, value) in members.as_object().unwrap() {
                options[section][key] = value.clone();
            }
        }
        let error = prepare("query", options).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Usage);
        error.to_string()
    }

    #[test]
    fn every_key_is_described_and_every_description_is_a_key() {
        let mut spec = QuerySpec::default();
        spec.tables.insert("NAME".to_owned(), QueryTableSpec::default());
        let spec = serde_json::to_value(spec).unwrap();
        let mut keys = Vec::new();
        for (section, members) in spec.as_object().unwrap() {
            for (key, value) in members.as_object().unwrap() {
                match value.as_object().filter(|_| section == "tables") {
                    Some(inner) => keys.extend(inner.keys().map(|leaf| format!("{section}.{key}.{leaf}"))),
                    None => keys.push(format!("{section}.{key}")),
                }
            }
        }
        keys.sort();
        let mut described: Vec<String> = OPTIONS.iter().map(|option| option.key.to_string()).collect();
        described.sort();
        assert_eq!(keys, described);
    }

    #[test]
    fn options_that_make_no_sense_are_refused_with_what_is_expected() {
        for (change, expected) in [
            (json!({"query": {"sql": " "}}), "query.sql is not given"),
            (json!({"output": {"url": ""}}), "output.url is not given"),
            (
                json!({"output": {"url": "out.txt"}}),
                "output.url is `out.txt`, expected a name that ends in .parquet, .csv or .ndjson",
            ),
            (json!({"output": {"max_bytes": 0}}), "output.max_bytes is 0, expected 1 to 536870912 (512 MiB)"),
            (json!({"tables": {"u": {"url": ""}}}), "tables.u.url is not given"),
            (
                json!({"tables": {"u": {"url": "x", "format": "xls"}}}),
                "tables.u.format: invalid format `xls`",
            ),
            (
                json!({"tables": {"u": {"url": "x", "format": "cambist", "types": {"a": "int64"}}}}),
                "tables.u.format is `cambist`, which has no encoding, delimiter or types of its own",
            ),
            (
                json!({"tables": {"u": {"url": "x.csv", "types": {"a": "money"}}}}),
                "tables.u.types.a: unknown column type `money`",
            ),
            (json!({"rates": {"mode": "date"}}), "rates.url is not given"),
            (json!({"rates": {"url": "r", "mode": "day"}}), "rates.mode is `day`, expected date or instant"),
        ] {
            let found = refused(change.clone());
            assert!(found.starts_with(expected), "{change}: {found}");
        }
    }

    #[test]
    fn the_output_s_name_tells_its_format() {
        for (name, format) in [
            ("a.parquet", FileFormat::Parquet),
            ("s3://b/c.csv", FileFormat::Csv),
            ("x.ndjson", FileFormat::Ndjson),
        ] {
            assert_eq!(FileFormat::of_name(name).unwrap(), format);
        }
    }
}
