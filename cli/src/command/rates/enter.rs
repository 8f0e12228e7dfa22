//! `cambist rates enter`.

use std::process::ExitCode;

use cambist_jobs::Stores;
use cambist_jobs::error::{JobError, Result};
use cambist_jobs::rates::{CurrencyCode, Decimal, EnterRequest, enter};

use super::parse_currency;
use crate::arguments::RatesEnterArguments;
use crate::{clock, output};

pub(super) async fn run(arguments: RatesEnterArguments) -> Result<ExitCode> {
    let request = EnterRequest {
        date: arguments.date,
        expires: arguments.expires,
        base: parse_currency("--base", &arguments.base)?,
        rates: arguments.rates.iter().map(|text| parse_rate(text)).collect::<Result<_>>()?,
        by: arguments.by,
        reason: arguments.reason,
        now: clock::now(),
    };
    let report = enter(&Stores::new(), &arguments.to, &request).await?;
    if !arguments.json {
        output::note(match report.is_new {
            true => "held until somebody else approves it: `cambist rates approve`",
            false => "the ledger holds the same already",
        });
    }
    output::json(&report)?;
    Ok(ExitCode::SUCCESS)
}

fn parse_rate(text: &str) -> Result<(CurrencyCode, Decimal)> {
    let refused = || JobError::usage(format!("--rate is `{text}`, expected CODE=RATE such as `VES=36.5`"));
    let (code, rate) = text.split_once('=').ok_or_else(refused)?;
    let rate = rate.trim().parse::<Decimal>().map_err(|error| refused().caused_by(error))?;
    Ok((parse_currency("--rate", code)?, rate))
}
