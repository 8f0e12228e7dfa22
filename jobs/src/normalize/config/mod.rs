//! Checked options: only these travel further in.

pub(crate) mod values;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use cambist_engine::location::Location;
use cambist_engine::rate_join::{EventTimeKind, check_time_format};
use cambist_engine::record::{ColumnRole, Format, RecordConfig};
use cambist_udfs::rate::{AsOfMode, BookOptions, InstantMicros};
use cambist_udfs::rounding::RoundingMode;
use serde::Serialize;

use self::values::{
    batch_name, byte, choice, encoding, fill_date, format, in_range, instant, out_of_range, parse_date,
    partition_column, required, scales, target_codes, types, zone,
};
use super::options::{NormalizeSpec, SourceSpec, SourceTableSpec};
use crate::error::{JobError, Result};

/// The age limit in date mode where none is given.
const DEFAULT_MAX_AGE_DAYS: u32 = 7;

/// A century: more is a typing error.
const MAX_AGE_DAYS_LIMIT: i64 = 36_500;

/// A larger share of quarantined records than this is not normal dirt.
const DEFAULT_MAX_QUARANTINE_RATIO: f64 = 0.01;

/// What a task of a cluster reads: some seconds of work, which is all that the loss of a machine costs.
const DEFAULT_TASK_BYTES: u64 = 128 << 20;

/// Below this a task costs more than it does.
const TASK_BYTES_MIN: u64 = 1 << 20;

/// A reader opens so many files of a day in one go; with more it pays for each.
const DEFAULT_FILES_PER_PARTITION: u64 = 16;

/// The expressions that a row's three roles come from.
#[derive(Clone, Debug, Serialize)]
pub struct RoleExpressions {
    /// The amount.
    pub amount: String,
    /// The currency.
    pub currency: String,
    /// The event time.
    pub event_time: String,
}

/// Where transactions come from and how they are read.
#[derive(Clone, Debug, Serialize)]
pub struct SourceConfig {
    /// File, folder or glob; what it names is digested object by object.
    #[serde(skip)]
    pub url: String,
    /// How its records are read.
    pub records: RecordConfig,
    /// The zone of times that name none.
    pub time_zone: Option<String>,
    /// The form of text times.
    pub time_format: Option<String>,
    /// What that form says of a time; ISO 8601 times say it one by one.
    #[serde(skip)]
    pub time_kind: Option<EventTimeKind>,
    /// The job's own SELECT.
    pub sql: Option<String>,
    /// Where amount, currency and event time come from.
    pub roles: RoleExpressions,
    /// Small tables by name.
    pub tables: BTreeMap<String, SmallTableConfig>,
}

/// A small table that the SQL may join.
#[derive(Clone, Debug, Serialize)]
pub struct SmallTableConfig {
    /// File, folder or glob; what it names is digested object by object.
    #[serde(skip)]
    pub url: String,
    /// How its records are read.
    pub records: RecordConfig,
}

/// The checked options of one run.
#[derive(Clone, Debug, Serialize)]
pub struct NormalizeConfig {
    /// The transactions.
    pub source: SourceConfig,
    /// Where the snapshots lie.
    #[serde(skip)]
    pub rates_url: String,
    /// How a row's snapshot is chosen.
    pub rates_mode: String,
    /// The zone in which an event's date is taken.
    pub rate_zone: String,
    /// The age limit in days.
    pub max_age_days: Option<u32>,
    /// Only snapshots known by then count; the run's start where none.
    #[serde(skip)]
    pub known_as_of: Option<InstantMicros>,
    /// The target currencies.
    pub currencies: Vec<String>,
    /// Decimals of targets without minor units, and overrides.
    pub scales: BTreeMap<String, u8>,
    /// How the one rounding is done.
    #[serde(serialize_with = "as_text")]
    pub rounding: RoundingMode,
    /// The table's folder.
    #[serde(skip)]
    pub output_url: String,
    /// The partition column.
    pub partition_by: String,
    /// Whether rows say where they came from.
    pub lineage: bool,
    /// Seconds for which superseded files stay in place.
    #[serde(skip)]
    pub retain_superseded_seconds: u64,
    /// The largest share of quarantined records.
    #[serde(skip)]
    pub max_quarantine_ratio: f64,
    /// Whether the SQL may return more rows than it read.
    #[serde(skip)]
    pub allow_fan_out: bool,
    /// What this run replaces when it is run again.
    #[serde(skip)]
    pub batch: String,
    /// The batch's date, where it is one.
    #[serde(skip)]
    pub date: Option<jiff::civil::Date>,
    /// Into how many tasks the source is cut.
    #[serde(skip)]
    pub parallelism: Option<usize>,
    /// Bytes that a task of a cluster reads.
    #[serde(skip)]
    pub task_bytes: u64,
    /// Files that a run may write into a partition before they are merged.
    #[serde(skip)]
    pub files_per_partition: usize,
    /// The options that these were checked from, with absolute places.
    #[serde(skip)]
    pub options: serde_json::Value,
}

fn as_text<S: serde::Serializer>(value: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl NormalizeConfig {
    /// Returns the as-of mode.
    pub fn mode(&self) -> AsOfMode {
        self.rates_mode.parse().unwrap_or(AsOfMode::Date)
    }

    /// Returns which snapshots may be used, of those known at an instant.
    pub fn book_options(&self, known_as_of: InstantMicros) -> BookOptions {
        BookOptions { mode: self.mode(), max_age_days: self.max_age_days, known_as_of }
    }
}

impl TryFrom<NormalizeSpec> for NormalizeConfig {
    type Error = JobError;

    fn try_from(spec: NormalizeSpec) -> Result<Self> {
        let options = absolute_options(&spec)?;
        let date = spec.run.date.as_deref().map(parse_date).transpose()?;
        let batch = batch_name(spec.run.batch, date)?;
        let source = source(spec.source, spec.quality.allow_damaged.unwrap_or(false), date)?;
        let mode: AsOfMode =
            choice("rates.mode", spec.rates.mode.as_deref().unwrap_or("date"), "date or instant")?;
        let max_age_days = match (spec.rates.max_age_days, mode) {
            (Some(days), _) => Some(in_range("rates.max_age_days", days, 0, MAX_AGE_DAYS_LIMIT)?),
            (None, AsOfMode::Date) => Some(DEFAULT_MAX_AGE_DAYS),
            (None, AsOfMode::Instant) => None,
        };
        let ratio = spec.quality.max_quarantine_ratio.unwrap_or(DEFAULT_MAX_QUARANTINE_RATIO);
        if !(0.0..=1.0).contains(&ratio) {
            return Err(out_of_range("quality.max_quarantine_ratio", &ratio.to_string(), "0 to 1"));
        }
        let parallelism = match spec.run.parallelism {
            Some(tasks) => {
                Some(in_range("run.parallelism", tasks.min(1 << 20).cast_signed(), 1, 1024)? as usize)
            }
            None => None,
        };
        Ok(Self {
            options,
            source,
            rates_url: required("rates.url", "--rates", spec.rates.url)?,
            rates_mode: mode.to_string(),
            rate_zone: zone("rates.rate_zone", spec.rates.rate_zone.unwrap_or_else(|| "UTC".to_owned()))?,
            max_age_days,
            known_as_of: spec
                .rates
                .known_as_of
                .as_deref()
                .map(|text| instant("rates.known_as_of", text))
                .transpose()?,
            currencies: target_codes(spec.target.currencies)?,
            scales: scales(&spec.target.scales)?,
            rounding: choice(
                "target.rounding",
                spec.target.rounding.as_deref().unwrap_or("half_even"),
                "half_even or half_up",
            )?,
            output_url: required("output.url", "--output", spec.output.url)?,
            partition_by: partition_column(spec.output.partition_by)?,
            lineage: spec.output.lineage.unwrap_or(false),
            retain_superseded_seconds: spec.output.retain_superseded_seconds.unwrap_or(0),
            max_quarantine_ratio: ratio,
            allow_fan_out: spec.quality.allow_fan_out.unwrap_or(false),
            batch,
            date,
            parallelism,
            task_bytes: task_bytes(spec.run.task_bytes)?,
            files_per_partition: in_range(
                "output.files_per_partition",
                spec.output
                    .files_per_partition
                    .unwrap_or(DEFAULT_FILES_PER_PARTITION)
                    .min(1 << 20)
                    .cast_signed(),
                1,
                10_000,
            )? as usize,
        })
    }
}

/// Another process, or this one another day, has another working folder.
fn absolute_options(spec: &NormalizeSpec) -> Result<serde_json::Value> {
    let mut options = spec.to_options()?;
    if let Some(folder) = Location::parse(".").ok().and_then(|here| here.local_path()) {
        crate::options::absolute_paths(&mut options, &folder);
    }
    Ok(options)
}

fn task_bytes(bytes: Option<u64>) -> Result<u64> {
    let bytes = bytes.unwrap_or(DEFAULT_TASK_BYTES);
    if bytes < TASK_BYTES_MIN {
        let expected = format!("{TASK_BYTES_MIN} (1 MiB) or more");
        return Err(out_of_range("run.task_bytes", &bytes.to_string(), &expected));
    }
    Ok(bytes)
}

fn source(spec: SourceSpec, allow_damaged: bool, date: Option<jiff::civil::Date>) -> Result<SourceConfig> {
    let url = fill_date(required("source.url", "--source", spec.url)?, date)?;
    let time_kind = spec
        .time_format
        .as_deref()
        .map(check_time_format)
        .transpose()
        .map_err(|error| JobError::usage(format!("source.time_format: {}", error.message())))?;
    let roles = RoleExpressions {
        amount: spec.amount.unwrap_or_else(|| "amount".to_owned()),
        currency: spec.currency.unwrap_or_else(|| "currency".to_owned()),
        event_time: spec.event_time.unwrap_or_else(|| "event_time".to_owned()),
    };
    let mut records = RecordConfig::new(format("source.format", spec.format.as_deref(), &url)?);
    encoding("source.encoding", &mut records, spec.encoding.as_deref())?;
    records.delimiter = byte("source.delimiter", spec.delimiter.as_deref(), records.delimiter)?;
    records.quote = byte("source.quote", spec.quote.as_deref(), records.quote)?;
    records.header = spec.header.unwrap_or(records.header);
    records.quoted_newlines = spec.quoted_newlines.unwrap_or(records.quoted_newlines);
    records.types = types("source.types", &spec.types)?;
    records.paths = paths(spec.paths, records.format, &roles);
    records.allow_damaged = allow_damaged;
    if let Some(bytes) = spec.max_record_bytes {
        records.max_record_bytes = usize::try_from(bytes)
            .map_err(|_| out_of_range("source.max_record_bytes", &bytes.to_string(), "1 to 67108864"))?;
    }
    if spec.sql.is_none() {
        let role = |name: &String, role| (name.clone(), role);
        records.roles = BTreeMap::from([
            role(&roles.amount, ColumnRole::Amount),
            role(&roles.currency, ColumnRole::Currency),
            role(&roles.event_time, ColumnRole::EventTime),
        ]);
    }
    records.validate().map_err(|error| JobError::usage(error.to_string()))?;
    let tables = spec.tables.into_iter().map(small_table).collect::<Result<_>>()?;
    Ok(SourceConfig {
        url,
        records,
        time_zone: spec.time_zone.map(|name| zone("source.time_zone", name)).transpose()?,
        time_format: spec.time_format,
        time_kind,
        sql: spec.sql,
        roles,
        tables,
    })
}

fn small_table((name, spec): (String, SourceTableSpec)) -> Result<(String, SmallTableConfig)> {
    if name == "source" {
        return Err(JobError::usage(
            "a table of `source.tables` is named `source`, which is the transactions' own name",
        ));
    }
    let key = |option: &str| format!("source.tables.{name}.{option}");
    let mut records = RecordConfig::new(format(&key("format"), spec.format.as_deref(), &spec.url)?);
    encoding(&key("encoding"), &mut records, spec.encoding.as_deref())?;
    records.delimiter = byte(&key("delimiter"), spec.delimiter.as_deref(), records.delimiter)?;
    records.types = types(&key("types"), &spec.types)?;
    if spec.url.is_empty() {
        return Err(JobError::usage(format!("source.tables.{name} has no url")));
    }
    Ok((name, SmallTableConfig { url: spec.url, records }))
}

/// A dotted role of a JSON source is a path into the record.
fn paths(mut paths: Vec<String>, format: Format, roles: &RoleExpressions) -> Vec<String> {
    if matches!(format, Format::Json | Format::Ndjson) {
        let is_path = |text: &&String| {
            text.contains('.')
                && text.split('.').all(|part| {
                    !part.is_empty()
                        && part.chars().all(|letter| letter.is_alphanumeric() || "_-@$".contains(letter))
                })
                && !text.starts_with(|first: char| first.is_ascii_digit())
        };
        paths
            .extend([&roles.amount, &roles.currency, &roles.event_time].into_iter().filter(is_path).cloned());
    }
    paths.sort();
    paths.dedup();
    paths
}
