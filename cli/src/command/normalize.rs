//! `cambist normalize`: the friendly form of `cambist run normalize`, with a flag for each option.

use std::process::ExitCode;

use cambist_jobs::error::{JobError, Result};
use cambist_jobs::normalize::NormalizeSpec;

use crate::arguments::NormalizeArguments;
use crate::job;

pub(super) async fn run(arguments: NormalizeArguments) -> Result<ExitCode> {
    let (place, is_quiet) = (arguments.place.clone(), arguments.json);
    let options = spec(arguments)?.to_options()?;
    let outcome = job::execute("normalize", options, &place, is_quiet).await?;
    job::print(&outcome, is_quiet)
}

/// Reads the spec file, and lets the flags override it.
fn spec(arguments: NormalizeArguments) -> Result<NormalizeSpec> {
    let mut spec = match &arguments.spec {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                JobError::usage(format!("the spec `{}` cannot be read", path.display())).caused_by(error)
            })?;
            NormalizeSpec::from_toml(&text).map_err(|error| error.in_file(path))?
        }
        None => NormalizeSpec::default(),
    };
    let source = &mut spec.source;
    for text in arguments.types.iter().flat_map(|types| split_types(types)) {
        let (column, column_type) = pair("--types", text, "COLUMN=TYPE")?;
        source.types.insert(column, column_type);
    }
    set(&mut source.url, arguments.source);
    set(&mut source.format, arguments.format);
    set(&mut source.encoding, arguments.encoding);
    set(&mut source.delimiter, arguments.delimiter);
    set(&mut source.sql, arguments.sql);
    set(&mut source.amount, arguments.amount);
    set(&mut source.currency, arguments.currency);
    set(&mut source.event_time, arguments.event_time);
    set(&mut source.time_zone, arguments.time_zone);
    set(&mut source.time_format, arguments.time_format);
    set(&mut source.max_record_bytes, arguments.max_record_bytes);
    set(&mut spec.rates.url, arguments.rates);
    set(&mut spec.rates.mode, arguments.rates_mode);
    set(&mut spec.rates.rate_zone, arguments.rate_zone);
    set(&mut spec.rates.max_age_days, arguments.max_age_days);
    set(&mut spec.rates.known_as_of, arguments.known_as_of);
    if !arguments.to.is_empty() {
        spec.target.currencies = arguments.to;
    }
    for text in &arguments.scale {
        let (code, decimals) = pair("--scale", text, "CODE=N")?;
        let decimals = decimals
            .parse()
            .map_err(|_| JobError::usage(format!("--scale is `{text}`, expected CODE=N such as `BTC=8`")))?;
        spec.target.scales.insert(code, decimals);
    }
    set(&mut spec.target.rounding, arguments.rounding);
    set(&mut spec.output.url, arguments.output);
    set(&mut spec.output.partition_by, arguments.partition_by);
    set(&mut spec.output.lineage, arguments.lineage.then_some(true));
    set(&mut spec.run.batch, arguments.batch);
    set(&mut spec.run.date, arguments.date);
    set(&mut spec.run.parallelism, arguments.parallelism);
    set(&mut spec.run.task_bytes, arguments.task_bytes);
    set(&mut spec.output.files_per_partition, arguments.files_per_partition);
    set(&mut spec.quality.max_quarantine_ratio, arguments.max_quarantine_ratio);
    set(&mut spec.quality.allow_damaged, arguments.allow_damaged.then_some(true));
    set(&mut spec.quality.allow_fan_out, arguments.allow_fan_out.then_some(true));
    Ok(spec)
}

fn set<T>(option: &mut Option<T>, flag: Option<T>) {
    if flag.is_some() {
        *option = flag;
    }
}

/// Splits at commas outside parentheses: a type may be `decimal(18,4)`.
fn split_types(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn pair(flag: &str, text: &str, form: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err(JobError::usage(format!("{flag} is `{text}`, expected {form}"))),
    }
}
