//! One module per command.

mod cluster;
mod demo;
mod executor;
mod explain;
mod jobs;
mod normalize;
mod rates;
mod ready;
mod restate;
mod run;
mod runs;
mod scheduler;
mod serve;
mod server;
mod sql;
mod table;
mod users;
mod verify;

use std::process::ExitCode;

use cambist_jobs::FAULT_POINTS;
use cambist_jobs::error::Result;

use crate::arguments::Command;
use crate::output;

/// Runs a command.
pub(crate) async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Demo(arguments) => demo::run(&arguments).await,
        Command::Normalize(arguments) => normalize::run(*arguments).await,
        Command::Rates { command } => rates::run(command).await,
        Command::Ready(arguments) => ready::run(&arguments).await,
        Command::Restate(arguments) => restate::run(arguments).await,
        Command::Run(arguments) => run::run(arguments).await,
        Command::Runs { command } => runs::run(command).await,
        Command::Cluster { command } => cluster::run(command).await,
        Command::Sql(arguments) => sql::run(*arguments).await,
        Command::Serve(arguments) => serve::run(*arguments).await,
        Command::Users(arguments) => users::run(arguments),
        Command::Scheduler(arguments) => scheduler::run(*arguments).await,
        Command::Executor(arguments) => executor::run(arguments).await,
        Command::Explain(arguments) => explain::run(&arguments).await,
        Command::Verify(arguments) => verify::run(&arguments).await,
        Command::Table(arguments) => table::run(arguments.command).await,
        Command::Jobs(arguments) => jobs::run(&arguments),
        Command::Functions(arguments) => jobs::functions(&arguments),
        Command::FaultPoints => {
            FAULT_POINTS.iter().try_for_each(|point| output::line(point))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
