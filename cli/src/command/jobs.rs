//! `cambist jobs` and `cambist functions`.

use std::process::ExitCode;

use cambist_jobs::error::{JobError, Result};
use cambist_jobs::registry::{
    function_reference_page, functions as list_functions, job, jobs, reference_page,
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
        Some(name) => {
            let names: Vec<String> = jobs().into_iter().map(|job| job.name).collect();
            let unknown =
                || JobError::usage(format!("no job `{name}`, expected one of {}", names.join(", ")));
            vec![job(name).ok_or_else(unknown)?]
        }
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
