//! `rates list`: the days that a ledger has, and those that it has not.

use std::collections::{BTreeMap, BTreeSet};

use cambist_engine::store::Stores;
use cambist_udfs::currency::CurrencyCode;
use cambist_udfs::rate::{RateDate, Snapshot};
use jiff::Timestamp;
use serde::Serialize;

use super::Days;
use super::known::{counting, micros, read};
use crate::error::Result;

/// What is listed.
#[derive(Clone, Debug)]
pub struct ListRequest {
    /// Only what this provider published.
    pub provider: Option<String>,
    /// What it says of this currency.
    pub currency: Option<CurrencyCode>,
    /// Only these days.
    pub days: Days,
    /// As it was known then.
    pub known_as_of: Timestamp,
}

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ListLine {
    /// What a provider has published for a day.
    Day {
        /// The day.
        rate_date: String,
        /// Who published it.
        provider: String,
        /// Versions that were known.
        versions: u64,
        /// The first 12 hex digits of the one that counts; none where all are held.
        snapshot: Option<String>,
        /// When that became known.
        known_at: Option<String>,
        /// Currencies that it gives, without its base.
        currencies: u64,
        /// Rates that are held back of it.
        held_rates: u64,
        /// Versions that are held back as a whole.
        held_versions: u64,
        /// The rate of the currency that was asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        rate: Option<String>,
    },
    /// Days of the calendar without a snapshot, or without the currency that was asked for.
    Gap {
        /// The first.
        from: String,
        /// The last.
        until: String,
        /// How many.
        days: u64,
    },
}

/// The list, and what it comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ListReport {
    /// The lines, by day; gaps come after the day before them.
    #[serde(skip)]
    pub lines: Vec<ListLine>,
    /// Days with a snapshot, or with the currency that was asked for.
    pub days: u64,
    /// Calendar days between the first and the last without one.
    pub days_missing: u64,
    /// Runs of such days.
    pub gaps: u64,
    /// Versions that were known.
    pub versions: u64,
    /// Of these, held back as a whole.
    pub held_versions: u64,
    /// Single rates that are held back of those that count.
    pub held_rates: u64,
    /// Who published.
    pub providers: BTreeSet<String>,
}

#[derive(Default)]
struct Day {
    versions: u64,
    held_versions: u64,
    counts: Option<Snapshot>,
}

/// Lists the days of the ledger at `url`.
///
/// # Errors
/// Where nothing lies there, or it cannot be read.
pub async fn list(stores: &Stores, url: &str, request: &ListRequest) -> Result<ListReport> {
    let ledger = read(stores, url).await?;
    let as_of = micros(request.known_as_of);
    let versions = ledger.versions();
    let is_asked = |snapshot: &Snapshot| {
        request.days.has(snapshot.rate_date)
            && request.provider.as_ref().is_none_or(|provider| *provider == snapshot.provider)
    };
    let mut days: BTreeMap<(RateDate, String), Day> = BTreeMap::new();
    for version in versions.iter().filter(|version| version.known_at <= as_of) {
        for snapshot in version.snapshots.iter().filter(|snapshot| is_asked(snapshot)) {
            let day = days.entry((snapshot.rate_date, snapshot.provider.clone())).or_default();
            day.versions += 1;
            let held = version.held(snapshot, as_of);
            day.held_versions += u64::from(held.iter().any(|held| held.currency.is_none()));
        }
    }
    for snapshot in counting(&versions, as_of)?.into_iter().filter(is_asked) {
        if let Some(day) = days.get_mut(&(snapshot.rate_date, snapshot.provider.clone())) {
            day.counts = Some(snapshot);
        }
    }
    Ok(report(days, request))
}

fn report(days: BTreeMap<(RateDate, String), Day>, request: &ListRequest) -> ListReport {
    let mut report = ListReport::default();
    let (from, until) = request.days.bounds();
    let mut covered = from.map(|from| RateDate(from.0 - 1));
    let mut last_day = None;
    for ((rate_date, provider), day) in days {
        let rate = request.currency.and_then(|currency| rate_of(day.counts.as_ref()?, currency));
        let is_there = day.counts.is_some() && (request.currency.is_none() || rate.is_some());
        if is_there {
            report.gap(covered, rate_date);
            report.days += u64::from(last_day != Some(rate_date));
            (covered, last_day) = (Some(rate_date), Some(rate_date));
        }
        let held_rates = day.counts.as_ref().map_or(0, |snapshot| snapshot.held.len() as u64);
        report.versions += day.versions;
        report.held_versions += day.held_versions;
        report.held_rates += held_rates;
        report.providers.insert(provider.clone());
        report.lines.push(ListLine::Day {
            rate_date: rate_date.to_string(),
            provider,
            versions: day.versions,
            snapshot: day.counts.as_ref().map(|snapshot| snapshot.id.short()),
            known_at: day.counts.as_ref().map(|snapshot| snapshot.known_at.to_string()),
            currencies: day.counts.as_ref().map_or(0, |snapshot| snapshot.rates.len() as u64),
            held_rates,
            held_versions: day.held_versions,
            rate,
        });
    }
    if let Some(until) = until {
        report.gap(covered.or(from), RateDate(until.0 + 1));
    }
    report
}

/// The rate as it was published; 1 for the base.
fn rate_of(snapshot: &Snapshot, currency: CurrencyCode) -> Option<String> {
    if currency == snapshot.base {
        return Some("1".to_owned());
    }
    let position = snapshot.rates.binary_search_by_key(&currency, |rate| rate.0).ok()?;
    Some(snapshot.rates[position].1.to_string())
}

impl ListReport {
    /// Notes the days that are missing between two.
    fn gap(&mut self, covered: Option<RateDate>, next: RateDate) {
        let Some(covered) = covered else { return };
        let days = i64::from(next.0) - i64::from(covered.0) - 1;
        let Some(days) = u64::try_from(days).ok().filter(|days| *days > 0) else { return };
        self.gaps += 1;
        self.days_missing += days;
        self.lines.push(ListLine::Gap {
            from: RateDate(covered.0 + 1).to_string(),
            until: RateDate(next.0 - 1).to_string(),
            days,
        });
    }
}
