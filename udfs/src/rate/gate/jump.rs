//! A rate against the same provider's last ones.

use super::finding::Gate;
use super::ratio::Ratio;
use super::shape::Expectation;
use super::{GateContext, GateOptions, quote};
use crate::currency::CurrencyCode;
use crate::rate::snapshot::Snapshot;

/// Compares with the newest admitted rate of an earlier day, and with the version of the same day that would
/// be replaced: a correction that changes a published rate so much is worth a second look too.
pub(super) fn check(
    snapshot: &Snapshot,
    currency: CurrencyCode,
    rate: &Ratio,
    context: &GateContext<'_>,
    options: &GateOptions,
) -> Option<(Gate, String)> {
    let earlier = context.predecessors.iter().rev().copied().filter(|earlier| earlier.base == snapshot.base);
    let newest = earlier.into_iter().find_map(|earlier| Some((earlier, quote(earlier, currency)?)));
    let replaced = context.previous_version.filter(|version| version.base == snapshot.base);
    let replaced = replaced.and_then(|version| Some((version, quote(version, currency)?)));
    newest.into_iter().chain(replaced).find_map(|(reference, expected)| {
        let source = match reference.rate_date == snapshot.rate_date {
            true => format!("the version of {} it would replace", reference.rate_date),
            false => format!("{} of {}", reference.provider, reference.rate_date),
        };
        let gap_days = reference.rate_date.0.abs_diff(snapshot.rate_date.0);
        compare(rate, &Expectation { rate: expected, source }, gap_days, options)
    })
}

/// A gap of several days excuses a larger change, but not a reciprocal.
fn compare(
    rate: &Ratio,
    expectation: &Expectation,
    gap_days: u32,
    options: &GateOptions,
) -> Option<(Gate, String)> {
    let deviation = rate.per(&expectation.rate);
    if deviation.is_within(&options.jump_limit(1)) {
        return None;
    }
    let limit = options.jump_limit(gap_days);
    if deviation.is_within(&limit) && !expectation.is_inverted(rate) {
        return None;
    }
    Some(expectation.name(rate, &limit, Gate::Jump))
}
