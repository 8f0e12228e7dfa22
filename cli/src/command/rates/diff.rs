//! `cambist rates diff`.

use std::process::ExitCode;

use cambist_jobs::Stores;
use cambist_jobs::error::{JobError, Result};
use cambist_jobs::rates::{Change, DiffLine, DiffRequest, DiffSides, diff};

use super::{days, parse_currency};
use crate::arguments::RatesDiffArguments;
use crate::{clock, output};

pub(super) async fn run(arguments: RatesDiffArguments) -> Result<ExitCode> {
    let sides = match (&arguments.known_as_of[..], arguments.old, arguments.new) {
        ([old, new], _, _) => DiffSides::Known(*old, *new),
        (_, Some(old), Some(new)) => DiffSides::Versions { old, new, now: clock::now() },
        _ => return Err(JobError::usage("two payloads, or --known-as-of with two instants, are expected")),
    };
    let currency =
        arguments.currency.as_deref().map(|text| parse_currency("--currency", text)).transpose()?;
    let request = DiffRequest { sides, provider: arguments.provider, currency, days: days(arguments.days) };
    let report = diff(&Stores::new(), &arguments.url, &request).await?;
    if arguments.json {
        report.lines.iter().try_for_each(output::json)?;
        output::json(&report)?;
    } else {
        report.lines.iter().try_for_each(|line| output::line(&row(line)))?;
        output::note(&format!(
            "{} rates changed, {} added, {} removed on {} days; {} unchanged",
            report.changed, report.added, report.removed, report.days, report.unchanged
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn row(line: &DiffLine) -> String {
    let of = format!("{}  {:<18}  {:<5}", line.rate_date, line.provider, line.currency);
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    match line.change {
        Change::Added => format!("{of}  added    {}", text(&line.new)),
        Change::Removed => format!("{of}  removed  {}", text(&line.old)),
        Change::Changed => format!(
            "{of}  changed  {} -> {}  by {}  ({} %)",
            text(&line.old),
            text(&line.new),
            text(&line.difference),
            text(&line.percent)
        ),
    }
}
