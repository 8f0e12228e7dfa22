//! `cambist rates approve`.

use std::process::ExitCode;

use cambist_jobs::Stores;
use cambist_jobs::error::Result;
use cambist_jobs::rates::{ApprovalRequest, approve};

use super::parse_currency;
use crate::arguments::RatesApproveArguments;
use crate::{clock, output};

pub(super) async fn run(arguments: RatesApproveArguments) -> Result<ExitCode> {
    let currencies = arguments.currency.iter().map(|text| parse_currency("--currency", text));
    let request = ApprovalRequest {
        provider: arguments.provider,
        sha256: arguments.version,
        rate_dates: arguments.date,
        currencies: currencies.collect::<Result<_>>()?,
        by: arguments.by,
        reason: arguments.reason,
        at: clock::now(),
    };
    let approvals = approve(&Stores::new(), &arguments.url, &request).await?;
    for (path, approval) in &approvals {
        if arguments.json {
            output::json(approval)?;
        } else {
            output::line(&format!("{path}  approves {}", approval.entry))?;
        }
    }
    if !arguments.json {
        output::note(&format!("{} payloads approved by {}", approvals.len(), request.by));
    }
    Ok(ExitCode::SUCCESS)
}
