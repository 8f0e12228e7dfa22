//! `cambist explain`.

use std::process::ExitCode;

use cambist_jobs::Stores;
use cambist_jobs::error::{JobError, Result};
use cambist_jobs::explain::explain;

use crate::arguments::ExplainArguments;
use crate::output;

pub(super) async fn run(arguments: &ExplainArguments) -> Result<ExitCode> {
    let Some((key, value)) = arguments.row.split_once('=') else {
        return Err(JobError::usage(format!("--row is `{}`, expected KEY=VALUE", arguments.row)));
    };
    for row in explain(&Stores::new(), &arguments.output, key.trim(), value).await? {
        if arguments.json {
            output::json(&row)?;
        } else {
            output::line(&row.to_text())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
