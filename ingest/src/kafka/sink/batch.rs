//! Messages are collected until they are worth a write.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::time::timeout_at;

use super::error::SinkError;
use super::record::Record;
use super::run::{Sink, Stop};
use crate::kafka::KafkaFailure;

/// How long brokers are listened to without a message before other things are looked after.
const TURN: Duration = Duration::from_millis(500);

/// After an error that the library recovers from by itself.
const PAUSE: Duration = Duration::from_millis(200);

/// What was collected.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) records: Vec<Record>,
    pub(super) bytes: usize,
    /// Whether the sink is to end after it.
    pub(super) is_last: bool,
}

/// How far each partition has been read.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The offset that comes next.
    next: BTreeMap<i32, i64>,
    at_end: BTreeSet<i32>,
    last_event: Option<Instant>,
}

impl Sink {
    /// Collects messages; returns none after a turn without any.
    pub(super) async fn collect(&mut self, stop: &mut Stop) -> Result<Batch, SinkError> {
        let consumer = self.consumer.clone();
        let limits = self.options.batch;
        let mut batch = Batch::default();
        let mut deadline = tokio::time::Instant::now() + TURN;
        loop {
            let received = tokio::select! {
                biased;
                () = stop.told() => {
                    batch.is_last = true;
                    return Ok(batch);
                }
                received = timeout_at(deadline, consumer.recv()) => received,
            };
            let received = received.map(|received| received.map(|message| Record::of(&message)));
            // Rebalances happen while we listen, and concern what was collected before.
            self.follow_group(&mut batch);
            match received {
                Err(_) => {
                    if batch.records.is_empty() {
                        self.check_brokers()?;
                        batch.is_last = self.is_idle();
                    }
                    return Ok(batch);
                }
                Ok(Ok(record)) => {
                    if batch.records.is_empty() {
                        deadline = tokio::time::Instant::now() + limits.wait;
                    }
                    self.take(&mut batch, record);
                    if batch.records.len() >= limits.messages || batch.bytes >= limits.bytes {
                        return Ok(batch);
                    }
                }
                Ok(Err(KafkaError::PartitionEOF(partition))) => {
                    self.progress.at_end.insert(partition);
                }
                Ok(Err(error)) => self.complain(&error).await?,
            }
        }
    }

    fn take(&mut self, batch: &mut Batch, record: Record) {
        self.progress.last_event = Some(Instant::now());
        self.progress.at_end.remove(&record.partition);
        let (partition, next) = (record.partition, record.offset + 1);
        self.status.reaches(partition, next);
        let expected = self.progress.next.insert(partition, next);
        let skipped = expected.map_or(0, |expected| u64::try_from(record.offset - expected).unwrap_or(0));
        if skipped > 0 {
            tracing::warn!(partition, offset = record.offset, skipped, "offsets hold no message");
            self.status.count(|counts| counts.offsets_skipped += skipped);
        }
        batch.bytes += record.payload.len();
        batch.records.push(record);
    }

    /// Drops what was collected of partitions that were given up: whoever has them now reads it.
    fn follow_group(&mut self, batch: &mut Batch) {
        let changes = self.consumer.context_changes();
        if !changes.has_any {
            return;
        }
        self.progress.last_event = Some(Instant::now());
        let lost = changes.revoked;
        batch.records.retain(|record| !lost.contains(&record.partition));
        batch.bytes = batch.records.iter().map(|record| record.payload.len()).sum();
        self.progress.next.retain(|partition, _| !lost.contains(partition));
        self.progress.at_end.retain(|partition| !lost.contains(partition));
        self.uncommitted.retain(|partition, _| !lost.contains(partition));
        self.status.forget(&lost);
        self.status.state().is_member = self.consumer.assigned().is_some();
        if changes.has_gained {
            // Those who had them before have stored what we do not know of.
            self.place.forget();
        }
    }

    fn check_brokers(&self) -> Result<(), SinkError> {
        match self.consumer.down_for() {
            Some(after) if after >= self.kafka.broker_timeout => Err(self.failed(self.consumer.gone(after))),
            _ => Ok(()),
        }
    }

    /// Tells whether all is read and nothing has come for as long as was told.
    fn is_idle(&self) -> bool {
        let (Some(wanted), Some(assigned)) = (self.options.until_idle, self.consumer.assigned()) else {
            return false;
        };
        let is_quiet = self.progress.last_event.is_some_and(|last| last.elapsed() >= wanted);
        is_quiet && self.consumer.down_for().is_none() && assigned.is_subset(&self.progress.at_end)
    }

    /// Goes on after an error that passes, and fails after any other.
    async fn complain(&self, error: &KafkaError) -> Result<(), SinkError> {
        let failure = KafkaFailure::of(error, "give messages", self.address.topic());
        let is_fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
        if is_fatal || !failure.is_retryable() {
            return Err(self.failed(failure));
        }
        // It tells of exceeded polls when a write took long; the group takes us in again.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PollExceeded) {
            tracing::warn!(%error, "the brokers complain");
        }
        self.status.count(|counts| counts.broker_errors += 1);
        self.check_brokers()?;
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}
