//! Which days each provider's payloads have rates of, and what the newest of them said of itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cambist_udfs::rate::{InstantMicros, RateDate, Snapshot};

use super::contents::Contents;
use super::entry::Entry;
use super::names;

/// The newest admission that has rates of a provider's day.
#[derive(Clone, Debug)]
pub(super) struct Covering {
    pub(super) known_at: InstantMicros,
    pub(super) sha256: String,
    pub(super) origin: String,
    pub(super) metadata: BTreeMap<String, String>,
}

impl From<Entry> for Covering {
    fn from(entry: Entry) -> Self {
        let known_at = entry.known_at_micros();
        Self { known_at, sha256: entry.sha256, origin: entry.origin, metadata: entry.metadata }
    }
}

/// By provider and day. Only payloads that are there count: an entry without its payload admits nothing.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    days: HashMap<String, HashMap<RateDate, Arc<Covering>>>,
}

impl Coverage {
    /// Learns what a ledger, or a plain folder of snapshots, holds.
    pub(super) fn of(contents: &Contents) -> Self {
        let mut coverage = Self::default();
        let mut entries: HashMap<(&str, &str), Vec<_>> = HashMap::new();
        for (_, entry) in &contents.entries {
            entries.entry((&entry.stem, &entry.sha256)).or_default().push(entry);
        }
        for payload in &contents.payloads {
            let identity = (names::stem_of(&payload.path), payload.notes.sha256.as_str());
            let admissions = entries.get(&identity);
            for entry in admissions.into_iter().flatten() {
                coverage.note(Covering::from((*entry).clone()), &payload.snapshots);
            }
            if admissions.is_none() && names::Part::of(&payload.path) == names::Part::Payload {
                let (known_at, sha256) = (payload.stamp.modified, payload.notes.sha256.clone());
                let (origin, metadata) = (payload.path.clone(), BTreeMap::new());
                coverage.note(Covering { known_at, sha256, origin, metadata }, &payload.snapshots);
            }
        }
        coverage
    }

    /// Takes an admission into account.
    pub(super) fn note(&mut self, covering: Covering, snapshots: &[Snapshot]) {
        let covering = Arc::new(covering);
        for snapshot in snapshots {
            let days = self.days.entry(snapshot.provider.clone()).or_default();
            let newest = days.entry(snapshot.rate_date).or_insert_with(|| Arc::clone(&covering));
            if newest.known_at < covering.known_at {
                *newest = Arc::clone(&covering);
            }
        }
    }

    pub(super) fn get(&self, provider: &str, day: RateDate) -> Option<&Covering> {
        self.days.get(provider)?.get(&day).map(AsRef::as_ref)
    }
}
