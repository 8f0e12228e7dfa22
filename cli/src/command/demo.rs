//! `cambist demo`: the main job on data that the binary carries.

use std::path::Path;
use std::process::ExitCode;

use cambist_jobs::error::{ErrorKind, JobError, Result};
use cambist_jobs::normalize::{RunReport, RunStatus};
use cambist_jobs::registry::options_from_toml;

use crate::arguments::DemoArguments;
use crate::{job, output};

/// Invented transactions with the usual dirt; one byte is not UTF-8, on purpose.
const TRANSACTIONS: &[u8] = include_bytes!("../../demo/transactions.csv");

/// Euro reference rates of a year. Source: European Central Bank.
const RATES: &[u8] = include_bytes!("../../demo/ecb_2025.csv");

/// A row whose figure the report offers to explain.
const EXPLAINED_ROW: &str = "transaction_id=T00001";

pub(super) async fn run(arguments: &DemoArguments) -> Result<ExitCode> {
    let folder = &arguments.dir;
    write(folder, "transactions.csv", TRANSACTIONS)?;
    write(folder, "rates/ecb_2025.csv", RATES)?;
    write(folder, "demo.toml", spec(folder).as_bytes())?;
    let options = options_from_toml("normalize", &spec(folder))?;
    let report = job::execute_here("normalize", options, arguments.json).await?;
    if !arguments.json {
        let read = serde_json::from_value(report.clone())
            .map_err(|error| JobError::data("the report is not readable").caused_by(error))?;
        output::line(&text(&read, folder))?;
    }
    output::json(&report)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a file of the demo; one that is there as it should be stays, so that a second run finds the
/// same inputs.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    if std::fs::read(&path).is_ok_and(|found| found == bytes) {
        return Ok(());
    }
    let written =
        path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, bytes));
    written.map_err(|error| {
        JobError::new(ErrorKind::Usage, format!("the demo cannot write `{}`", path.display()))
            .caused_by(error)
    })
}

fn spec(folder: &Path) -> String {
    let path = |name: &str| toml_text(&folder.join(name).display().to_string());
    format!(
        "[source]\nurl = {}\nformat = \"csv\"\ntime_zone = \"Europe/Berlin\"\n\n\
         [rates]\nurl = {}\n\n\
         [target]\ncurrencies = [\"EUR\", \"USD\", \"JPY\"]\n\n\
         [output]\nurl = {}\n\n\
         [quality]\nmax_quarantine_ratio = 0.05\n",
        path("transactions.csv"),
        path("rates"),
        path("processed_data")
    )
}

/// A TOML basic string.
fn toml_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn text(report: &RunReport, folder: &Path) -> String {
    let table = folder.join("processed_data");
    let table = table.display();
    let status = match report.status {
        RunStatus::Committed => format!("in {} s", report.seconds),
        RunStatus::AlreadyDone => "by an earlier run of the same inputs; this one wrote nothing".to_owned(),
    };
    let mut text = format!(
        "\n{} records, {} converted, {} quarantined, {status}\n\nrates: Source: European Central Bank, {} days\n\n",
        report.records_in, report.converted, report.quarantined, report.snapshots_used
    );
    for (code, total) in &report.totals {
        text.push_str(&format!("  total in {code}  {total:>16}\n"));
    }
    text.push_str("\nquarantined, nothing lost, by reason:\n");
    for (reason, count) in &report.quarantined_by_reason {
        text.push_str(&format!("  {count:>4}  {reason}\n"));
    }
    text.push_str(&format!(
        "\n{} files in {} partitions under {table}\n\nwhat to try next:\n  \
         cambist explain --output {table} --row {EXPLAINED_ROW}\n  \
         cambist verify --output {table}\n  \
         cambist table log --output {table}\n  \
         cambist normalize --spec {}\n",
        report.files,
        report.partitions,
        folder.join("demo.toml").display()
    ));
    text
}
