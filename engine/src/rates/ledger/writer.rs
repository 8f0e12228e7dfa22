//! Appending to a ledger.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use cambist_udfs::rate::adapter::Refusal;
use cambist_udfs::rate::{InstantMicros, RateDate, Snapshot};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::contents::Contents;
use super::coverage::{Coverage, Covering};
use super::entry::{Channel, Entry, FORMAT_VERSION, Held};
use super::error::LedgerError;
use super::folder::Folder;
use super::judge::{Arrival, GateMode, Judge, WriterOptions};
use super::names;
use super::payload::{self, PayloadObject, Stamp};
use crate::location::Location;
use crate::store::Stores;

/// Payloads that are written at once.
const CONCURRENT_WRITES: usize = 32;

/// The gate that holds what people enter.
const MANUAL_GATE: &str = "manual";

/// A payload as it was received.
#[derive(Clone, Debug)]
pub struct Received {
    /// The bytes, unchanged.
    pub bytes: Bytes,
    /// Its name: a date in it (`2024-05-01.json`) dates a document that bears none.
    pub file_name: String,
    /// When it was received.
    pub known_at: InstantMicros,
    /// How it came.
    pub channel: Channel,
    /// The request without its key, the file, or `kafka:topic/partition/offset`.
    pub origin: String,
    /// Who entered it, where a person did.
    pub entered_by: Option<String>,
    /// What else the answer said, such as `etag` and `last_modified`; never a secret.
    pub metadata: BTreeMap<String, String>,
}

/// What a payload holds, before it is appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// Who published it.
    pub provider: String,
    /// The first and the last day that it holds rates for.
    pub rate_dates: (RateDate, RateDate),
}

/// Reads a payload without appending it.
///
/// # Errors
/// A [`Refusal`] where it holds no snapshot, so that no ledger would take it.
pub fn inspect(received: &Received) -> Result<Inspected, Refusal> {
    let payload = read(received);
    match payload.snapshots.first() {
        Some(first) => {
            Ok(Inspected { provider: first.provider.clone(), rate_dates: span(&payload.snapshots) })
        }
        None => Err(refusal_of(payload)),
    }
}

/// What became of a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is in the ledger now.
    Stored {
        /// The payload's object, relative to the ledger's folder.
        object: String,
        /// Its entry, relative to the ledger's folder.
        entry: String,
        /// The first and the last day that it holds rates for.
        rate_dates: (RateDate, RateDate),
        /// Whether nothing of its provider was there for the day.
        is_new_day: bool,
        /// What is not used until somebody approves it.
        held: Vec<Held>,
        /// What the gates found and is used, because they only report.
        findings: Vec<Held>,
    },
    /// It is what the ledger holds already.
    Unchanged {
        /// The payload's object, relative to the ledger's folder.
        object: String,
    },
}

/// Appends to a ledger, and knows all that it holds.
#[derive(Debug)]
pub struct LedgerWriter {
    folder: Folder,
    gates: GateMode,
    judge: Option<Judge>,
    /// Every entry's path.
    entries: HashSet<String>,
    /// Every path that holds a payload.
    paths: HashSet<String>,
    /// Where the payload of a stem and content lies.
    objects: HashMap<(String, String), String>,
    /// The admissions of each provider and stem: when each became known, and its content.
    history: HashMap<(String, String), BTreeMap<InstantMicros, Version>>,
    /// The providers and days of what became known at an instant.
    arrivals: HashMap<InstantMicros, Vec<(String, Days)>>,
    /// Entries whose payload is missing, by stem and content.
    orphans: HashMap<(String, String), Entry>,
    /// What the store has not taken yet.
    unwritten: Vec<Writing>,
    coverage: Coverage,
    is_changed: bool,
}

#[derive(Clone, Debug)]
struct Version {
    sha256: String,
}

/// What has to be written.
#[derive(Clone, Debug)]
struct Writing {
    entry: Option<(String, Bytes)>,
    payload: Option<PayloadWriting>,
}

#[derive(Clone, Debug)]
struct PayloadWriting {
    path: String,
    /// The name where other bytes lie under the first one.
    fallback: String,
    bytes: Bytes,
}

/// The first and the last day of a payload.
type Days = (RateDate, RateDate);

/// What tells a payload from others.
#[derive(Clone, Copy, Debug)]
struct Publication<'a> {
    provider: &'a str,
    stem: &'a str,
    sha256: &'a str,
    rate_dates: Days,
}

/// The newest admission of a provider's payload for a day.
#[derive(Clone, Copy, Debug)]
pub struct LatestVersion<'a> {
    /// When it became known.
    pub known_at: InstantMicros,
    /// The hex sha256 of the payload.
    pub sha256: &'a str,
    /// The request without its key, the file, or the place in a stream.
    pub origin: &'a str,
    /// What its answer said, such as `etag` and `last_modified`.
    pub metadata: &'a BTreeMap<String, String>,
}

impl LedgerWriter {
    /// Opens the ledger at `url`; a folder that does not exist is an empty one.
    ///
    /// # Errors
    /// Where the store fails or an object of the ledger's own is damaged.
    pub async fn open(stores: &Stores, url: &str, options: WriterOptions) -> Result<Self, LedgerError> {
        let folder = Folder::open(stores, Location::parse(url)?)?;
        let judge = Judge::new(stores, &options).await?;
        let contents = Contents::read(&folder).await?;
        let mut writer = Self {
            folder,
            gates: options.gates,
            judge,
            entries: HashSet::new(),
            paths: HashSet::new(),
            objects: HashMap::new(),
            history: HashMap::new(),
            arrivals: HashMap::new(),
            orphans: HashMap::new(),
            unwritten: Vec::new(),
            coverage: Coverage::of(&contents),
            is_changed: false,
        };
        for payload in &contents.payloads {
            writer.paths.insert(payload.path.clone());
            let stem = names::stem_of(&payload.path).to_owned();
            writer
                .objects
                .entry((stem, payload.notes.sha256.clone()))
                .or_insert_with(|| payload.path.clone());
        }
        for (path, entry) in &contents.entries {
            writer.note(path.clone(), entry);
            let identity = (entry.stem.clone(), entry.sha256.clone());
            if !writer.objects.contains_key(&identity) {
                writer.orphans.insert(identity, entry.clone());
            }
        }
        if let Some(judge) = &mut writer.judge {
            contents.unsuspected().into_iter().for_each(|snapshot| judge.admit(snapshot));
        }
        Ok(writer)
    }

    /// Returns the newest admission of a payload of `provider` that has rates of `day`, be it of that day
    /// alone or of many days.
    pub fn latest(&self, provider: &str, day: RateDate) -> Option<LatestVersion<'_>> {
        let Covering { known_at, sha256, origin, metadata } = self.coverage.get(provider, day)?;
        Some(LatestVersion { known_at: *known_at, sha256, origin, metadata })
    }

    /// Appends one payload.
    ///
    /// Doing it again, also by another process and after a crash at any point, changes nothing.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] where the payload holds no snapshot: nothing is stored. Otherwise where the
    /// store fails; then the same may be appended again.
    pub async fn append(
        &mut self,
        received: Received,
        recorded_at: Timestamp,
    ) -> Result<Appended, LedgerError> {
        let mut appended = self.append_all(vec![received], recorded_at).await?;
        appended.pop().unwrap_or_else(|| {
            Err(LedgerError::Damaged { path: String::new(), detail: "nothing was appended".to_owned() })
        })
    }

    /// Appends payloads in the order in which they became known; each may be refused for itself.
    ///
    /// # Errors
    /// Where the store fails. What it did not take is written by the next call, with or without payloads.
    pub async fn append_all(
        &mut self,
        received: Vec<Received>,
        recorded_at: Timestamp,
    ) -> Result<Vec<Result<Appended, LedgerError>>, LedgerError> {
        let mut appended = Vec::with_capacity(received.len());
        for received in received {
            match self.plan(received, recorded_at) {
                Ok((outcome, writing)) => {
                    appended.push(Ok(outcome));
                    self.unwritten.extend(writing);
                }
                Err(refused) => appended.push(Err(refused)),
            }
        }
        self.is_changed |= !self.unwritten.is_empty();
        let folder = &self.folder;
        let writes: Vec<_> = self.unwritten.iter().map(|writing| write(folder, writing.clone())).collect();
        stream::iter(writes).buffer_unordered(CONCURRENT_WRITES).try_collect::<()>().await?;
        self.unwritten.clear();
        Ok(appended)
    }

    /// Brings the index up to date, where anything was appended or it is stale.
    ///
    /// # Errors
    /// Where the store fails; the ledger is whole without its index.
    pub async fn finish(mut self, recorded_at: Timestamp) -> Result<(), LedgerError> {
        self.append_all(Vec::new(), recorded_at).await?;
        if self.is_changed {
            super::reindex(&self.folder, recorded_at).await?;
        }
        Ok(())
    }

    /// Decides what is to be written for a payload, and takes it for written.
    fn plan(
        &mut self,
        mut received: Received,
        recorded_at: Timestamp,
    ) -> Result<(Appended, Option<Writing>), LedgerError> {
        let payload = read(&received);
        let Some(stem) = names::stem(&payload.snapshots) else {
            let source = refusal_of(payload);
            return Err(LedgerError::Refused { origin: received.origin, source });
        };
        let provider = payload.snapshots[0].provider.clone();
        let sha256 = payload.notes.sha256.clone();
        let rate_dates = span(&payload.snapshots);
        let publication = Publication { provider: &provider, stem: &stem, sha256: &sha256, rate_dates };
        let (known_at, is_known) = self.place_in_time(&publication, received.known_at);
        received.known_at = known_at;
        let entry_path = names::entry(&stem, &provider, known_at, &sha256);
        let identity = (stem.clone(), sha256.clone());
        let existing = self.objects.get(&identity).cloned();
        if let (true, Some(object)) = (is_known, &existing) {
            return Ok((Appended::Unchanged { object: object.clone() }, None));
        }
        let is_new_day = !self.history.contains_key(&(provider, stem.clone()));
        let fallback =
            names::version(&stem, received.known_at, &sha256, names::extension(&received.file_name));
        let object =
            existing.clone().unwrap_or_else(|| self.free_path(&payload, &stem, &received, &fallback));
        let payload_writing = existing.is_none().then(|| PayloadWriting {
            path: object.clone(),
            fallback,
            bytes: received.bytes.clone(),
        });
        // An entry whose payload went missing is completed, not repeated.
        let orphan = if is_known { self.orphans.remove(&identity) } else { None };
        let entry = match orphan {
            Some(entry) => {
                if let Some(judge) = &mut self.judge {
                    let found = [entry.held.as_slice(), entry.findings.as_slice()].concat();
                    judge.take(&payload.snapshots, known_at, &found);
                }
                entry
            }
            None => self.entry(received, recorded_at, &payload, &stem)?,
        };
        let appended = Appended::Stored {
            object: object.clone(),
            entry: entry_path.clone(),
            rate_dates,
            is_new_day,
            held: entry.held.clone(),
            findings: entry.findings.clone(),
        };
        let entry_writing = match is_known {
            true => None,
            false => {
                let document = serde_json::to_vec_pretty(&entry).map_err(encoding)?;
                Some((entry_path.clone(), Bytes::from(document)))
            }
        };
        self.paths.insert(object.clone());
        self.objects.insert(identity, object);
        if !is_known {
            self.note(entry_path, &entry);
        }
        self.coverage.note(entry.into(), &payload.snapshots);
        Ok((appended, Some(Writing { entry: entry_writing, payload: payload_writing })))
    }

    /// Returns when a payload became known, and whether it is what was known then already.
    ///
    /// Of two payloads with rates of one day which one corrects the other must be told by their times. Those that were
    /// received at once are put a microsecond apart, in the order in which they come.
    fn place_in_time(&self, publication: &Publication<'_>, known_at: InstantMicros) -> (InstantMicros, bool) {
        let Publication { provider, stem, sha256, rate_dates } = *publication;
        let versions = self.history.get(&(provider.to_owned(), stem.to_owned()));
        let mut known_at = known_at;
        loop {
            let entry = names::entry(stem, provider, known_at, sha256);
            let before = versions.and_then(|versions| versions.range(..=known_at).next_back());
            if self.entries.contains(&entry) || before.is_some_and(|(_, version)| version.sha256 == sha256) {
                return (known_at, true);
            }
            let at_once = self.arrivals.get(&known_at).map_or(&[][..], Vec::as_slice);
            let is_rival = |(other, days): &(String, Days)| {
                other == provider && days.0 <= rate_dates.1 && rate_dates.0 <= days.1
            };
            if !at_once.iter().any(is_rival) {
                return (known_at, false);
            }
            known_at.0 += 1;
        }
    }

    /// The day's own name where nothing lies there, else that of a version. What people entered is never in
    /// the way of what providers publish.
    fn free_path(&self, payload: &PayloadObject, stem: &str, received: &Received, version: &str) -> String {
        let first = names::first_payload(stem, names::extension(&received.file_name));
        let is_manual = payload.snapshots.iter().any(Snapshot::is_manual);
        if is_manual || self.paths.contains(&first) { version.to_owned() } else { first }
    }

    fn entry(
        &mut self,
        received: Received,
        recorded_at: Timestamp,
        payload: &PayloadObject,
        stem: &str,
    ) -> Result<Entry, LedgerError> {
        let (first, last) = span(&payload.snapshots);
        let out_of_range = || LedgerError::Damaged {
            path: received.origin.clone(),
            detail: format!("{first} or {} is no time of the calendar", received.known_at),
        };
        let known_at = Timestamp::from_microsecond(received.known_at.0).map_err(|_| out_of_range())?;
        let is_manual = payload.snapshots.iter().any(Snapshot::is_manual);
        let entered_by = match is_manual {
            true => maker_of(&received.bytes).or(received.entered_by.clone()),
            false => received.entered_by.clone(),
        };
        let mut held = Vec::new();
        if is_manual {
            held.push(hold_of_manual(entered_by.as_deref()));
        }
        let mut findings = self.findings(payload, &received);
        if self.gates == GateMode::Hold {
            held.append(&mut findings);
        }
        let (first_date, last_date) = first.civil().zip(last.civil()).ok_or_else(out_of_range)?;
        Ok(Entry {
            version: FORMAT_VERSION,
            known_at,
            recorded_at,
            provider: payload.snapshots[0].provider.clone(),
            channel: received.channel,
            origin: received.origin,
            entered_by,
            stem: stem.to_owned(),
            sha256: payload.notes.sha256.clone(),
            bytes: received.bytes.len() as u64,
            first_date,
            last_date,
            metadata: received.metadata,
            held,
            findings,
        })
    }

    /// Returns what the gates find.
    fn findings(&mut self, payload: &PayloadObject, received: &Received) -> Vec<Held> {
        let is_manual = payload.snapshots.iter().any(Snapshot::is_manual);
        let Some(judge) = self.judge.as_mut().filter(|_| !is_manual) else { return Vec::new() };
        let arrival = Arrival { known_at: received.known_at, file_name: &received.file_name };
        judge.judge(&payload.snapshots, arrival, |_| false)
    }

    fn note(&mut self, path: String, entry: &Entry) {
        let key = (entry.provider.clone(), entry.stem.clone());
        let version = Version { sha256: entry.sha256.clone() };
        let known_at = entry.known_at_micros();
        let days = (RateDate::of(entry.first_date), RateDate::of(entry.last_date));
        self.arrivals.entry(known_at).or_default().push((entry.provider.clone(), days));
        self.history.entry(key).or_default().insert(known_at, version);
        self.entries.insert(path);
    }
}

/// What people enter waits for the approval of somebody else, whatever the gates do.
fn hold_of_manual(maker: Option<&str>) -> Held {
    let detail =
        format!("entered by {}, expected the approval of somebody else", maker.unwrap_or("somebody"));
    Held { gate: MANUAL_GATE.to_owned(), rate_date: None, currency: None, detail }
}

/// Returns who entered the rates of a document, by the document.
fn maker_of(document: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Made {
        entered_by: String,
    }
    serde_json::from_slice(document).ok().map(|made: Made| made.entered_by)
}

fn read(received: &Received) -> PayloadObject {
    let stamp = Stamp { bytes: received.bytes.len() as u64, modified: received.known_at, e_tag: None };
    payload::read(&received.origin, &received.file_name, &received.origin, stamp, &received.bytes)
}

/// Why nothing in a payload is a snapshot.
fn refusal_of(payload: PayloadObject) -> Refusal {
    payload.notes.refusals.into_iter().next().unwrap_or_else(payload::no_rates)
}

fn span(snapshots: &[Snapshot]) -> Days {
    names::days(snapshots).unwrap_or((RateDate(0), RateDate(0)))
}

fn encoding(error: serde_json::Error) -> LedgerError {
    LedgerError::Index { action: "written", source: error.into() }
}

/// Writes the entry, then the payload.
async fn write(folder: &Folder, writing: Writing) -> Result<(), LedgerError> {
    if let Some((path, bytes)) = writing.entry {
        // One that is there already says the same, but for when it was written.
        folder.create(&path, bytes).await?;
    }
    let Some(payload) = writing.payload else { return Ok(()) };
    if folder.create(&payload.path, payload.bytes.clone()).await? {
        return Ok(());
    }
    // Another writer was first to take the day's own name.
    match folder.create(&payload.fallback, payload.bytes).await? {
        true => Ok(()),
        false => Err(LedgerError::NameTaken { path: folder.display(&payload.fallback) }),
    }
}
