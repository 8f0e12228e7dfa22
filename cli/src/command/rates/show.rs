//! `cambist rates show`.

use std::process::ExitCode;

use cambist_jobs::Stores;
use cambist_jobs::error::Result;
use cambist_jobs::rates::{ShowReport, ShowRequest, VersionView, payload, show};

use crate::arguments::RatesShowArguments;
use crate::{clock, output};

pub(super) async fn run(arguments: RatesShowArguments) -> Result<ExitCode> {
    let stores = Stores::new();
    let request = ShowRequest {
        date: arguments.date,
        provider: arguments.provider,
        version: arguments.version,
        known_as_of: arguments.known_as_of.unwrap_or_else(clock::now),
    };
    if arguments.raw {
        output::bytes(&payload(&stores, &arguments.url, &request).await?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = show(&stores, &arguments.url, &request).await?;
    if arguments.json {
        output::json(&report)?;
    } else {
        output::line(&described(&report))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn described(report: &ShowReport) -> String {
    let mut lines = vec![format!("{} as known at {}", report.rate_date, report.known_as_of)];
    for version in &report.versions {
        lines.push(String::new());
        lines.extend(described_version(version));
    }
    lines.join("\n")
}

fn described_version(version: &VersionView) -> Vec<String> {
    let standing = match (version.counts, version.is_known) {
        (true, _) => "counts",
        (false, false) => "known later",
        (false, true) => "does not count",
    };
    let mut fields = vec![
        ("version", format!("{}  {standing}", version.sha256)),
        ("provider", version.provider.clone()),
        ("known at", version.known_at.clone()),
        ("object", format!("{}  {} bytes", version.object, version.bytes)),
    ];
    let more = [
        ("entry", &version.entry),
        ("recorded", &version.recorded_at),
        ("origin", &version.origin),
        ("entered by", &version.entered_by),
        ("valid at", &version.valid_at),
        ("expires", &version.expires),
    ];
    fields.extend(more.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    fields.push(("rates", format!("{} per 1 {}", version.currencies, version.base)));
    for (name, list) in [("held", &version.held), ("found", &version.findings)] {
        fields.extend(list.iter().map(|held| {
            let what = held.currency.map_or_else(|| "all".to_owned(), |currency| currency.to_string());
            (name, format!("{what}: {}: {}", held.gate, held.detail))
        }));
    }
    fields.extend(version.approvals.iter().map(|approval| {
        let currencies: Vec<String> = approval.currencies.iter().map(ToString::to_string).collect();
        let what = if currencies.is_empty() { "all".to_owned() } else { currencies.join(", ") };
        ("approved", format!("{what} by {} at {}: {}", approval.by, approval.at, approval.reason))
    }));
    fields.into_iter().map(|(name, value)| format!("{name:<12}{value}")).collect()
}
