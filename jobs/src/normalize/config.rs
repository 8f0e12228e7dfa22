//! Checked options: only these travel further in.

use std::collections::BTreeMap;

use cambist_engine::rate_join::{EventTimeKind, check_time_format};
use cambist_engine::record::{ColumnRole, ColumnType, Encoding, Format, RecordConfig};
use cambist_udfs::rate::{AsOfMode, InstantMicros};
use cambist_udfs::rounding::RoundingMode;
use serde::Serialize;

use super::options::{NormalizeSpec, SourceSpec, SourceTableSpec};
use crate::error::{JobError, Result};

/// The age limit in date mode where none is given.
const DEFAULT_MAX_AGE_DAYS: u32 = 7;

/// A century: more is a typing error.
const MAX_AGE_DAYS_LIMIT: i64 = 36_500;

/// A larger share of quarantined records than this is not normal dirt.
const DEFAULT_MAX_QUARANTINE_RATIO: f64 = 0.01;

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
    /// Tasks at once.
    #[serde(skip)]
    pub parallelism: Option<usize>,
}

fn as_text<S: serde::Serializer>(value: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl NormalizeConfig {
    /// Returns the as-of mode.
    pub fn mode(&self) -> AsOfMode {
        self.rates_mode.parse().unwrap_or(AsOfMode::Date)
    }
}

impl TryFrom<NormalizeSpec> for NormalizeConfig {
    type Error = JobError;

    fn try_from(spec: NormalizeSpec) -> Result<Self> {
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
            source,
            rates_url: required("rates.url", "--rates", spec.rates.url)?,
            rates_mode: mode.to_string(),
            rate_zone: zone("rates.rate_zone", spec.rates.rate_zone.unwrap_or_else(|| "UTC".to_owned()))?,
            max_age_days,
            known_as_of: spec.rates.known_as_of.as_deref().map(parse_instant).transpose()?,
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
        })
    }
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
    let mut records = RecordConfig::new(format(spec.format.as_deref(), &url)?);
    encoding(&mut records, spec.encoding.as_deref())?;
    records.delimiter = byte("source.delimiter", spec.delimiter.as_deref(), records.delimiter)?;
    records.quote = byte("source.quote", spec.quote.as_deref(), records.quote)?;
    records.header = spec.header.unwrap_or(records.header);
    records.quoted_newlines = spec.quoted_newlines.unwrap_or(records.quoted_newlines);
    records.types = types(&spec.types)?;
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
    let mut records = RecordConfig::new(format(spec.format.as_deref(), &spec.url)?);
    encoding(&mut records, spec.encoding.as_deref())?;
    records.delimiter = byte("source.tables.*.delimiter", spec.delimiter.as_deref(), records.delimiter)?;
    records.types = types(&spec.types)?;
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

fn format(name: Option<&str>, url: &str) -> Result<Format> {
    if let Some(name) = name {
        return name.parse().map_err(|error| JobError::usage(format!("source.format: {error}")));
    }
    let stem = url.trim_end_matches(".gz").trim_end_matches(".zst").trim_end_matches(".zstd");
    match stem.rsplit('.').next() {
        Some("csv") => Ok(Format::Csv),
        Some("ndjson" | "jsonl") => Ok(Format::Ndjson),
        Some("parquet") => Ok(Format::Parquet),
        _ => Err(JobError::usage(format!(
            "the format of `{url}` is not told by its name; give source.format (--format): csv, ndjson, json or parquet"
        ))),
    }
}

fn encoding(records: &mut RecordConfig, name: Option<&str>) -> Result<()> {
    if let Some(name) = name {
        records.encoding =
            name.parse::<Encoding>().map_err(|error| JobError::usage(format!("source.encoding: {error}")))?;
    }
    Ok(())
}

fn types(types: &BTreeMap<String, String>) -> Result<BTreeMap<String, ColumnType>> {
    types
        .iter()
        .map(|(column, name)| {
            let column_type =
                name.parse().map_err(|error| JobError::usage(format!("source.types.{column}: {error}")))?;
            Ok((column.clone(), column_type))
        })
        .collect()
}

fn byte(key: &str, text: Option<&str>, default: u8) -> Result<u8> {
    match text {
        None => Ok(default),
        Some("\\t") => Ok(b'\t'),
        Some(text) => match text.as_bytes() {
            [one] => Ok(*one),
            _ => Err(JobError::usage(format!("{key} is `{text}`, expected one ASCII character or `\\t`"))),
        },
    }
}

fn batch_name(batch: Option<String>, date: Option<jiff::civil::Date>) -> Result<String> {
    let name = match (batch, date) {
        (Some(_), Some(_)) => {
            return Err(JobError::usage(
                "both a batch and a date are given; the date is the batch's name: give one",
            ));
        }
        (Some(name), None) => name,
        (None, Some(date)) => date.to_string(),
        (None, None) => "default".to_owned(),
    };
    let is_plain = |letter: char| letter.is_alphanumeric() || "-_.:=/".contains(letter);
    if name.is_empty() || name.len() > 200 || !name.chars().all(is_plain) {
        return Err(JobError::usage(format!(
            "batch `{name}` is not a name, expected 1 to 200 letters, digits or `-_.:=/`"
        )));
    }
    Ok(name)
}

/// Fills `{date}` and its parts, so that one spec serves every night.
fn fill_date(url: String, date: Option<jiff::civil::Date>) -> Result<String> {
    if !["{date}", "{yyyy}", "{mm}", "{dd}"].iter().any(|part| url.contains(part)) {
        return Ok(url);
    }
    let Some(date) = date else {
        return Err(JobError::usage(format!(
            "source.url `{url}` asks for a date; give run.date (--date YYYY-MM-DD)"
        )));
    };
    let filled = url
        .replace("{date}", &date.to_string())
        .replace("{yyyy}", &format!("{:04}", date.year()))
        .replace("{mm}", &format!("{:02}", date.month()))
        .replace("{dd}", &format!("{:02}", date.day()));
    Ok(filled)
}

fn partition_column(name: Option<String>) -> Result<String> {
    let name = name.unwrap_or_else(|| "dt".to_owned());
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    if name.is_empty()
        || !name.chars().all(is_plain)
        || name.starts_with(|first: char| !first.is_ascii_lowercase())
    {
        return Err(JobError::usage(format!(
            "output.partition_by is `{name}`, expected a lower-case name such as `dt`; its value is the event date"
        )));
    }
    Ok(name)
}

fn target_codes(codes: Vec<String>) -> Result<Vec<String>> {
    let codes: Vec<String> = codes.iter().map(|code| code.trim().to_ascii_uppercase()).collect();
    if codes.is_empty() {
        return Err(JobError::usage("no target currency: give target.currencies (--to INR,SGD)"));
    }
    if let Some(twice) = codes.iter().enumerate().find(|(index, code)| codes[..*index].contains(code)) {
        return Err(JobError::usage(format!("target currency `{}` is given twice", twice.1)));
    }
    Ok(codes)
}

fn scales(scales: &BTreeMap<String, i64>) -> Result<BTreeMap<String, u8>> {
    scales
        .iter()
        .map(|(code, scale)| {
            let scale: u32 = in_range(&format!("target.scales.{code}"), *scale, 0, 18)?;
            Ok((code.trim().to_ascii_uppercase(), scale as u8))
        })
        .collect()
}

fn choice<T: std::str::FromStr>(key: &str, text: &str, expected: &str) -> Result<T> {
    text.parse().map_err(|_| JobError::usage(format!("{key} is `{text}`, expected {expected}")))
}

fn in_range(key: &str, value: i64, least: i64, most: i64) -> Result<u32> {
    match u32::try_from(value) {
        Ok(number) if (least..=most).contains(&value) => Ok(number),
        _ => Err(out_of_range(key, &value.to_string(), &format!("{least} to {most}"))),
    }
}

fn out_of_range(key: &str, value: &str, expected: &str) -> JobError {
    JobError::usage(format!("{key} is {value}, expected {expected}"))
}

fn required(key: &str, flag: &str, value: Option<String>) -> Result<String> {
    value
        .filter(|text| !text.trim().is_empty())
        .ok_or_else(|| JobError::usage(format!("{key} is missing: give it in the spec or with {flag}")))
}

fn zone(key: &str, name: String) -> Result<String> {
    match jiff::tz::TimeZone::get(&name) {
        Ok(_) => Ok(name),
        Err(_) => Err(JobError::usage(format!(
            "{key} is `{name}`, expected an IANA time zone such as `Europe/London` or `UTC`"
        ))),
    }
}

fn parse_date(text: &str) -> Result<jiff::civil::Date> {
    text.parse()
        .map_err(|_| JobError::usage(format!("run.date is `{text}`, expected a date such as `2024-05-01`")))
}

fn parse_instant(text: &str) -> Result<InstantMicros> {
    let instant: jiff::Timestamp = text.parse().map_err(|_| {
        JobError::usage(format!(
            "rates.known_as_of is `{text}`, expected an instant such as `2024-05-01T06:00:00Z`"
        ))
    })?;
    Ok(InstantMicros(instant.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "[source]\nurl = \"in.csv\"\n[rates]\nurl = \"rates\"\n[target]\ncurrencies = [\"sgd\"]\n[output]\nurl = \"out\"\n";

    fn check(more: &str) -> Result<NormalizeConfig> {
        NormalizeConfig::try_from(NormalizeSpec::from_toml(&format!("{WHOLE}{more}"))?)
    }

    fn refused(more: &str) -> String {
        let error = check(more).unwrap_err();
        assert_eq!(error.kind, crate::error::ErrorKind::Usage);
        error.to_string()
    }

    #[test]
    fn defaults_are_those_of_the_reference_page() {
        let config = check("").unwrap();
        assert_eq!(config.currencies, ["SGD"]);
        assert_eq!((config.max_age_days, config.rate_zone.as_str()), (Some(7), "UTC"));
        assert_eq!((config.partition_by.as_str(), config.batch.as_str()), ("dt", "default"));
        assert_eq!(config.rounding, RoundingMode::HalfEven);
    }

    #[test]
    fn the_instant_mode_has_no_age_limit_of_its_own() {
        let config = check("").unwrap();
        assert_eq!(config.mode(), AsOfMode::Date);
        let spec =
            NormalizeSpec::from_toml(&WHOLE.replace("[rates]", "[rates]\nmode = \"instant\"")).unwrap();
        assert_eq!(NormalizeConfig::try_from(spec).unwrap().max_age_days, None);
    }

    #[test]
    fn options_out_of_range_say_what_is_allowed() {
        assert_eq!(
            refused("[quality]\nmax_quarantine_ratio = 1.5\n"),
            "quality.max_quarantine_ratio is 1.5, expected 0 to 1"
        );
        assert_eq!(refused("[run]\nparallelism = 0\n"), "run.parallelism is 0, expected 1 to 1024");
        assert_eq!(
            refused("[run]\ndate = \"2024-02-30\"\n"),
            "run.date is `2024-02-30`, expected a date such as `2024-05-01`"
        );
        assert!(refused("[run]\nbatch = \"a\"\ndate = \"2024-02-01\"\n").contains("give one"));
    }

    #[test]
    fn a_date_fills_the_source_and_names_the_batch() {
        let spec = WHOLE.replace("in.csv", "raw/{yyyy}/{mm}/{dd}/x-{date}.csv");
        let with_date = format!("{spec}[run]\ndate = \"2024-05-01\"\n");
        let config = NormalizeConfig::try_from(NormalizeSpec::from_toml(&with_date).unwrap()).unwrap();
        assert_eq!(config.source.url, "raw/2024/05/01/x-2024-05-01.csv");
        assert_eq!(config.batch, "2024-05-01");
        let without = NormalizeConfig::try_from(NormalizeSpec::from_toml(&spec).unwrap()).unwrap_err();
        assert!(without.to_string().contains("--date"), "{without}");
    }

    #[test]
    fn a_dotted_role_of_a_json_source_is_a_path() {
        let spec =
            WHOLE.replace("in.csv\"", "in.ndjson\"\namount = \"amount.value\"\ncurrency = \"upper(ccy)\"");
        let config = NormalizeConfig::try_from(NormalizeSpec::from_toml(&spec).unwrap()).unwrap();
        assert_eq!(config.source.records.paths, ["amount.value"]);
    }
}
