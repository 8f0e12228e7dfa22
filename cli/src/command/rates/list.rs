//! `cambist rates list`.

use std::process::ExitCode;

use cambist_jobs::Stores;
use cambist_jobs::error::Result;
use cambist_jobs::rates::{ListLine, ListReport, ListRequest, list};

use super::{days, parse_currency};
use crate::arguments::RatesListArguments;
use crate::{clock, output};

pub(super) async fn run(arguments: RatesListArguments) -> Result<ExitCode> {
    let currency =
        arguments.currency.as_deref().map(|text| parse_currency("--currency", text)).transpose()?;
    let request = ListRequest {
        provider: arguments.provider,
        currency,
        days: days(arguments.days),
        known_as_of: arguments.known_as_of.unwrap_or_else(clock::now),
    };
    let report = list(&Stores::new(), &arguments.url, &request).await?;
    if arguments.json {
        report.lines.iter().try_for_each(output::json)?;
        output::json(&report)?;
    } else {
        report.lines.iter().try_for_each(|line| output::line(&row(line)))?;
        output::note(&in_words(&report));
    }
    Ok(ExitCode::SUCCESS)
}

/// One day, or one gap, in one line.
fn row(line: &ListLine) -> String {
    match line {
        ListLine::Gap { from, until, days } if from == until => format!("{from}  missing: {days} day"),
        ListLine::Gap { from, until, days } => format!("{from}  missing: {days} days, up to {until}"),
        ListLine::Day {
            rate_date,
            provider,
            versions,
            snapshot,
            known_at,
            currencies,
            held_rates,
            held_versions,
            rate,
        } => {
            let mut text = format!(
                "{rate_date}  {provider:<18}  {:<12}  known {:<27}  {versions:>3} versions  {currencies:>3} currencies",
                snapshot.as_deref().unwrap_or("none"),
                known_at.as_deref().unwrap_or("-"),
            );
            if let Some(rate) = rate {
                text.push_str(&format!("  {rate}"));
            }
            if *held_rates > 0 {
                text.push_str(&format!("  {held_rates} rates held"));
            }
            if *held_versions > 0 {
                text.push_str(&format!("  {held_versions} versions held"));
            }
            text
        }
    }
}

fn in_words(report: &ListReport) -> String {
    let providers: Vec<&str> = report.providers.iter().map(String::as_str).collect();
    format!(
        "{} days, {} missing in {} gaps; {} versions, {} of them held; {} rates held; providers: {}",
        report.days,
        report.days_missing,
        report.gaps,
        report.versions,
        report.held_versions,
        report.held_rates,
        if providers.is_empty() { "none".to_owned() } else { providers.join(", ") }
    )
}
