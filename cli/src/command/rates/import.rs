//! `cambist rates import`.

use std::process::ExitCode;
use std::time::Instant;

use cambist_ingest::import::{Import, ImportError, Summary};
use cambist_jobs::Stores;
use cambist_jobs::error::{JobError, Result};
use cambist_jobs::rates;
use serde::Serialize;

use super::gates;
use crate::arguments::RatesImportArguments;
use crate::progress::CountLine;
use crate::{clock, output};

/// What an import prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    command: &'static str,
    to: &'a str,
    #[serde(flatten)]
    summary: &'a Summary,
    seconds: f64,
}

pub(super) async fn run(arguments: RatesImportArguments) -> Result<ExitCode> {
    let started = Instant::now();
    let options = gates::writer_options(&arguments.gates)?;
    let line = CountLine::of_bytes(arguments.json);
    let import = Import {
        stores: &Stores::new(),
        paths: &arguments.paths,
        to: &arguments.to,
        options: &options,
        known_at: arguments.known_at,
        by: arguments.by.as_deref(),
        now: clock::now(),
        on_progress: &|done, total| line.show(done, total),
    };
    let imported = import.run().await;
    line.finish();
    let summary = imported.map_err(failed)?;
    if !arguments.json {
        output::note(&in_words(&summary));
    }
    let seconds = started.elapsed().as_secs_f64();
    output::json(&Report { command: "rates import", to: &arguments.to, summary: &summary, seconds })?;
    if summary.stored + summary.unchanged == 0 {
        return Err(JobError::data("nothing of it is a rate snapshot"));
    }
    Ok(ExitCode::SUCCESS)
}

fn failed(error: ImportError) -> JobError {
    match error {
        ImportError::Source { path, source } => rates::of_files(&source).in_file(std::path::Path::new(&path)),
        ImportError::Nothing { .. } => JobError::usage(error.to_string()),
        ImportError::Store(source) => rates::of_store(&source),
        ImportError::Ledger { source, .. } => rates::of_ledger(&source)
            .with_hint("what was stored stays; the same command again goes on from there"),
        other => JobError::data("the import failed").caused_by(other),
    }
}

fn in_words(summary: &Summary) -> String {
    let mut lines: Vec<String> = summary
        .refused_payloads
        .iter()
        .map(|refused| format!("refused: {}: {}: {}", refused.origin, refused.reason, refused.detail))
        .collect();
    let refused: u64 = summary.refused.values().sum();
    let listed = summary.refused_payloads.len() as u64;
    if refused > listed {
        lines.push(format!("refused: and {} more", refused - listed));
    }
    let mut text = format!(
        "{} payloads: {} stored, {} there already, {refused} refused",
        summary.payloads, summary.stored, summary.unchanged
    );
    if summary.deletions_ignored > 0 {
        text.push_str(&format!("; {} deletions ignored", summary.deletions_ignored));
    }
    if summary.held_snapshots + summary.held_rates > 0 {
        text.push_str(&format!(
            "; held until they are approved: {} snapshots, {} single rates",
            summary.held_snapshots, summary.held_rates
        ));
    }
    let findings: u64 = summary.findings_by_gate.values().sum();
    if findings > 0 {
        text.push_str(&format!("; {findings} findings of the gates, used all the same"));
    }
    lines.push(text);
    lines.join("\n")
}
