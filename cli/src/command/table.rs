//! `cambist table log|files|ddl|compact|gc`.

use std::process::ExitCode;

use cambist_jobs::Stores;
use cambist_jobs::compact::{CompactOutputSpec, CompactSpec};
use cambist_jobs::error::Result;
use cambist_jobs::maintenance::{ddl, files, gc, log};

use crate::arguments::{CompactArguments, TableCommand};
use crate::{clock, job, output};

pub(super) async fn run(command: TableCommand) -> Result<ExitCode> {
    let stores = Stores::new();
    match command {
        TableCommand::Log { output, limit, json } => {
            for commit in log(&stores, &output, limit).await? {
                if json {
                    output::json(&commit)?;
                    continue;
                }
                output::line(&format!(
                    "{:>6}  {}  {:<10}  batch {:<16}  {} rows, {} quarantined, {} files added, {} superseded  {}",
                    commit.number,
                    commit.committed_at,
                    commit.kind,
                    commit.batch,
                    commit.rows,
                    commit.quarantined,
                    commit.files_added,
                    commit.files_removed,
                    commit.run_id
                ))?;
            }
        }
        TableCommand::Files { output, at, json } => {
            for file in files(&stores, &output, at).await? {
                if json {
                    output::json(&file)?;
                } else {
                    let place = file.location.as_deref().unwrap_or("collected");
                    output::line(&format!(
                        "{:<10}  {:>10} rows  {:>12} bytes  {place}",
                        file.table, file.rows, file.bytes
                    ))?;
                }
            }
        }
        TableCommand::Ddl { output, dialect, name, quarantine, first_day } => {
            output::line(ddl(&stores, &output, &dialect, &name, quarantine, &first_day).await?.trim_end())?;
        }
        TableCommand::Compact(arguments) => return compact(arguments).await,
        TableCommand::Gc { output, older_than, json } => {
            let report = gc(&stores, &output, older_than, clock::now()).await?;
            if !json {
                output::note(&format!(
                    "removed {} history files ({} bytes), {} staged files ({} bytes), aborted {} uploads",
                    report.history_files,
                    report.history_bytes,
                    report.staged_files,
                    report.staged_bytes,
                    report.uploads_aborted
                ));
            }
            output::json(&report)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn compact(arguments: CompactArguments) -> Result<ExitCode> {
    let output = CompactOutputSpec {
        url: Some(arguments.output),
        partition: arguments.partition,
        files_max: arguments.files_max,
        target_bytes: arguments.target_bytes,
    };
    let options = CompactSpec { output }.to_options()?;
    let outcome = job::execute("compact", options, &arguments.place, arguments.json).await?;
    job::print(&outcome, arguments.json)
}
