//! `cambist rates export`.

use std::process::ExitCode;

use cambist_jobs::Stores;
use cambist_jobs::error::Result;
use cambist_jobs::rates::{ExportRequest, FileFormat, export};

use super::days;
use crate::arguments::{ExportFormat, RatesExportArguments};
use crate::{clock, output};

pub(super) async fn run(arguments: RatesExportArguments) -> Result<ExitCode> {
    let format = arguments.format.map(|format| match format {
        ExportFormat::Csv => FileFormat::Csv,
        ExportFormat::Parquet => FileFormat::Parquet,
        ExportFormat::Json => FileFormat::Ndjson,
    });
    let request = ExportRequest {
        to: arguments.to,
        format,
        replace: arguments.replace,
        provider: arguments.provider,
        days: days(arguments.days),
        known_as_of: arguments.known_as_of.unwrap_or_else(clock::now),
    };
    let report = export(&Stores::new(), &arguments.url, &request).await?;
    if !arguments.json {
        output::note(&format!("{} rates of {} snapshots in {}", report.rows, report.snapshots, report.to));
    }
    output::json(&report)?;
    Ok(ExitCode::SUCCESS)
}
