//! `cambist ready`.

use std::process::ExitCode;

use cambist_jobs::Stores;
use cambist_jobs::error::{JobError, Result};
use cambist_jobs::normalize::NormalizeSpec;
use cambist_jobs::ready::ready;

use crate::arguments::ReadyArguments;
use crate::{clock, output};

pub(super) async fn run(arguments: &ReadyArguments) -> Result<ExitCode> {
    let path = &arguments.spec;
    let text = std::fs::read_to_string(path).map_err(|error| {
        JobError::usage(format!("the spec `{}` cannot be read", path.display())).caused_by(error)
    })?;
    let spec = NormalizeSpec::from_toml(&text).map_err(|error| error.in_file(path))?;
    let report = ready(&Stores::new(), &spec, &arguments.date, clock::now()).await?;
    if !arguments.json {
        let state = if report.ready { "ready" } else { "not ready" };
        output::note(&format!("{} is {state}", report.date));
        for one in &report.missing {
            output::note(&format!("  missing: `{}`: {}", one.place, one.detail));
        }
    }
    output::json(&report)?;
    Ok(ExitCode::from(report.exit_code()))
}
