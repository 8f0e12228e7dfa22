//! Whether a well-formed snapshot is plausible, before it is admitted.
//!
//! Providers publish rates that are inverted, off by a power of ten, or of another day, in perfect form.
//! Each gate compares a snapshot with what is known already and says what it would hold, with the figures;
//! whether it is held, and who may release it, is for the caller. Where a second provider quotes a currency,
//! that decides, and the day before does not count: neither is a good rate held because the rates before it
//! were bad, nor does a bad one pass because it was as bad yesterday.
//!
//! All comparisons are exact. Nothing here reads a clock or a file.

mod cross;
mod finding;
mod jump;
mod options;
mod publication;
mod ratio;
mod shape;
#[cfg(test)]
mod tests;
mod times;

pub use self::finding::{Finding, Gate};
pub use self::options::{GateOptions, GateOptionsError};

use self::cross::CrossRates;
use self::ratio::Ratio;
use super::snapshot::{InstantMicros, RateDate, Snapshot};
use crate::currency::CurrencyCode;
use crate::decimal::Decimal;

/// What a snapshot is judged against; each part may be absent, and the gates that need it are then silent.
///
/// None of these snapshots may list an entry that is held: it would be taken for a good one.
#[derive(Clone, Copy, Debug)]
pub struct GateContext<'a> {
    /// The admitted snapshots of the same provider and base for earlier days, by ascending `rate_date`, one
    /// for each day.
    ///
    /// The last is the predecessor. A currency that it does not have is looked up in those before it: the
    /// second bad rate of a run must not pass as a new currency because the first was held. So they should
    /// go back as far as a rate may stay held; one is enough for the other gates.
    pub predecessors: &'a [&'a Snapshot],
    /// A second provider's snapshot for the day, or its newest before; of any base.
    pub cross: Option<&'a Snapshot>,
    /// The admitted version of the same day that the snapshot would replace.
    pub previous_version: Option<&'a Snapshot>,
    /// When the payload was received.
    pub received_at: InstantMicros,
    /// The day in the file's name or in the request.
    pub named_date: Option<RateDate>,
}

/// Says what of a snapshot should be held.
///
/// First what is wrong with the whole snapshot, then at most one finding for each currency, in their order.
/// None means that the snapshot may be admitted as it is. A finding without a currency holds all of it.
///
/// ```
/// use cambist_udfs::rate::adapter::{Payload, read_payload};
/// use cambist_udfs::rate::gate::{Gate, GateContext, GateOptions, check};
/// use cambist_udfs::rate::InstantMicros;
///
/// let known_at = InstantMicros(1_400_000_000_000_000);
/// let read = |file_name, text: &str| {
///     let payload = Payload { bytes: text.as_bytes(), file_name, location: file_name, known_at };
///     read_payload(&payload).map(|admission| admission.snapshots)
/// };
/// let before = read("2011-11-13.json", r#"{"base": "USD", "timestamp": 1321142400, "rates": {"RUB": 30.6}}"#)?;
/// let today = read("2011-11-14.json", r#"{"base": "USD", "timestamp": 1321228800, "rates": {"RUB": 0.0326}}"#)?;
/// let context = GateContext {
///     predecessors: &[&before[0]],
///     cross: None,
///     previous_version: None,
///     received_at: known_at,
///     named_date: None,
/// };
/// let findings = check(&today[0], &context, &GateOptions::default());
/// assert_eq!(findings[0].gate, Gate::Inversion);
/// assert_eq!(
///     findings[0].to_string(),
///     "RUB: inversion: 0.0326 per USD is about the reciprocal of 30.6 (openexchangerates of 2011-11-13)"
/// );
/// # Ok::<(), cambist_udfs::rate::adapter::Refusal>(())
/// ```
pub fn check(snapshot: &Snapshot, context: &GateContext<'_>, options: &GateOptions) -> Vec<Finding> {
    let mut findings = Vec::new();
    times::check(snapshot, context, options, &mut findings);
    publication::check(snapshot, context, options, &mut findings);
    let cross = context.cross.and_then(|cross| CrossRates::new(snapshot, cross, options, &mut findings));
    for (currency, rate) in &snapshot.rates {
        findings.extend(check_rate(snapshot, *currency, *rate, cross.as_ref(), context, options));
    }
    findings
}

fn check_rate(
    snapshot: &Snapshot,
    currency: CurrencyCode,
    rate: Decimal,
    cross: Option<&CrossRates<'_>>,
    context: &GateContext<'_>,
    options: &GateOptions,
) -> Option<Finding> {
    if currency == snapshot.base {
        return None;
    }
    let Some(value) = Ratio::of(rate) else {
        let detail = format!("the rate is {rate}; expected a positive number");
        return Some(Finding::of_rate(Gate::NonPositive, currency, detail));
    };
    match cross.and_then(|cross| cross.judge(currency, &value)) {
        Some(verdict) => verdict,
        None => jump::check(snapshot, currency, &value, context, options),
    }
    .map(|(gate, comparison)| {
        Finding::of_rate(gate, currency, format!("{rate} per {} {comparison}", snapshot.base))
    })
}

/// The rate of a currency in a snapshot, 1 for its base; nothing if it has none, or none that is positive.
fn quote(snapshot: &Snapshot, currency: CurrencyCode) -> Option<Ratio> {
    if currency == snapshot.base {
        return Some(Ratio::one());
    }
    let position = snapshot.rates.binary_search_by_key(&currency, |rate| rate.0).ok()?;
    Ratio::of(snapshot.rates[position].1)
}
