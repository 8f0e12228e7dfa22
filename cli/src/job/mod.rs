//! How a command runs a job: here or on a cluster, the one path whatever the job and the command.

mod embedded;
mod follow;
mod interrupt;
mod remote;
mod restatement;
mod summary;

use std::process::ExitCode;

use cambist_jobs::error::{JobError, Result};
use cambist_jobs::registry::{absolute_paths, prepare};
use serde_json::Value;
use tokio::signal::unix::SignalKind;

pub(crate) use self::follow::{Followed, follow};
pub(crate) use self::interrupt::{CtrlC, listen, signalled};
pub(crate) use self::remote::connect;
pub(crate) use self::summary::of as summary_of;
use crate::arguments::PlaceArguments;
use crate::{environment, output};

/// How a command's run ended, as far as the command waited for it.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The job's report.
    Report(Value),
    /// The run goes on without us.
    Detached(Value),
    /// The run was cancelled because this process was told to stop.
    Cancelled {
        /// The run.
        id: String,
        /// The signal that told it.
        signal: SignalKind,
    },
}

/// Checks a job's options and runs it where `place` says.
///
/// # Errors
/// As the job says, wherever it ran; usage errors before anything runs.
pub(crate) async fn execute(
    job: &str,
    mut options: Value,
    place: &PlaceArguments,
    is_quiet: bool,
) -> Result<Outcome> {
    let cluster = place.cluster.as_deref().filter(|url| !url.is_empty());
    let Some(cluster) = cluster else {
        if place.detach {
            return Err(JobError::usage(format!(
                "--detach leaves a run to a cluster, and none is named: give --cluster or set {}",
                environment::CLUSTER
            )));
        }
        return Ok(Outcome::Report(execute_here(job, options, is_quiet).await?));
    };
    let folder = std::env::current_dir()
        .map_err(|error| JobError::usage("the working directory cannot be told").caused_by(error))?;
    absolute_paths(&mut options, &folder);
    let prepared = prepare(job, options)?;
    remote::run(cluster, prepared.as_ref(), place.detach, is_quiet).await
}

/// Checks a job's options and runs it in this process.
pub(crate) async fn execute_here(job: &str, options: Value, is_quiet: bool) -> Result<Value> {
    embedded::run(prepare(job, options)?.as_ref(), is_quiet).await
}

/// Returns what a shell tells of a process that this signal ended.
pub(crate) fn exit_code_of(signal: SignalKind) -> ExitCode {
    ExitCode::from(u8::try_from(signal.as_raw_value()).map_or(u8::MAX, |signal| signal.saturating_add(128)))
}

/// Prints what a run left behind, the job's report as the last line of stdout, and returns the exit code.
pub(crate) fn print(outcome: &Outcome, is_quiet: bool) -> Result<ExitCode> {
    match outcome {
        Outcome::Report(report) => {
            if !is_quiet {
                output::note(&summary_of(report));
            }
            output::json(report)?;
        }
        Outcome::Detached(run) => output::json(run)?,
        Outcome::Cancelled { id, signal } => {
            output::note(&format!("run {id} was cancelled; nothing of it is visible"));
            return Ok(exit_code_of(*signal));
        }
    }
    Ok(ExitCode::SUCCESS)
}
