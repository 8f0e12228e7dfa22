//! Where messages are stored: a ledger, or objects under Kafka Connect's names.

use std::collections::BTreeMap;

use bytes::Bytes;
use cambist_engine::location::Location;
use cambist_engine::rates::ledger::{Appended, LedgerError, LedgerWriter, Received, WriterOptions};
use cambist_engine::store::{StoreError, StoreHandle, Stores, probe_create_only};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use object_store::{ObjectStoreExt, PutMode};

use super::dead_letter;
use super::error::SinkError;
use super::examine::{Rejection, examine};
use super::record::Record;
use crate::kafka::sink_options::{Names, SinkOptions};

/// Dead letters, or partitions, that are written at once.
const CONCURRENT_WRITES: usize = 16;

/// Messages that are in a ledger before its index is made anew. Beyond that the index waits for as many
/// messages as half of what it holds, so that the work for a million of them stays in proportion.
const INDEX_AFTER_MIN: usize = 5_000;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Stored { is_held: bool },
    Unchanged,
    Dead { reason: &'static str },
}

pub(super) struct Place {
    stores: Stores,
    url: String,
    location: Location,
    handle: StoreHandle,
    topic: String,
    names: Names,
    options: WriterOptions,
    bytes_max: usize,
    /// Opened when it is needed: after others had partitions of ours, it must be read again.
    ledger: Option<LedgerWriter>,
    since_index: usize,
    indexed: usize,
}

impl Place {
    /// Opens the folder, and makes sure that its store creates an object once.
    pub(super) async fn open(
        stores: &Stores,
        url: &str,
        topic: &str,
        options: &SinkOptions,
    ) -> Result<Self, SinkError> {
        let location = Location::parse(url)?;
        let handle = stores.for_location(&location)?;
        probe_create_only(handle.store.as_ref(), &location).await?;
        Ok(Self {
            stores: stores.clone(),
            url: url.to_owned(),
            location,
            handle,
            topic: topic.to_owned(),
            names: options.names,
            options: options.ledger.clone(),
            bytes_max: options.message_bytes_max,
            ledger: None,
            since_index: 0,
            indexed: 0,
        })
    }

    /// Forgets what it knows of the store: others have written there, or a request failed half-way.
    pub(super) fn forget(&mut self) {
        self.ledger = None;
    }

    /// Stores messages, and returns what became of each. Doing it again changes nothing.
    pub(super) async fn store(
        &mut self,
        records: &[Record],
        now: Timestamp,
    ) -> Result<Vec<Outcome>, SinkError> {
        let mut rejected = Vec::new();
        let mut accepted = Vec::new();
        for (at, record) in records.iter().enumerate() {
            match examine(&self.topic, self.bytes_max, record) {
                Ok(received) => accepted.push((at, received)),
                Err(rejection) => rejected.push((at, rejection)),
            }
        }
        let mut outcomes = match self.names {
            Names::Date => self.append(accepted, now, &mut rejected).await?,
            Names::Connect => self.create_objects(records, &accepted).await?,
        };
        self.bury(records, &rejected).await?;
        outcomes.extend(
            rejected.into_iter().map(|(at, rejection)| (at, Outcome::Dead { reason: rejection.reason })),
        );
        outcomes.sort_unstable_by_key(|(at, _)| *at);
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }

    /// Brings the ledger's index up to date where that is due, or `is_last`.
    pub(super) async fn index(&mut self, now: Timestamp, is_last: bool) -> Result<(), SinkError> {
        let is_due = self.since_index >= INDEX_AFTER_MIN.max(self.indexed / 2);
        if self.since_index == 0 || !(is_due || is_last) {
            return Ok(());
        }
        // Of a ledger that was forgotten, the next one to open it makes the index.
        if let Some(ledger) = self.ledger.take() {
            ledger.finish(now).await?;
        }
        self.indexed += self.since_index;
        self.since_index = 0;
        Ok(())
    }

    async fn append(
        &mut self,
        accepted: Vec<(usize, Received)>,
        now: Timestamp,
        rejected: &mut Vec<(usize, Rejection)>,
    ) -> Result<Vec<(usize, Outcome)>, SinkError> {
        if accepted.is_empty() {
            return Ok(Vec::new());
        }
        let mut ledger = match self.ledger.take() {
            Some(ledger) => ledger,
            None => LedgerWriter::open(&self.stores, &self.url, self.options.clone()).await?,
        };
        let (positions, received): (Vec<_>, Vec<_>) = accepted.into_iter().unzip();
        let appended = ledger.append_all(received, now).await?;
        // Only now: one that failed half-way takes for written what is not.
        self.ledger = Some(ledger);
        let mut outcomes = Vec::with_capacity(positions.len());
        for (at, appended) in positions.into_iter().zip(appended) {
            match appended {
                Ok(Appended::Stored { held, .. }) => {
                    self.since_index += 1;
                    outcomes.push((at, Outcome::Stored { is_held: !held.is_empty() }));
                }
                Ok(Appended::Unchanged { .. }) => outcomes.push((at, Outcome::Unchanged)),
                Err(LedgerError::Refused { source, .. }) => {
                    let rejection = Rejection { reason: source.reason.code(), detail: source.detail };
                    rejected.push((at, rejection));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(outcomes)
    }

    /// Creates the object of each message: those of a partition one after the other, so that a reader finds
    /// no later one without the earlier.
    async fn create_objects(
        &self,
        records: &[Record],
        accepted: &[(usize, Received)],
    ) -> Result<Vec<(usize, Outcome)>, SinkError> {
        let mut partitions: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        for (at, _) in accepted {
            partitions.entry(records[*at].partition).or_default().push(*at);
        }
        let creations = partitions.into_values().map(|positions| async move {
            let mut outcomes = Vec::with_capacity(positions.len());
            for at in positions {
                outcomes.push((at, self.create_object(&records[at]).await?));
            }
            Ok::<_, SinkError>(outcomes)
        });
        let created: Vec<Vec<(usize, Outcome)>> = stream::iter(creations.collect::<Vec<_>>())
            .buffer_unordered(CONCURRENT_WRITES)
            .try_collect()
            .await?;
        Ok(created.into_iter().flatten().collect())
    }

    async fn create_object(&self, record: &Record) -> Result<Outcome, SinkError> {
        let (topic, partition) = (&self.topic, record.partition);
        let name = format!("topics/{topic}/partition={partition}/{}.json", record.name(topic));
        if self.create(&name, &record.payload).await? {
            return Ok(Outcome::Stored { is_held: false });
        }
        let location = self.location.join(&name)?;
        let read = async { self.handle.store.get(location.path()).await?.bytes().await };
        match read.await.map_err(StoreError::request("read", &location))? == record.payload {
            true => Ok(Outcome::Unchanged),
            false => Err(SinkError::NameTaken { path: location.to_string() }),
        }
    }

    async fn bury(&self, records: &[Record], rejected: &[(usize, Rejection)]) -> Result<(), SinkError> {
        let burials = rejected.iter().map(|(at, rejection)| async move {
            for (name, bytes) in dead_letter::objects(&self.topic, &records[*at], rejection) {
                // What is there already was written of the same message.
                self.create(&name, &bytes).await?;
            }
            Ok::<_, SinkError>(())
        });
        stream::iter(burials.collect::<Vec<_>>()).buffer_unordered(CONCURRENT_WRITES).try_collect().await
    }

    /// Creates an object; returns false where one of its name is there.
    async fn create(&self, name: &str, bytes: &Bytes) -> Result<bool, SinkError> {
        let location = self.location.join(name)?;
        match self.handle.store.put_opts(location.path(), bytes.clone().into(), PutMode::Create.into()).await
        {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(source) => Err(StoreError::request("create", &location)(source).into()),
        }
    }
}
