//! `cambist rates …`: the ledger of exchange rates.

mod fetch;
mod kafka;
mod key;
mod sink;

use std::process::ExitCode;

use cambist_jobs::error::Result;

use crate::arguments::RatesCommand;

pub(super) async fn run(command: RatesCommand) -> Result<ExitCode> {
    match command {
        RatesCommand::Fetch(arguments) => fetch::run(*arguments).await,
        RatesCommand::Sink(arguments) => sink::run(*arguments).await,
    }
}
