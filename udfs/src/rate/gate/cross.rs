//! A snapshot against a second provider's, which may quote another base.
//!
//! Both snapshots are brought to one base by the price of one base in the other, the pivot. The second
//! provider's own figure for it is used unless more of the shared currencies agree on another: a single bad
//! figure must not put every other in the wrong.

use super::finding::{Finding, Gate};
use super::options::GateOptions;
use super::quote;
use super::ratio::Ratio;
use super::shape::Expectation;
use crate::currency::CurrencyCode;
use crate::rate::snapshot::Snapshot;

/// Without a quote of the base itself, fewer currencies than these cannot outvote a bad one.
const VOTE_COUNT_MIN: usize = 3;

/// What the second provider says, in the base of the snapshot.
#[derive(Debug)]
pub(super) struct CrossRates<'a> {
    cross: &'a Snapshot,
    /// Units of the second provider's base per one unit of the snapshot's.
    pivot: Ratio,
    limit: Ratio,
}

impl<'a> CrossRates<'a> {
    /// Prepares the comparison; nothing if the two snapshots are too far apart in time or share too little.
    pub(super) fn new(
        snapshot: &Snapshot,
        cross: &'a Snapshot,
        options: &GateOptions,
        findings: &mut Vec<Finding>,
    ) -> Option<Self> {
        if snapshot.rate_date.0.abs_diff(cross.rate_date.0) > options.cross_age_days_max {
            return None;
        }
        let limit = options.cross_limit();
        let votes = Votes::of(snapshot, cross);
        let stated = quote(cross, snapshot.base).map(|rate| rate.inverse());
        let Some(stated) = stated else {
            let pivot = votes.median().filter(|_| votes.0.len() >= VOTE_COUNT_MIN)?;
            return Some(Self { cross, pivot, limit });
        };
        let voted = votes.median().filter(|voted| votes.prefer(voted, &stated, &limit));
        let Some(pivot) = voted else {
            return Some(Self { cross, pivot: stated, limit });
        };
        let detail = format!(
            "{} of the {} shared currencies agree on {pivot} {} per {}, where {} of {} says {stated}; \
             the base of one of the two is another, its figure is wrong, or the rates are of another day",
            votes.supporters(&pivot, &limit),
            votes.0.len(),
            cross.base,
            snapshot.base,
            cross.provider,
            cross.rate_date
        );
        findings.push(Finding::of_snapshot(Gate::CrossBase, detail));
        Some(Self { cross, pivot, limit })
    }

    /// Decides about one rate; nothing if the second provider does not quote the currency.
    pub(super) fn judge(&self, currency: CurrencyCode, rate: &Ratio) -> Option<Option<(Gate, String)>> {
        let expected = quote(self.cross, currency)?.times(&self.pivot);
        if rate.per(&expected).is_within(&self.limit) {
            return Some(None);
        }
        let source = format!("{} of {}", self.cross.provider, self.cross.rate_date);
        let expectation = Expectation { rate: expected, source };
        Some(Some(expectation.name(rate, &self.limit, Gate::CrossCheck)))
    }
}

/// The pivot as each shared currency has it, ascending.
struct Votes(Vec<Ratio>);

impl Votes {
    fn of(snapshot: &Snapshot, cross: &Snapshot) -> Self {
        let listed = snapshot.rates.iter().map(|rate| rate.0).filter(|code| *code != snapshot.base);
        let mut votes: Vec<_> = listed
            .chain([snapshot.base])
            .filter_map(|code| Some(quote(snapshot, code)?.per(&quote(cross, code)?)))
            .collect();
        votes.sort_by(Ratio::compare);
        Self(votes)
    }

    fn median(&self) -> Option<Ratio> {
        self.0.get(self.0.len() / 2).cloned()
    }

    /// True if more currencies fit the first of two pivots that exclude each other.
    fn prefer(&self, voted: &Ratio, stated: &Ratio, limit: &Ratio) -> bool {
        !voted.per(stated).is_within(limit) && self.supporters(voted, limit) > self.supporters(stated, limit)
    }

    fn supporters(&self, pivot: &Ratio, limit: &Ratio) -> usize {
        self.0.iter().filter(|vote| vote.per(pivot).is_within(limit)).count()
    }
}
