//! What goes where: data and one JSON summary to stdout, everything else to stderr.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use cambist_jobs::error::{ErrorKind, JobError, Result};
use serde::Serialize;
use tracing_subscriber::EnvFilter;

/// Sends logs to stderr, those of `log` too; `RUST_LOG` overrides the level. A server tells what it does
/// without being asked.
pub(crate) fn start_logging(verbose: u8, is_server: bool) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter(verbose, is_server)));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
}

/// More words are asked of us alone: what others tell beyond warnings and news has whole plans and statements in
/// it, with their constants.
fn filter(verbose: u8, is_server: bool) -> &'static str {
    match verbose.saturating_add(u8::from(is_server)) {
        0 => "warn",
        1 => "info",
        2 => "info,cambist=debug",
        _ => "info,cambist=trace",
    }
}

/// Writes one JSON object as a line of stdout.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value)
        .map_err(|error| JobError::data("the result is not JSON").caused_by(error))?;
    line(&text)
}

/// Writes a line to stdout. A reader that has gone is no failure of ours.
pub(crate) fn line(text: &str) -> Result<()> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(JobError::new(ErrorKind::Infrastructure, "stdout cannot be written").caused_by(error))
        }
        _ => Ok(()),
    }
}

/// Writes bytes to stdout as they are. A reader that has gone is no failure of ours.
pub(crate) fn bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(JobError::new(ErrorKind::Infrastructure, "stdout cannot be written").caused_by(error))
        }
        _ => Ok(()),
    }
}

/// Writes a line to stderr, for a person.
pub(crate) fn note(text: &str) {
    // There is nowhere left to say that stderr cannot be written.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes a question to stderr, for a person who answers on the same line.
pub(crate) fn prompt(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
}

/// Asks for a secret on the terminal, which does not show it.
pub(crate) fn ask_secret(text: &str) -> Result<String> {
    rpassword::prompt_password(text)
        .map_err(|error| JobError::usage("there is no terminal to ask for a password on").caused_by(error))
}

/// Prints an error with its causes and its hint, and returns its exit code.
pub(crate) fn report_error(error: &JobError) -> ExitCode {
    note(&format!("error: {error}"));
    let mut cause = error.source();
    while let Some(found) = cause {
        note(&format!("caused by: {found}"));
        cause = found.source();
    }
    if let Some(hint) = &error.hint {
        note(&format!("\nhint: {hint}"));
    }
    ExitCode::from(error.kind.exit_code())
}

/// The runtime could not be made.
pub(crate) fn fail_to_start(error: &io::Error) -> ExitCode {
    note(&format!("error: the runtime cannot be started\ncaused by: {error}"));
    ExitCode::from(ErrorKind::Infrastructure.exit_code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_words_are_asked_of_us_alone() {
        assert_eq!((filter(0, false), filter(0, true)), ("warn", "info"));
        for (verbose, is_server) in [(1, true), (2, false), (3, true), (u8::MAX, true)] {
            assert!(filter(verbose, is_server).starts_with("info,cambist="), "{verbose} {is_server}");
        }
    }
}
