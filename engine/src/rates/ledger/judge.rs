//! The gates before a ledger: each payload is judged by what had been admitted when it became known.
//!
//! What was held, or would have been, is never what another payload is compared with.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use cambist_udfs::currency::CurrencyCode;
use cambist_udfs::rate::adapter::name_date;
use cambist_udfs::rate::gate::{GateContext, GateOptions, check};
use cambist_udfs::rate::{AsOfMode, BookOptions, InstantMicros, RateBook, RateDate, Snapshot};

use super::entry::Held;
use super::error::LedgerError;
use super::names;
use crate::rates::load;
use crate::store::Stores;

/// What the gates do with what they find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GateMode {
    /// It is kept and listed, but not used until somebody approves it.
    #[default]
    Hold,
    /// It is noted in the entry, and used.
    Report,
    /// Nothing is judged.
    Off,
}

/// What payloads are judged by.
#[derive(Clone, Debug, Default)]
pub struct WriterOptions {
    /// What the gates do.
    pub gates: GateMode,
    /// Their limits.
    pub options: GateOptions,
    /// A second provider's rates: a file, a folder or a ledger. They are read once.
    pub against: Option<String>,
}

/// Payloads come in the order in which they became known, as a rule, and then the newest version of a day is
/// enough. The others are for histories that are brought in one after the other.
const VERSIONS_KEPT: usize = 8;

/// The newest admitted versions of a day, in the order in which they became known.
#[derive(Debug, Default)]
struct Versions {
    kept: VecDeque<Snapshot>,
    has_older: bool,
}

impl Versions {
    fn insert(&mut self, snapshot: Snapshot) {
        let position = self.kept.partition_point(|kept| kept.known_at <= snapshot.known_at);
        self.kept.insert(position, snapshot);
        if self.kept.len() > VERSIONS_KEPT {
            self.kept.pop_front();
            self.has_older = true;
        }
    }

    /// Returns the newest version that was known by then; the oldest that is kept, if the others are not.
    fn as_of(&self, known_at: InstantMicros) -> Option<&Snapshot> {
        match self.kept.partition_point(|kept| kept.known_at <= known_at).checked_sub(1) {
            Some(position) => self.kept.get(position),
            None => self.kept.front().filter(|_| self.has_older),
        }
    }
}

/// Judges payloads, and remembers what may be used of them.
#[derive(Debug)]
pub(super) struct Judge {
    options: GateOptions,
    cross: Option<CrossBook>,
    /// Of each provider and base.
    admitted: HashMap<(String, CurrencyCode), BTreeMap<RateDate, Versions>>,
}

/// When and under which name a payload was received.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival<'a> {
    pub(super) known_at: InstantMicros,
    pub(super) file_name: &'a str,
}

impl Judge {
    /// Makes the judge of a ledger that holds nothing yet; none where nothing is to be judged.
    pub(super) async fn new(stores: &Stores, options: &WriterOptions) -> Result<Option<Self>, LedgerError> {
        if options.gates == GateMode::Off {
            return Ok(None);
        }
        options.options.validate()?;
        let cross = match &options.against {
            Some(location) => Some(CrossBook::load(stores, location).await?),
            None => None,
        };
        Ok(Some(Self { options: options.options.clone(), cross, admitted: HashMap::new() }))
    }

    /// Takes a snapshot of which nothing is held for one that others may be compared with.
    pub(super) fn admit(&mut self, snapshot: Snapshot) {
        // People may enter what no provider publishes; it is no measure for those who do.
        if snapshot.is_manual() {
            return;
        }
        let publication = (snapshot.provider.clone(), snapshot.base);
        let days = self.admitted.entry(publication).or_default();
        days.entry(snapshot.rate_date).or_default().insert(snapshot);
    }

    /// Judges the snapshots of one payload in the order of their days, and admits what nothing is found against or
    /// what was found is approved.
    pub(super) fn judge(
        &mut self,
        snapshots: &[Snapshot],
        arrival: Arrival<'_>,
        is_approved: impl Fn(&Held) -> bool,
    ) -> Vec<Held> {
        let named_date = match snapshots {
            [_] if !names::is_of_delivery(arrival.file_name) => name_date(arrival.file_name).ok().flatten(),
            _ => None,
        };
        let mut findings = Vec::new();
        for snapshot in snapshots {
            let found = self.judge_snapshot(snapshot, arrival.known_at, named_date);
            let open: Vec<Held> = found.iter().filter(|found| !is_approved(found)).cloned().collect();
            self.take(std::slice::from_ref(snapshot), arrival.known_at, &open);
            findings.extend(found);
        }
        findings
    }

    /// Admits what nothing was found against.
    pub(super) fn take(&mut self, snapshots: &[Snapshot], known_at: InstantMicros, found: &[Held]) {
        for snapshot in snapshots {
            if let Some(rest) = without(snapshot, found) {
                self.admit(Snapshot { known_at, location: String::new(), ..rest });
            }
        }
    }

    fn judge_snapshot(
        &self,
        snapshot: &Snapshot,
        known_at: InstantMicros,
        named_date: Option<RateDate>,
    ) -> Vec<Held> {
        let days = self.admitted.get(&(snapshot.provider.clone(), snapshot.base));
        let predecessors = days.map(|days| predecessors(days, snapshot, known_at)).unwrap_or_default();
        let versions = days.and_then(|days| days.get(&snapshot.rate_date));
        let cross_age_days_max = self.options.cross_age_days_max;
        let context = GateContext {
            predecessors: &predecessors,
            cross: self.cross.as_ref().and_then(|cross| cross.newest(snapshot, cross_age_days_max)),
            previous_version: versions.and_then(|versions| versions.as_of(known_at)),
            received_at: known_at,
            named_date,
        };
        let rate_date = snapshot.rate_date.civil();
        let findings = check(snapshot, &context, &self.options).into_iter();
        findings
            .map(|finding| Held {
                gate: finding.gate.name().to_owned(),
                rate_date,
                currency: finding.currency,
                detail: finding.detail,
            })
            .collect()
    }
}

/// Returns the admitted snapshots of earlier days that a snapshot is compared with, by ascending day: the newest, and
/// those before it that have a currency which the later ones do not.
fn predecessors<'a>(
    days: &'a BTreeMap<RateDate, Versions>,
    snapshot: &Snapshot,
    known_at: InstantMicros,
) -> Vec<&'a Snapshot> {
    let mut wanted: HashSet<CurrencyCode> = snapshot.rates.iter().map(|rate| rate.0).collect();
    let mut found: Vec<&Snapshot> = Vec::new();
    for versions in days.range(..snapshot.rate_date).rev().map(|(_, versions)| versions) {
        let Some(earlier) = versions.as_of(known_at) else { continue };
        let wanted_before = wanted.len();
        wanted.retain(|code| earlier.rates.binary_search_by_key(code, |rate| rate.0).is_err());
        if found.is_empty() || wanted.len() < wanted_before {
            found.push(earlier);
        }
        if wanted.is_empty() {
            break;
        }
    }
    found.reverse();
    found
}

/// Returns what is left of a snapshot without the rates that something is held against; nothing where it is
/// held against all of it.
fn without(snapshot: &Snapshot, findings: &[Held]) -> Option<Snapshot> {
    let concerning = findings.iter().filter(|finding| finding.concerns(snapshot));
    let held: Option<HashSet<CurrencyCode>> = concerning.map(|finding| finding.currency).collect();
    let held = held?;
    let mut rest = snapshot.clone();
    rest.rates.retain(|(code, _)| !held.contains(code));
    Some(rest)
}

/// A second provider's rates.
#[derive(Debug)]
struct CrossBook(Arc<RateBook>);

impl CrossBook {
    /// Loads all that lies at `location`, whenever it became known.
    async fn load(stores: &Stores, location: &str) -> Result<Self, LedgerError> {
        let options =
            BookOptions { mode: AsOfMode::Date, max_age_days: None, known_as_of: InstantMicros(i64::MAX) };
        let loaded = Box::pin(load(stores, location, &options)).await.map_err(|source| {
            LedgerError::Against { location: location.to_owned(), source: Box::new(source) }
        })?;
        Ok(Self(loaded.book))
    }

    /// Returns the newest snapshot of another provider for a snapshot's day or a few days before.
    fn newest(&self, snapshot: &Snapshot, age_days_max: u32) -> Option<&Snapshot> {
        let snapshots = self.0.snapshots();
        let count = snapshots.partition_point(|other| other.rate_date <= snapshot.rate_date);
        let is_near = |other: &&Snapshot| other.rate_date.0.abs_diff(snapshot.rate_date.0) <= age_days_max;
        let is_other = |other: &&Snapshot| other.provider != snapshot.provider && !other.is_manual();
        snapshots[..count].iter().rev().take_while(is_near).find(is_other)
    }
}
