//! `cambist sql`: one statement, or many, in this process or at a server.

pub(super) mod failure;
mod print;
mod prompt;
mod source;

use std::io::{IsTerminal, Read};
use std::process::ExitCode;

use cambist_jobs::error::{ErrorKind, JobError, Result};

use self::print::Printing;
use self::source::Source;
pub(super) use self::source::read;
use crate::arguments::SqlArguments;
use crate::job;

/// Longer texts are no statements.
const STDIN_BYTES_MAX: u64 = 16 << 20;

pub(super) async fn run(arguments: SqlArguments) -> Result<ExitCode> {
    let printing = Printing::of(&arguments)?;
    let statement = match &arguments.sql {
        Some(sql) => Some(sql.clone()),
        None if std::io::stdin().is_terminal() => None,
        None => Some(read_stdin()?),
    };
    let mut source = Source::open(&arguments).await?;
    let ended = match statement {
        Some(sql) => one(&printing, &mut source, &sql).await,
        None => prompt::run(&mut source, &printing).await.map(|()| ExitCode::SUCCESS),
    };
    source.close().await;
    ended
}

/// Answers one statement. A signal stops the work and takes away what was written of the result.
async fn one(printing: &Printing, source: &mut Source, statement: &str) -> Result<ExitCode> {
    let signalled = job::signalled()?;
    tokio::select! {
        ended = printing.answer(source, statement) => ended.map(|()| ExitCode::SUCCESS),
        signal = signalled => Ok(job::exit_code_of(signal)),
    }
}

fn read_stdin() -> Result<String> {
    let mut text = String::new();
    let read = std::io::stdin().take(STDIN_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| JobError::new(ErrorKind::Usage, "stdin is not a statement").caused_by(error))?;
    if text.len() as u64 > STDIN_BYTES_MAX {
        return Err(JobError::usage(format!("the statement has more than {STDIN_BYTES_MAX} bytes")));
    }
    Ok(text)
}
