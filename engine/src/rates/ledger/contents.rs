//! All that a ledger holds, read from its index and from the objects that the index does not know.

use std::collections::{HashMap, HashSet};

use cambist_udfs::rate::adapter::{RejectedEntry, SnapshotNotice};
use cambist_udfs::rate::{InstantMicros, Snapshot};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::{ObjectMeta, ObjectStoreExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::entry::{Approval, Entry, Held};
use super::error::LedgerError;
use super::folder::Folder;
use super::index::{self, IndexedObject};
use super::names::{self, Part};
use super::payload::{self, MAX_PAYLOAD_BYTES, PayloadNotes, PayloadObject, Stamp};
use crate::files::Files;
use crate::rates::load::RefusedSnapshot;
use crate::store::StoreError;

/// Objects that are fetched at once.
const CONCURRENT_FETCHES: usize = 32;

/// A payload's identity, its stem and its content: objects of the same identity are copies.
pub(super) type Identity<'a> = (&'a str, &'a str);

/// Returns a payload's identity.
pub(super) fn identity_of(payload: &PayloadObject) -> Identity<'_> {
    (names::stem_of(&payload.path), &payload.notes.sha256)
}

/// All that a ledger, or a plain folder of snapshots, holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    /// By path.
    pub(super) payloads: Vec<PayloadObject>,
    /// With their paths, by path and so by the time of arrival.
    pub(super) entries: Vec<(String, Entry)>,
    pub(super) approvals: Vec<(String, Approval)>,
    /// Index objects, the newest last.
    pub(super) indexes: Vec<String>,
    /// How many of the other objects the newest index does not know, or knows otherwise.
    pub(super) unindexed: usize,
    /// Whether the newest index knows objects that are not there any more.
    has_stale_rows: bool,
    stamps: HashMap<String, Stamp>,
}

/// What a ledger gives as of an instant.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) snapshots: Vec<Snapshot>,
    pub(crate) refused: Vec<RefusedSnapshot>,
    pub(crate) notices: Vec<(String, SnapshotNotice)>,
    pub(crate) entries: Vec<(String, RejectedEntry)>,
    pub(crate) held: Vec<HeldSnapshot>,
}

/// Rates that a snapshot holds and that are not used, because nobody has approved them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldSnapshot {
    /// Where the payload lies.
    pub location: String,
    /// Who published it.
    pub provider: String,
    /// The day.
    pub rate_date: String,
    /// What is held of it.
    pub held: Vec<Held>,
}

impl Contents {
    /// Reads single objects, which are used as they stand.
    pub(super) async fn of_files(files: Files) -> Result<Self, LedgerError> {
        let fetches: Vec<_> =
            files.objects.iter().map(|object| fetch_plain(&files, object).boxed()).collect();
        let payloads = stream::iter(fetches).buffered(CONCURRENT_FETCHES).try_collect().await?;
        Ok(Self { payloads, ..Self::default() })
    }

    /// Reads everything below `folder`.
    pub(super) async fn read(folder: &Folder) -> Result<Self, LedgerError> {
        let objects = folder.list().await?;
        Self::of_objects(folder, objects).await
    }

    /// Reads the listed objects of `folder`.
    pub(super) async fn of_objects(folder: &Folder, objects: Vec<ObjectMeta>) -> Result<Self, LedgerError> {
        let mut listed: Vec<(String, Part, ObjectMeta)> = Vec::with_capacity(objects.len());
        let mut contents = Self::default();
        for object in objects {
            let path = folder.relative(&object.location);
            match Part::of(&path) {
                Part::Other => {}
                Part::Index => contents.indexes.push(path),
                part => listed.push((path, part, object)),
            }
        }
        let mut known = match contents.indexes.last() {
            Some(newest) => read_index(folder, newest).await,
            None => HashMap::new(),
        };
        let mut missing = Vec::new();
        for (path, part, object) in listed {
            let stamp = Stamp::of(&object);
            contents.stamps.insert(path.clone(), stamp.clone());
            match known.remove(&path).filter(|indexed| indexed.stamp == stamp) {
                Some(indexed) => contents.take_indexed(folder, part, indexed)?,
                None => missing.push((path, part, stamp)),
            }
        }
        contents.unindexed = missing.len();
        contents.has_stale_rows = !known.is_empty();
        let fetches: Vec<_> = missing.into_iter().map(|object| fetch(folder, object).boxed()).collect();
        let fetched: Vec<Fetched> = stream::iter(fetches).buffered(CONCURRENT_FETCHES).try_collect().await?;
        for object in fetched {
            match object {
                Fetched::Payload(payload) => contents.payloads.push(*payload),
                Fetched::Entry(path, entry) => contents.entries.push((path, *entry)),
                Fetched::Approval(path, approval) => contents.approvals.push((path, approval)),
            }
        }
        contents.payloads.sort_unstable_by(|left, right| left.path.cmp(&right.path));
        contents.entries.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        contents.approvals.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        Ok(contents)
    }

    fn take_indexed(
        &mut self,
        folder: &Folder,
        part: Part,
        indexed: IndexedObject,
    ) -> Result<(), LedgerError> {
        let IndexedObject { path, stamp, document, mut snapshots } = indexed;
        let damaged = |error: serde_json::Error| damaged(folder, &path, &error);
        match part {
            Part::Entry => {
                let entry = serde_json::from_str(&document).map_err(damaged)?;
                self.entries.push((path, entry));
            }
            Part::Approval => {
                let approval = serde_json::from_str(&document).map_err(damaged)?;
                self.approvals.push((path, approval));
            }
            _ => {
                let notes: PayloadNotes = serde_json::from_str(&document).map_err(damaged)?;
                let display = folder.display(&path);
                snapshots.iter_mut().for_each(|snapshot| snapshot.location.clone_from(&display));
                payload::order(&mut snapshots, stamp.modified);
                self.payloads.push(PayloadObject { path, display, stamp, snapshots, notes });
            }
        }
        Ok(())
    }

    /// Tells whether there is nothing that is about rates.
    pub(super) fn is_empty(&self) -> bool {
        self.payloads.is_empty() && self.entries.is_empty()
    }

    /// Tells whether the newest index says all this and nothing else.
    pub(super) fn is_indexed(&self) -> bool {
        !self.indexes.is_empty() && self.unindexed == 0 && !self.has_stale_rows
    }

    /// Returns what an index of all this says.
    pub(super) fn to_index(&self) -> Result<Vec<IndexedObject>, LedgerError> {
        let failed =
            |error: serde_json::Error| LedgerError::Index { action: "written", source: error.into() };
        let mut objects = Vec::with_capacity(self.stamps.len());
        for payload in &self.payloads {
            objects.push(IndexedObject {
                path: payload.path.clone(),
                stamp: payload.stamp.clone(),
                document: serde_json::to_string(&payload.notes).map_err(failed)?,
                snapshots: payload.snapshots.clone(),
            });
        }
        let mut add = |path: &str, document: String| {
            if let Some(stamp) = self.stamps.get(path).cloned() {
                objects.push(IndexedObject { path: path.to_owned(), stamp, document, snapshots: Vec::new() });
            }
        };
        for (path, entry) in &self.entries {
            add(path, serde_json::to_string(entry).map_err(failed)?);
        }
        for (path, approval) in &self.approvals {
            add(path, serde_json::to_string(approval).map_err(failed)?);
        }
        Ok(objects)
    }

    /// Returns the instants at which snapshots became known, were admitted or approved, in any order.
    pub(crate) fn changes(&self) -> impl Iterator<Item = InstantMicros> {
        let snapshots = self.payloads.iter().flat_map(|payload| &payload.snapshots);
        let snapshots = snapshots.map(|snapshot| snapshot.known_at);
        let entries = self.entries.iter().map(|(_, entry)| entry.known_at_micros());
        let approvals = self.approvals.iter();
        let approvals = approvals.map(|(_, approval)| InstantMicros(approval.at.as_microsecond()));
        snapshots.chain(entries).chain(approvals)
    }

    /// Returns what may be used as of an instant, what was published but is held back, and what is no
    /// snapshot.
    ///
    /// Payloads that no entry tells of are used as they stand, known since their object was last modified; so
    /// a folder without a ledger is one whose payloads all stand.
    pub(crate) fn known_as_of(self, known_as_of: InstantMicros) -> Known {
        let mut entries: HashMap<Identity<'_>, Vec<(&str, &Entry)>> = HashMap::new();
        for (path, entry) in &self.entries {
            entries.entry((&entry.stem, &entry.sha256)).or_default().push((path, entry));
        }
        let mut approvals: HashMap<&str, Vec<&Approval>> = HashMap::new();
        for (_, approval) in &self.approvals {
            if approval.at.as_microsecond() <= known_as_of.0 {
                approvals.entry(&approval.entry).or_default().push(approval);
            }
        }
        let mut known = Known::default();
        let mut admitted: HashSet<(String, String)> = HashSet::new();
        for payload in self.payloads {
            let location = payload.display.clone();
            let Some(admissions) = entries.get(&identity_of(&payload)).cloned() else {
                // A version without an entry was never admitted: somebody has put it there.
                if Part::of(&payload.path) == Part::Payload {
                    known.take_notes(&location, payload.notes);
                    known.snapshots.extend(payload.snapshots);
                }
                continue;
            };
            let (stem, sha256) = identity_of(&payload);
            if !admitted.insert((stem.to_owned(), sha256.to_owned())) {
                continue;
            }
            known.take_notes(&location, payload.notes);
            let payload_modified = payload.stamp.modified.0;
            let mut in_time = admissions.iter().filter(|(_, entry)| entry.known_at_micros() <= known_as_of);
            let last = in_time.next_back();
            let mut admit = |(path, entry): &(&str, &Entry), snapshot: Snapshot| {
                let approvals = approvals.get(path).map_or(&[][..], Vec::as_slice);
                // Documents of one object stay in their order.
                let ahead = payload_modified - snapshot.known_at.0;
                let known_at = InstantMicros(entry.known_at_micros().0 - ahead);
                known.admit(Snapshot { known_at, ..snapshot }, &location, &entry.held, approvals);
            };
            for admission in in_time {
                payload.snapshots.iter().for_each(|snapshot| admit(admission, snapshot.clone()));
            }
            if let Some(admission) = last {
                payload.snapshots.into_iter().for_each(|snapshot| admit(admission, snapshot));
            }
        }
        known
    }

    /// Returns all that was ever admitted, without what the gates found, be it held or only reported, unless
    /// somebody approved it.
    pub(super) fn unsuspected(mut self) -> Vec<Snapshot> {
        for (_, entry) in &mut self.entries {
            entry.held.append(&mut entry.findings);
        }
        self.known_as_of(InstantMicros(i64::MAX)).snapshots
    }
}

impl Known {
    fn take_notes(&mut self, location: &str, notes: PayloadNotes) {
        for refusal in notes.refusals {
            let (reason, detail) = (refusal.reason.code(), refusal.detail);
            self.refused.push(RefusedSnapshot { location: location.to_owned(), reason, detail });
        }
        self.notices.extend(notes.notices.into_iter().map(|notice| (location.to_owned(), notice)));
        self.entries.extend(notes.entries.into_iter().map(|entry| (location.to_owned(), entry)));
    }

    /// Takes a snapshot without what is held of it and not approved.
    fn admit(&mut self, mut snapshot: Snapshot, location: &str, held: &[Held], approvals: &[&Approval]) {
        let is_open = |held: &&Held| {
            held.concerns(&snapshot)
                && !approvals.iter().any(|approval| approval.covers(held, snapshot.rate_date))
        };
        let open: Vec<Held> = held.iter().filter(is_open).cloned().collect();
        if !open.is_empty() {
            self.held.push(HeldSnapshot {
                location: location.to_owned(),
                provider: snapshot.provider.clone(),
                rate_date: snapshot.rate_date.to_string(),
                held: open.clone(),
            });
        }
        if open.iter().any(|held| held.currency.is_none()) {
            return;
        }
        let mut codes: Vec<_> = open.iter().filter_map(|held| held.currency).collect();
        codes.sort_unstable();
        codes.dedup();
        snapshot.rates.retain(|(code, _)| codes.binary_search(code).is_err());
        snapshot.held = codes;
        self.snapshots.push(snapshot);
    }
}

enum Fetched {
    Payload(Box<PayloadObject>),
    Entry(String, Box<Entry>),
    Approval(String, Approval),
}

async fn fetch(folder: &Folder, (path, part, stamp): (String, Part, Stamp)) -> Result<Fetched, LedgerError> {
    if stamp.bytes > MAX_PAYLOAD_BYTES {
        return Ok(Fetched::Payload(Box::new(payload::oversize(&path, &folder.display(&path), stamp))));
    }
    let bytes = folder.get(&path).await?;
    Ok(match part {
        Part::Entry => Fetched::Entry(path.clone(), Box::new(document(folder, &path, &bytes)?)),
        Part::Approval => Fetched::Approval(path.clone(), document(folder, &path, &bytes)?),
        _ => {
            let dating_name = match part {
                Part::Version => names::dating_name(&path),
                _ => path.rsplit('/').next().unwrap_or(&path).to_owned(),
            };
            let display = folder.display(&path);
            Fetched::Payload(Box::new(payload::read(&path, &dating_name, &display, stamp, &bytes)))
        }
    })
}

async fn fetch_plain(files: &Files, object: &ObjectMeta) -> Result<PayloadObject, LedgerError> {
    let (path, display, stamp) = (object.location.as_ref(), files.display_of(object), Stamp::of(object));
    if stamp.bytes > MAX_PAYLOAD_BYTES {
        return Ok(payload::oversize(path, &display, stamp));
    }
    let get = async { files.store.get(&object.location).await?.bytes().await };
    let bytes = get.await.map_err(StoreError::request("read", &object.location))?;
    let dating_name = object.location.filename().unwrap_or_default();
    Ok(payload::read(path, dating_name, &display, stamp, &bytes))
}

fn document<T: DeserializeOwned>(folder: &Folder, path: &str, bytes: &[u8]) -> Result<T, LedgerError> {
    serde_json::from_slice(bytes).map_err(|error| damaged(folder, path, &error))
}

fn damaged(folder: &Folder, path: &str, error: &serde_json::Error) -> LedgerError {
    LedgerError::Damaged { path: folder.display(path), detail: error.to_string() }
}

/// Reads an index. One that is not there any more or cannot be read is as good as none: it is only a copy.
async fn read_index(folder: &Folder, path: &str) -> HashMap<String, IndexedObject> {
    let read = async { index::decode(folder.get(path).await?) };
    match read.await {
        Ok(objects) => objects.into_iter().map(|object| (object.path.clone(), object)).collect(),
        Err(error) => {
            tracing::warn!(index = path, error = %crate::failure::chain(&error), "the index of the rates is not used");
            HashMap::new()
        }
    }
}
