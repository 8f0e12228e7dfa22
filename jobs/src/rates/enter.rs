//! `rates enter`: rates that people enter, where no provider publishes them.

use std::collections::BTreeMap;

use cambist_engine::rates::ledger::{Appended, Channel, Held, LedgerWriter, Received, WriterOptions};
use cambist_engine::store::Stores;
use cambist_udfs::currency::CurrencyCode;
use cambist_udfs::decimal::Decimal;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::known::micros;
use super::of_ledger;
use crate::error::{JobError, Result};

/// What somebody enters.
#[derive(Clone, Debug)]
pub struct EnterRequest {
    /// The first day on which the rates may be used.
    pub date: Date,
    /// The last day.
    pub expires: Option<Date>,
    /// What they are rates of one unit of.
    pub base: CurrencyCode,
    /// Units of each currency per one unit of the base.
    pub rates: Vec<(CurrencyCode, Decimal)>,
    /// Who enters them.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The present instant.
    pub now: Timestamp,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EnterReport {
    /// Whether the ledger has not held the same already.
    pub is_new: bool,
    /// Where the rates lie, relative to the ledger's folder.
    pub object: String,
    /// Their entry, relative to the ledger's folder.
    pub entry: Option<String>,
    /// What holds them until somebody else approves them.
    pub held: Vec<Held>,
}

#[derive(Serialize)]
struct Document<'a> {
    entered_by: &'a str,
    reason: &'a str,
    base: CurrencyCode,
    date: Date,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Date>,
    rates: BTreeMap<CurrencyCode, Box<RawValue>>,
}

/// Enters rates into the ledger at `url`, where they are held until somebody else approves them.
///
/// # Errors
/// A usage error where something is missing or no rate; otherwise where the ledger cannot be written.
pub async fn enter(stores: &Stores, url: &str, request: &EnterRequest) -> Result<EnterReport> {
    let document = document(request)?;
    let origin = format!("entered by {}", request.by.trim());
    let received = Received {
        bytes: document.into(),
        file_name: format!("{}.json", request.date),
        known_at: micros(request.now),
        channel: Channel::Manual,
        origin,
        entered_by: Some(request.by.trim().to_owned()),
        metadata: BTreeMap::new(),
    };
    let failed = |error| of_ledger(&error);
    let mut writer = LedgerWriter::open(stores, url, WriterOptions::default()).await.map_err(failed)?;
    let appended = writer.append(received, request.now).await.map_err(failed)?;
    writer.finish(request.now).await.map_err(failed)?;
    Ok(match appended {
        Appended::Stored { object, entry, held, .. } => {
            EnterReport { is_new: true, object, entry: Some(entry), held }
        }
        Appended::Unchanged { object } => {
            EnterReport { is_new: false, object, entry: None, held: Vec::new() }
        }
    })
}

fn document(request: &EnterRequest) -> Result<Vec<u8>> {
    for (name, text) in [("--by", &request.by), ("--reason", &request.reason)] {
        if text.trim().is_empty() {
            return Err(JobError::usage(format!("{name} is empty, expected a text")));
        }
    }
    let mut rates = BTreeMap::new();
    for (currency, rate) in &request.rates {
        if rate.mantissa() <= 0 || *currency == request.base {
            return Err(JobError::usage(format!(
                "the rate of {currency} is {rate}, expected a positive rate of a currency other than {}",
                request.base
            )));
        }
        // As a number with all its digits, which no float has seen.
        let text = RawValue::from_string(rate.to_string());
        let text = text.map_err(|error| JobError::data("the rate is no JSON").caused_by(error))?;
        if rates.insert(*currency, text).is_some() {
            return Err(JobError::usage(format!("the rate of {currency} is given twice, expected one")));
        }
    }
    if let Some(expires) = request.expires.filter(|expires| *expires < request.date) {
        return Err(JobError::usage(format!(
            "the rates of {} expire on {expires}, expected that day or a later one",
            request.date
        )));
    }
    let document = Document {
        entered_by: request.by.trim(),
        reason: request.reason.trim(),
        base: request.base,
        date: request.date,
        expires: request.expires,
        rates,
    };
    let value = to_raw_value(&document);
    let value = value.map_err(|error| JobError::data("the rates are no JSON").caused_by(error))?;
    Ok(format!("{value}\n").into_bytes())
}
