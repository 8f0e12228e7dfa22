//! `cambist jobs` and `cambist functions`.

use std::process::ExitCode;

use cambist_jobs::error::Result;
use cambist_jobs::registry::{
    function_reference_page, functions as list_functions, installed, jobs, reference_page,
};

use crate::arguments::{FunctionsArguments, JobsArguments};
use crate::output;

pub(super) fn run(arguments: &JobsArguments) -> Result<ExitCode> {
    if arguments.markdown {
        output::line(reference_page().trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = match &arguments.name {
        None => jobs(),
        Some(name) => vec![installed().describe(name)?],
    };
    for job in chosen {
        if arguments.json {
            output::json(&job)?;
            continue;
        }
        output::line(&format!("{:<12}{}", job.name, job.summary))?;
        if arguments.name.is_some() {
            for option in job.options {
                output::line(&format!(
                    "\n  {}  ({}; default: {})\n      {}\n      in SQL: {}",
                    option.key,
                    option.kind,
                    option.default,
                    option.doc,
                    option.argument_names().join(", ")
                ))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn functions(arguments: &FunctionsArguments) -> Result<ExitCode> {
    if arguments.markdown {
        output::line(function_reference_page().trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    for (signature, summary) in list_functions() {
        output::line(&format!("{signature}\n      {summary}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
