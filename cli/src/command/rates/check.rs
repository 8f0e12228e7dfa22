//! `cambist rates check`.

use std::process::ExitCode;

use cambist_jobs::Stores;
use cambist_jobs::error::{ErrorKind, Result};
use cambist_jobs::rates::{CheckLine, CheckReport, CheckRequest, Suspicion, check, parse_limits};

use super::days;
use crate::arguments::RatesCheckArguments;
use crate::{clock, output};

/// Lines that a person reads before he asks for all.
const LISTED_MAX: usize = 20;

pub(super) async fn run(arguments: RatesCheckArguments) -> Result<ExitCode> {
    let request = CheckRequest {
        options: parse_limits(&arguments.limits.limits)?,
        against: arguments.limits.against,
        days: days(arguments.days),
        now: clock::now(),
    };
    let report = check(&Stores::new(), &arguments.url, &request).await?;
    if arguments.json {
        report.lines.iter().try_for_each(output::json)?;
        output::json(&report)?;
    } else {
        let listed = if arguments.all { usize::MAX } else { LISTED_MAX };
        report.lines.iter().take(listed).try_for_each(|line| output::line(&row(line)))?;
        let left = report.lines.len().saturating_sub(listed);
        if left > 0 {
            output::note(&format!("and {left} more: --all lists them"));
        }
        output::note(&in_words(&report));
    }
    Ok(match report.is_clean() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(ErrorKind::Data.exit_code()),
    })
}

fn row(line: &CheckLine) -> String {
    match line {
        CheckLine::Finding(suspicion) => format!("found  {}", described(suspicion)),
        CheckLine::Hold(suspicion) => format!("held   {}", described(suspicion)),
        CheckLine::WithoutPayload { entry } => format!("the payload of the entry {entry} is missing"),
        CheckLine::Refused { object, reason, detail } => format!("refused  {object}: {reason}: {detail}"),
    }
}

fn described(suspicion: &Suspicion) -> String {
    format!(
        "{}  {}  {}  {:<5}  {}: {}",
        suspicion.rate_date.as_deref().unwrap_or("all days  "),
        suspicion.provider,
        suspicion.snapshot,
        suspicion.currency.as_deref().unwrap_or("all"),
        suspicion.gate,
        suspicion.detail
    )
}

fn in_words(report: &CheckReport) -> String {
    let counts = |counts: &std::collections::BTreeMap<String, u64>| {
        let texts: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
        texts.join(", ")
    };
    let mut lines = vec![format!("{} versions, {} rates judged", report.versions, report.rates)];
    if report.findings > 0 {
        lines.push(format!("findings: {} ({})", report.findings, counts(&report.findings_by_gate)));
        for (currency, gates) in &report.findings_by_currency {
            lines.push(format!("  {currency:<5}  {}", counts(gates)));
        }
    } else {
        lines.push("findings: none".to_owned());
    }
    if report.approved > 0 {
        lines.push(format!("approved before: {}", report.approved));
    }
    if report.open_holds > 0 {
        lines.push(format!(
            "held until approved: {} ({})",
            report.open_holds,
            counts(&report.open_holds_by_gate)
        ));
    }
    for (count, what) in [
        (report.entries_without_payload, "entries without a payload"),
        (report.refused, "objects that are no snapshots"),
    ] {
        if count > 0 {
            lines.push(format!("{what}: {count}"));
        }
    }
    lines.join("\n")
}
