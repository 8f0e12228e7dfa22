//! A ledger, or a plain folder of snapshots, to look at: every version of every day, and what is said of it.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use cambist_udfs::currency::CurrencyCode;
use cambist_udfs::rate::{InstantMicros, RateDate, Snapshot};
use object_store::ObjectStoreExt;

use super::contents::{Contents, Identity, identity_of};
use super::entry::{Approval, Entry, Held};
use super::error::LedgerError;
use super::judge::{Arrival, Judge, WriterOptions};
use super::names::Part;
use crate::location::Location;
use crate::rates::RefusedSnapshot;
use crate::store::{StoreError, Stores};

/// All that a ledger, or a plain folder of snapshots, holds.
#[derive(Debug)]
pub struct Ledger {
    contents: Contents,
}

/// One admission of a payload. The same payload has several where its provider came back to it.
#[derive(Clone, Debug)]
pub struct Version<'a> {
    /// Where the payload lies.
    pub location: &'a str,
    /// The hex sha256 of the payload.
    pub sha256: &'a str,
    /// The payload's size as it is stored.
    pub bytes: u64,
    /// When it became known.
    pub known_at: InstantMicros,
    /// Its entry with the entry's path; none in a plain folder.
    pub entry: Option<(&'a str, &'a Entry)>,
    /// What the payload holds, as it was published, in the order of days.
    pub snapshots: &'a [Snapshot],
    /// What people decided about it.
    pub approvals: Vec<&'a Approval>,
}

/// What a gate finds against a version that is there already.
#[derive(Clone, Debug)]
pub struct Suspect<'a> {
    /// The version.
    pub version: Version<'a>,
    /// What is found.
    pub found: Held,
    /// Whether somebody approved it.
    pub is_approved: bool,
}

impl Ledger {
    /// Reads what `url` names: a ledger, a plain folder, a glob or a file; nothing where nothing lies there.
    ///
    /// # Errors
    /// Where the store fails or an object of the ledger's own is damaged.
    pub async fn read(stores: &Stores, url: &str) -> Result<Option<Self>, LedgerError> {
        Ok(super::read(stores, url).await?.map(|contents| Self { contents }))
    }

    /// Returns every admission in the order in which they became known; those of one instant by their places.
    pub fn versions(&self) -> Vec<Version<'_>> {
        let mut entries: HashMap<Identity<'_>, Vec<(&str, &Entry)>> = HashMap::new();
        for (path, entry) in &self.contents.entries {
            entries.entry((&entry.stem, &entry.sha256)).or_default().push((path, entry));
        }
        let mut approvals: HashMap<&str, Vec<&Approval>> = HashMap::new();
        for (_, approval) in &self.contents.approvals {
            approvals.entry(&approval.entry).or_default().push(approval);
        }
        let mut admitted: HashSet<Identity<'_>> = HashSet::new();
        let mut versions = Vec::new();
        for payload in &self.contents.payloads {
            let version = Version {
                location: &payload.display,
                sha256: &payload.notes.sha256,
                bytes: payload.stamp.bytes,
                known_at: payload.stamp.modified,
                entry: None,
                snapshots: &payload.snapshots,
                approvals: Vec::new(),
            };
            let Some(admissions) = entries.get(&identity_of(payload)) else {
                if Part::of(&payload.path) == Part::Payload && !payload.snapshots.is_empty() {
                    versions.push(version);
                }
                continue;
            };
            if !admitted.insert(identity_of(payload)) {
                continue;
            }
            versions.extend(admissions.iter().map(|(path, entry)| Version {
                known_at: entry.known_at_micros(),
                entry: Some((path, entry)),
                approvals: approvals.get(path).cloned().unwrap_or_default(),
                ..version.clone()
            }));
        }
        versions.sort_by(|left, right| (left.known_at, left.location).cmp(&(right.known_at, right.location)));
        versions
    }

    /// Returns the entries whose payload is missing: a writer died, and will complete them when it runs again.
    pub fn entries_without_payload(&self) -> Vec<(&str, &Entry)> {
        let payloads: HashSet<Identity<'_>> = self.contents.payloads.iter().map(identity_of).collect();
        let entries = self.contents.entries.iter().map(|(path, entry)| (path.as_str(), entry));
        entries.filter(|(_, entry)| !payloads.contains(&(&*entry.stem, &*entry.sha256))).collect()
    }

    /// Returns the objects, or documents in them, that are no snapshots.
    pub fn refused(&self) -> Vec<RefusedSnapshot> {
        let refusals = self.contents.payloads.iter().flat_map(|payload| {
            payload.notes.refusals.iter().map(|refusal| (payload.display.clone(), refusal))
        });
        let refused = refusals.map(|(location, refusal)| RefusedSnapshot {
            location,
            reason: refusal.reason.code(),
            detail: refusal.detail.clone(),
        });
        refused.collect()
    }

    /// Judges all that is there as if it came again, and returns what the gates find.
    ///
    /// Each payload is judged by what was admitted when it became known. Those of which no entry says when that was
    /// are judged first, in the order of their days: the times of files are often those of a copy.
    ///
    /// # Errors
    /// Where the limits or the second provider's rates cannot be used.
    pub async fn check(
        &self,
        stores: &Stores,
        options: &WriterOptions,
    ) -> Result<Vec<Suspect<'_>>, LedgerError> {
        let Some(mut judge) = Judge::new(stores, options).await? else { return Ok(Vec::new()) };
        let (mut plain, told): (Vec<_>, Vec<_>) =
            self.versions().into_iter().partition(|version| version.entry.is_none());
        plain.sort_by_key(|version| (version.first_date(), version.known_at));
        let newest = plain.iter().map(|version| version.known_at).max();
        let mut suspects = Vec::new();
        for version in plain.into_iter().chain(told) {
            if version.snapshots.iter().any(Snapshot::is_manual) {
                continue;
            }
            let file_name = version.entry.map_or(version.location, |(_, entry)| &entry.origin);
            let known_at = match version.entry {
                Some(_) => version.known_at,
                None => newest.unwrap_or(version.known_at),
            };
            let is_approved = |found: &Held| version.is_approved(found);
            let found = judge.judge(version.snapshots, Arrival { known_at, file_name }, is_approved);
            suspects.extend(found.into_iter().map(|found| Suspect {
                is_approved: version.is_approved(&found),
                version: version.clone(),
                found,
            }));
        }
        Ok(suspects)
    }
}

impl Version<'_> {
    /// Reads the payload, byte for byte as it was received.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn payload(&self, stores: &Stores) -> Result<Bytes, LedgerError> {
        let location = Location::parse(self.location)?;
        let store = stores.for_location(&location)?.store;
        let read = async { store.get(location.path()).await?.bytes().await };
        Ok(read.await.map_err(StoreError::request("read", self.location))?)
    }

    /// Returns what is held back of a snapshot of it as of an instant.
    pub fn held(&self, snapshot: &Snapshot, as_of: InstantMicros) -> Vec<&Held> {
        let held = self.entry.map_or(&[][..], |(_, entry)| &entry.held);
        let approvals = self.approvals.iter().filter(|given| given.at.as_microsecond() <= as_of.0);
        let approvals: Vec<&&Approval> = approvals.collect();
        let is_open = |held: &&Held| {
            held.concerns(snapshot) && !approvals.iter().any(|given| given.covers(held, snapshot.rate_date))
        };
        held.iter().filter(is_open).collect()
    }

    /// Returns what the gates found of a snapshot of it and is used all the same, because they only report.
    pub fn findings(&self, snapshot: &Snapshot) -> Vec<&Held> {
        let findings = self.entry.map_or(&[][..], |(_, entry)| &entry.findings);
        findings.iter().filter(|finding| finding.concerns(snapshot)).collect()
    }

    /// Returns a snapshot of it as it may be used as of an instant, without what is held; nothing where all of it
    /// is.
    pub fn admitted(&self, snapshot: &Snapshot, as_of: InstantMicros) -> Option<Snapshot> {
        let held: Option<HashSet<CurrencyCode>> =
            self.held(snapshot, as_of).into_iter().map(|held| held.currency).collect();
        let held = held?;
        let mut admitted = Snapshot { known_at: self.known_at, ..snapshot.clone() };
        admitted.rates.retain(|(code, _)| !held.contains(code));
        admitted.held = held.into_iter().collect();
        admitted.held.sort_unstable();
        Some(admitted)
    }

    fn first_date(&self) -> Option<RateDate> {
        self.snapshots.first().map(|snapshot| snapshot.rate_date)
    }

    fn is_approved(&self, found: &Held) -> bool {
        let concerned = self.snapshots.iter().filter(|snapshot| found.concerns(snapshot));
        concerned
            .map(|snapshot| snapshot.rate_date)
            .all(|day| self.approvals.iter().any(|approval| approval.covers(found, day)))
    }
}
