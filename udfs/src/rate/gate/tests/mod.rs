mod cross;
mod feed;
mod findings;
mod jump;
mod odd;
mod publication;
mod ratio;
mod times;

use super::*;
use crate::rate::SnapshotId;

fn code(text: &str) -> CurrencyCode {
    CurrencyCode::parse(text).unwrap()
}

/// Rates of one provider for a day: `snapshot("openexchangerates", "USD", 100, "GBP 0.64, INR 51.2")`.
fn snapshot(provider: &str, base: &str, day: i32, rates: &str) -> Snapshot {
    let mut rates: Vec<_> = rates
        .split(", ")
        .filter_map(|rate| rate.split_once(' '))
        .map(|(currency, rate)| (code(currency), rate.parse().unwrap()))
        .collect();
    rates.sort_by_key(|rate: &(CurrencyCode, _)| rate.0);
    Snapshot {
        id: SnapshotId([7; 32]),
        provider: provider.to_owned(),
        base: code(base),
        rate_date: RateDate(day),
        valid_at: None,
        known_at: InstantMicros(0),
        location: format!("{day}.json"),
        rates,
        expires: None,
        held: Vec::new(),
    }
}

fn dollars(day: i32, rates: &str) -> Snapshot {
    snapshot("openexchangerates", "USD", day, rates)
}

fn euros(day: i32, rates: &str) -> Snapshot {
    snapshot("ecb", "EUR", day, rates)
}

/// Received long after every day of these tests, with nothing to compare with.
const ALONE: GateContext<'static> = GateContext {
    predecessors: &[],
    cross: None,
    previous_version: None,
    received_at: InstantMicros(i64::MAX),
    named_date: None,
};

/// What is held, and why, in short: `RUB inversion, * coverage`.
fn held(snapshot: &Snapshot, context: &GateContext<'_>, options: &GateOptions) -> String {
    let findings = check(snapshot, context, options);
    let texts = findings.iter().map(|finding| match finding.currency {
        Some(currency) => format!("{currency} {}", finding.gate),
        None => format!("* {}", finding.gate),
    });
    texts.collect::<Vec<_>>().join(", ")
}
