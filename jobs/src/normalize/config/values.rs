//! Single values: each is checked and, where it is refused, told with what is expected.

use std::collections::BTreeMap;

use cambist_engine::record::{ColumnType, Encoding, Format, RecordConfig};
use cambist_udfs::rate::InstantMicros;

use crate::error::{JobError, Result};

pub(crate) fn format(key: &str, name: Option<&str>, url: &str) -> Result<Format> {
    if let Some(name) = name {
        return name.parse().map_err(|error| JobError::usage(format!("{key}: {error}")));
    }
    let stem = url.trim_end_matches(".gz").trim_end_matches(".zst").trim_end_matches(".zstd");
    match stem.rsplit('.').next() {
        Some("csv") => Ok(Format::Csv),
        Some("ndjson" | "jsonl") => Ok(Format::Ndjson),
        Some("parquet") => Ok(Format::Parquet),
        _ => Err(JobError::usage(format!(
            "the format of `{url}` is not told by its name; give {key}: csv, ndjson, json or parquet"
        ))),
    }
}

pub(crate) fn encoding(key: &str, records: &mut RecordConfig, name: Option<&str>) -> Result<()> {
    if let Some(name) = name {
        records.encoding =
            name.parse::<Encoding>().map_err(|error| JobError::usage(format!("{key}: {error}")))?;
    }
    Ok(())
}

pub(crate) fn types(key: &str, types: &BTreeMap<String, String>) -> Result<BTreeMap<String, ColumnType>> {
    types
        .iter()
        .map(|(column, name)| {
            let column_type =
                name.parse().map_err(|error| JobError::usage(format!("{key}.{column}: {error}")))?;
            Ok((column.clone(), column_type))
        })
        .collect()
}

pub(crate) fn byte(key: &str, text: Option<&str>, default: u8) -> Result<u8> {
    match text {
        None => Ok(default),
        Some("\\t") => Ok(b'\t'),
        Some(text) => match text.as_bytes() {
            [one] => Ok(*one),
            _ => Err(JobError::usage(format!("{key} is `{text}`, expected one ASCII character or `\\t`"))),
        },
    }
}

pub(crate) fn batch_name(batch: Option<String>, date: Option<jiff::civil::Date>) -> Result<String> {
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
pub(crate) fn fill_date(url: String, date: Option<jiff::civil::Date>) -> Result<String> {
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

pub(crate) fn partition_column(name: Option<String>) -> Result<String> {
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

pub(crate) fn target_codes(codes: Vec<String>) -> Result<Vec<String>> {
    let codes: Vec<String> = codes.iter().map(|code| code.trim().to_ascii_uppercase()).collect();
    if codes.is_empty() {
        return Err(JobError::usage("no target currency: give target.currencies (--to INR,SGD)"));
    }
    if let Some(twice) = codes.iter().enumerate().find(|(index, code)| codes[..*index].contains(code)) {
        return Err(JobError::usage(format!("target currency `{}` is given twice", twice.1)));
    }
    Ok(codes)
}

pub(crate) fn scales(scales: &BTreeMap<String, i64>) -> Result<BTreeMap<String, u8>> {
    scales
        .iter()
        .map(|(code, scale)| {
            let scale: u32 = in_range(&format!("target.scales.{code}"), *scale, 0, 18)?;
            Ok((code.trim().to_ascii_uppercase(), scale as u8))
        })
        .collect()
}

pub(crate) fn choice<T: std::str::FromStr>(key: &str, text: &str, expected: &str) -> Result<T> {
    text.parse().map_err(|_| JobError::usage(format!("{key} is `{text}`, expected {expected}")))
}

pub(crate) fn in_range(key: &str, value: i64, least: i64, most: i64) -> Result<u32> {
    match u32::try_from(value) {
        Ok(number) if (least..=most).contains(&value) => Ok(number),
        _ => Err(out_of_range(key, &value.to_string(), &format!("{least} to {most}"))),
    }
}

pub(crate) fn out_of_range(key: &str, value: &str, expected: &str) -> JobError {
    JobError::usage(format!("{key} is {value}, expected {expected}"))
}

pub(crate) fn required(key: &str, flag: &str, value: Option<String>) -> Result<String> {
    value
        .filter(|text| !text.trim().is_empty())
        .ok_or_else(|| JobError::usage(format!("{key} is missing: give it in the spec or with {flag}")))
}

pub(crate) fn zone(key: &str, name: String) -> Result<String> {
    match jiff::tz::TimeZone::get(&name) {
        Ok(_) => Ok(name),
        Err(_) => Err(JobError::usage(format!(
            "{key} is `{name}`, expected an IANA time zone such as `Europe/London` or `UTC`"
        ))),
    }
}

pub(crate) fn parse_date(text: &str) -> Result<jiff::civil::Date> {
    text.parse()
        .map_err(|_| JobError::usage(format!("run.date is `{text}`, expected a date such as `2024-05-01`")))
}

pub(crate) fn instant(key: &str, text: &str) -> Result<InstantMicros> {
    let instant: jiff::Timestamp = text.parse().map_err(|_| {
        JobError::usage(format!("{key} is `{text}`, expected an instant such as `2024-05-01T06:00:00Z`"))
    })?;
    Ok(InstantMicros(instant.as_microsecond()))
}
