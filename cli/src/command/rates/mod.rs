//! `cambist rates …`: the ledger of exchange rates.

mod fetch;
mod gates;
mod import;
mod key;

use std::process::ExitCode;

use cambist_jobs::error::Result;

use crate::arguments::RatesCommand;

pub(super) async fn run(command: RatesCommand) -> Result<ExitCode> {
    match command {
        RatesCommand::Fetch(arguments) => fetch::run(*arguments).await,
        RatesCommand::Import(arguments) => import::run(arguments).await,
    }
}
