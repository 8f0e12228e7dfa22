//! A publication as a whole: its base, and which currencies it has.

use super::{Finding, Gate, GateContext, GateOptions, quote};
use crate::currency::CurrencyCode;
use crate::decimal::Decimal;
use crate::rate::snapshot::Snapshot;

/// How many missing currencies a finding names.
const NAMED_COUNT_MAX: usize = 10;

pub(super) fn check(
    snapshot: &Snapshot,
    context: &GateContext<'_>,
    options: &GateOptions,
    findings: &mut Vec<Finding>,
) {
    findings.extend(check_base(snapshot));
    let earlier = context.previous_version.or(context.predecessors.last().copied());
    findings.extend(earlier.and_then(|earlier| check_coverage(snapshot, earlier, options)));
    let missing = missing(snapshot, options.required.iter().copied());
    if !missing.is_empty() {
        let detail = format!("required currencies are missing: {}", listed(&missing));
        findings.push(Finding::of_snapshot(Gate::RequiredMissing, detail));
    }
}

/// Readers of payloads see to this already; a rate that was entered by hand did not pass them.
fn check_base(snapshot: &Snapshot) -> Option<Finding> {
    let base = snapshot.base;
    let (_, rate) =
        snapshot.rates.iter().find(|(currency, rate)| *currency == base && *rate != Decimal::ONE)?;
    Some(Finding::of_snapshot(Gate::BaseNotOne, format!("the base {base} has the rate {rate}; expected 1")))
}

fn check_coverage(snapshot: &Snapshot, earlier: &Snapshot, options: &GateOptions) -> Option<Finding> {
    let codes = || earlier.rates.iter().map(|rate| rate.0).filter(|code| *code != earlier.base);
    let (expected, missing) = (codes().count() + 1, missing(snapshot, codes().chain([earlier.base])));
    let present = expected - missing.len();
    if present * 1000 >= expected * usize::from(options.coverage_permille_min) {
        return None;
    }
    let detail = format!(
        "{present} of the {expected} currencies of {} of {} are there; at least {} of 1000 are expected; missing: {}",
        earlier.provider,
        earlier.rate_date,
        options.coverage_permille_min,
        listed(&missing)
    );
    Some(Finding::of_snapshot(Gate::Coverage, detail))
}

fn missing(snapshot: &Snapshot, codes: impl Iterator<Item = CurrencyCode>) -> Vec<CurrencyCode> {
    codes.filter(|code| quote(snapshot, *code).is_none()).collect()
}

fn listed(codes: &[CurrencyCode]) -> String {
    let named: Vec<_> = codes.iter().take(NAMED_COUNT_MAX).map(CurrencyCode::as_str).collect();
    match codes.len() - named.len() {
        0 => named.join(", "),
        others => format!("{} and {others} more", named.join(", ")),
    }
}
