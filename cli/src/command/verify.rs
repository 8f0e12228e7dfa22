//! `cambist verify`.

use std::process::ExitCode;

use cambist_jobs::Stores;
use cambist_jobs::error::{ErrorKind, Result};
use cambist_jobs::verify::verify;

use crate::arguments::VerifyArguments;
use crate::output;

pub(super) async fn run(arguments: &VerifyArguments) -> Result<ExitCode> {
    let report = verify(&Stores::new(), &arguments.output, arguments.sample).await?;
    if !arguments.json {
        output::note(&format!(
            "{}: {} rows in {} files, {} computed again, {} quarantined, {} problems",
            report.status,
            report.rows,
            report.files,
            report.rows_reperformed,
            report.quarantined,
            report.problem_count
        ));
        report.problems.iter().for_each(|problem| output::note(&format!("  {problem}")));
    }
    output::json(&report)?;
    let is_clean = report.problem_count == 0;
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::from(ErrorKind::Data.exit_code()) })
}
