//! `rates check`: the gates over what is there already.

use std::collections::{BTreeMap, BTreeSet};

use cambist_engine::rates::ledger::{GateMode, Held, Ledger, Suspect, Version, WriterOptions};
use cambist_engine::store::Stores;
use cambist_udfs::rate::gate::GateOptions;
use cambist_udfs::rate::{InstantMicros, RateDate};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::known::{micros, read};
use super::{Days, of_ledger};
use crate::error::Result;

/// What is checked.
#[derive(Clone, Debug)]
pub struct CheckRequest {
    /// The limits.
    pub options: GateOptions,
    /// A second provider's rates.
    pub against: Option<String>,
    /// Only these days are reported.
    pub days: Days,
    /// The present instant: holds that were approved by then are not open.
    pub now: Timestamp,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CheckLine {
    /// What a gate finds.
    Finding(Suspicion),
    /// What is held back and nobody has approved.
    Hold(Suspicion),
    /// An entry whose payload is missing: the same payload brought in again completes it.
    WithoutPayload {
        /// The entry.
        entry: String,
    },
    /// An object that is no snapshot.
    Refused {
        /// Where it lies.
        object: String,
        /// The stable reason code.
        reason: &'static str,
        /// What was found.
        detail: String,
    },
}

/// A rate, or a whole snapshot, that is implausible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suspicion {
    /// The day; none: all days of the payload.
    pub rate_date: Option<String>,
    /// Who published it.
    pub provider: String,
    /// The currency; none: the whole snapshot.
    pub currency: Option<String>,
    /// The gate.
    pub gate: String,
    /// What was found.
    pub detail: String,
    /// The first 12 hex digits of the payload's sha256.
    pub snapshot: String,
    /// When it became known.
    pub known_at: String,
    /// Where it lies.
    pub object: String,
}

/// What was found, and what it comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// What was found, by kind and then in the order in which the payloads became known.
    #[serde(skip)]
    pub lines: Vec<CheckLine>,
    /// Versions that were judged.
    pub versions: u64,
    /// Rates that were judged.
    pub rates: u64,
    /// What the gates find.
    pub findings: u64,
    /// The same by gate.
    pub findings_by_gate: BTreeMap<String, u64>,
    /// The same by currency, and there by gate; `*` is the whole snapshot.
    pub findings_by_currency: BTreeMap<String, BTreeMap<String, u64>>,
    /// What the gates would find, had nobody approved it.
    pub approved: u64,
    /// Holds that nobody has approved.
    pub open_holds: u64,
    /// The same by gate.
    pub open_holds_by_gate: BTreeMap<String, u64>,
    /// Entries whose payload is missing.
    pub entries_without_payload: u64,
    /// Objects that are no snapshots.
    pub refused: u64,
}

impl CheckReport {
    /// Tells whether somebody should look at it.
    pub fn is_clean(&self) -> bool {
        self.lines.is_empty()
    }
}

/// Judges all that lies at `url`, and changes nothing.
///
/// # Errors
/// Where nothing lies there, or it or the second provider's rates cannot be read.
pub async fn check(stores: &Stores, url: &str, request: &CheckRequest) -> Result<CheckReport> {
    let ledger = read(stores, url).await?;
    let options = WriterOptions {
        gates: GateMode::Report,
        options: request.options.clone(),
        against: request.against.clone(),
    };
    let suspects = ledger.check(stores, &options).await.map_err(|error| of_ledger(&error))?;
    let mut report = CheckReport::default();
    for version in ledger.versions() {
        let asked = version.snapshots.iter().filter(|snapshot| request.days.has(snapshot.rate_date));
        let rates: Vec<usize> = asked.map(|snapshot| snapshot.rates.len()).collect();
        report.versions += u64::from(!rates.is_empty());
        report.rates += rates.iter().sum::<usize>() as u64;
    }
    for suspect in suspects {
        report.take(&suspect, request.days);
    }
    report.take_holds(&ledger, request);
    for (path, entry) in ledger.entries_without_payload() {
        if is_asked(request.days, Some(entry.first_date)) || is_asked(request.days, Some(entry.last_date)) {
            report.entries_without_payload += 1;
            report.lines.push(CheckLine::WithoutPayload { entry: path.to_owned() });
        }
    }
    for refused in ledger.refused() {
        report.refused += 1;
        let (object, reason, detail) = (refused.location, refused.reason, refused.detail);
        report.lines.push(CheckLine::Refused { object, reason, detail });
    }
    Ok(report)
}

fn is_asked(days: Days, day: Option<Date>) -> bool {
    day.map(RateDate::of).is_none_or(|day| days.has(day))
}

impl CheckReport {
    fn take(&mut self, suspect: &Suspect<'_>, days: Days) {
        let found = &suspect.found;
        if !is_asked(days, found.rate_date) {
            return;
        }
        if suspect.is_approved {
            self.approved += 1;
            return;
        }
        self.findings += 1;
        *self.findings_by_gate.entry(found.gate.clone()).or_default() += 1;
        let currency = found.currency.map_or_else(|| "*".to_owned(), |currency| currency.to_string());
        let gates = self.findings_by_currency.entry(currency).or_default();
        *gates.entry(found.gate.clone()).or_default() += 1;
        self.lines.push(CheckLine::Finding(suspicion(&suspect.version, found)));
    }

    fn take_holds(&mut self, ledger: &Ledger, request: &CheckRequest) {
        let now: InstantMicros = micros(request.now);
        for version in ledger.versions() {
            let asked = version.snapshots.iter().filter(|snapshot| request.days.has(snapshot.rate_date));
            let open = asked.flat_map(|snapshot| version.held(snapshot, now));
            // What is held of a whole payload is open on each of its days.
            let open: BTreeSet<_> = open
                .map(|held| (held.rate_date, held.currency, held.gate.as_str(), held.detail.as_str()))
                .collect();
            for held in version.entry.map_or(&[][..], |(_, entry)| &entry.held) {
                if open.contains(&(held.rate_date, held.currency, &held.gate, &held.detail)) {
                    self.open_holds += 1;
                    *self.open_holds_by_gate.entry(held.gate.clone()).or_default() += 1;
                    self.lines.push(CheckLine::Hold(suspicion(&version, held)));
                }
            }
        }
    }
}

fn suspicion(version: &Version<'_>, held: &Held) -> Suspicion {
    let days: BTreeSet<RateDate> = version.snapshots.iter().map(|snapshot| snapshot.rate_date).collect();
    let only_day = if days.len() == 1 { days.first().map(ToString::to_string) } else { None };
    Suspicion {
        rate_date: held.rate_date.map(|day| day.to_string()).or(only_day),
        provider: version.snapshots.first().map(|snapshot| snapshot.provider.clone()).unwrap_or_default(),
        currency: held.currency.map(|currency| currency.to_string()),
        gate: held.gate.clone(),
        detail: held.detail.clone(),
        snapshot: version.sha256.chars().take(12).collect(),
        known_at: version.known_at.to_string(),
        object: version.location.to_owned(),
    }
}
