//! `cambist rates …`: the ledger of exchange rates.

mod approve;
mod check;
mod diff;
mod enter;
mod export;
mod fetch;
mod gates;
mod import;
mod kafka;
mod key;
mod list;
mod show;
mod sink;

use std::process::ExitCode;

use cambist_jobs::Stores;
use cambist_jobs::error::{JobError, Result};
use cambist_jobs::rates::{CurrencyCode, Days};

use crate::arguments::{DayArguments, RatesCommand};
use crate::{clock, output};

pub(super) async fn run(command: RatesCommand) -> Result<ExitCode> {
    match command {
        RatesCommand::Fetch(arguments) => fetch::run(*arguments).await,
        RatesCommand::Import(arguments) => import::run(arguments).await,
        RatesCommand::List(arguments) => list::run(arguments).await,
        RatesCommand::Show(arguments) => show::run(arguments).await,
        RatesCommand::Diff(arguments) => diff::run(arguments).await,
        RatesCommand::Check(arguments) => check::run(arguments).await,
        RatesCommand::Approve(arguments) => approve::run(arguments).await,
        RatesCommand::Enter(arguments) => enter::run(arguments).await,
        RatesCommand::Export(arguments) => export::run(arguments).await,
        RatesCommand::Index { url, json } => index(&url, json).await,
        RatesCommand::Sink(arguments) => sink::run(*arguments).await,
    }
}

async fn index(url: &str, json: bool) -> Result<ExitCode> {
    let indexed = cambist_jobs::rates::index(&Stores::new(), url, clock::now()).await?;
    if !json {
        output::note(&format!("{} objects, {} of them new to the index", indexed.objects, indexed.new));
    }
    output::json(&indexed)?;
    Ok(ExitCode::SUCCESS)
}

fn parse_currency(option: &str, text: &str) -> Result<CurrencyCode> {
    CurrencyCode::parse(text).ok_or_else(|| {
        JobError::usage(format!("{option} is `{text}`, expected a currency code such as `EUR`"))
    })
}

fn days(arguments: DayArguments) -> Days {
    Days { from: arguments.from, until: arguments.until }
}
