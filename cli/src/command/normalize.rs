//! `cambist normalize`.

use std::process::ExitCode;
use std::sync::Arc;

use cambist_jobs::context::{RunContext, Unobserved};
use cambist_jobs::error::{JobError, Result};
use cambist_jobs::normalize::{NormalizeConfig, NormalizeSpec, RunReport, RunStatus, normalize};
use cambist_jobs::{InProcess, RunProgress, Stores};

use crate::arguments::NormalizeArguments;
use crate::{clock, output, progress};

pub(super) async fn run(arguments: NormalizeArguments) -> Result<ExitCode> {
    let is_quiet = arguments.json;
    let config = NormalizeConfig::try_from(spec(arguments)?)?;
    let report = execute(&config, is_quiet).await?;
    if !is_quiet {
        output::note(&summary(&report));
    }
    output::json(&report)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the job with this process's clock, cores and stores.
pub(super) async fn execute(config: &NormalizeConfig, is_quiet: bool) -> Result<RunReport> {
    let now = clock::now();
    let context = RunContext {
        run_id: clock::run_id(now),
        attempt: 1,
        now,
        stores: Stores::new(),
        execution: Arc::new(InProcess { cores: clock::cores() }),
        progress: RunProgress::default(),
        observer: Arc::new(Unobserved),
    };
    progress::shown(context.progress.clone(), is_quiet, normalize(config, &context)).await
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

/// The report for a person.
pub(super) fn summary(report: &RunReport) -> String {
    let status = match report.status {
        RunStatus::Committed => "committed",
        RunStatus::AlreadyDone => "already done: the same inputs were committed before; nothing was written",
    };
    let mut text = format!(
        "{status}\n  records in    {}\n  converted     {}\n  quarantined   {}\n",
        report.records_in, report.converted, report.quarantined
    );
    for (reason, count) in &report.quarantined_by_reason {
        text.push_str(&format!("    {count:>8}  {reason}\n"));
    }
    if report.filtered > 0 {
        text.push_str(&format!("  filtered      {}\n", report.filtered));
    }
    for (code, total) in &report.totals {
        text.push_str(&format!("  total {code:<8}{total}\n"));
    }
    text.push_str(&format!(
        "  {} files in {} partitions, {} bytes, {} s, commit {} of batch `{}`",
        report.files, report.partitions, report.bytes, report.seconds, report.commit, report.batch
    ));
    for refused in report.snapshots_refused.iter().take(10) {
        text.push_str(&format!(
            "\n  snapshot not used: {}: {}: {}",
            refused.file, refused.reason, refused.detail
        ));
    }
    for damaged in &report.damaged_files {
        text.push_str(&format!(
            "\n  damaged file, its whole records were used: {}: {}",
            damaged.file, damaged.detail
        ));
    }
    if report.superseded_files > 0 && report.status == RunStatus::Committed {
        text.push_str(&format!(
            "\n  {} files of earlier runs of the batch were superseded and are kept in its history",
            report.superseded_files
        ));
    }
    text
}
