//! One sink at work.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cambist_engine::store::Stores;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{Consumer, StreamConsumer};
use tokio::sync::watch;

use super::batch::{Batch, Progress};
use super::context::{Changes, SinkContext};
use super::error::SinkError;
use super::place::{Outcome, Place};
use super::status::SinkStatus;
use super::summary::Summary;
use crate::fetch::Surroundings;
use crate::kafka::sink_options::SinkOptions;
use crate::kafka::{KafkaAddress, KafkaFailure, KafkaOptions, client};

/// Longer than any batch may take to be stored: who is late is not taken for dead, and keeps its partitions.
const POLL_INTERVAL_EXTRA: Duration = Duration::from_secs(300);

/// Messages that the library reads ahead, in messages and KiB.
const READ_AHEAD: (&str, &str) = ("5000", "32768");

/// The pauses between attempts to store a batch, beyond those between the requests of each attempt.
const STORE_PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// How long the group may take to let us go.
const LEAVE_MAX: Duration = Duration::from_secs(10);

/// Reads a topic as a member of a group, and stores what it reads.
pub struct Sink {
    pub(super) consumer: Member,
    pub(super) address: KafkaAddress,
    pub(super) kafka: KafkaOptions,
    pub(super) options: SinkOptions,
    pub(super) surroundings: Surroundings,
    pub(super) status: Arc<SinkStatus>,
    pub(super) place: Place,
    pub(super) progress: Progress,
    /// The offset behind the last message that is stored, by partition.
    pub(super) uncommitted: BTreeMap<i32, i64>,
    pub(super) commit_after: Option<Instant>,
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The consumer, with what its context knows.
#[derive(Clone)]
pub(super) struct Member(Arc<StreamConsumer<SinkContext>>);

impl Deref for Member {
    type Target = StreamConsumer<SinkContext>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Member {
    pub(super) fn context_changes(&self) -> Changes {
        self.context().take_changes()
    }

    pub(super) fn assigned(&self) -> Option<std::collections::BTreeSet<i32>> {
        self.context().assigned()
    }

    pub(super) fn down_for(&self) -> Option<Duration> {
        self.context().down_for()
    }

    pub(super) fn gone(&self, after: Duration) -> KafkaFailure {
        self.context().news.gone(after)
    }
}

/// Tells when to stop.
#[derive(Debug)]
pub(super) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Ends when the sink is told to stop.
    pub(super) async fn told(&mut self) {
        if self.0.wait_for(|is_told| *is_told).await.is_err() {
            // Nobody is left who could tell.
            std::future::pending::<()>().await;
        }
    }

    fn is_told(&self) -> bool {
        *self.0.borrow()
    }
}

impl Sink {
    /// Opens the folder and the topic, and joins the group.
    ///
    /// # Errors
    /// Where the folder cannot be written, the topic is not there, or no broker answers in time.
    pub async fn open(
        stores: &Stores,
        address: KafkaAddress,
        to: &str,
        kafka: KafkaOptions,
        options: SinkOptions,
        surroundings: Surroundings,
        status: Arc<SinkStatus>,
    ) -> Result<Self, SinkError> {
        let failed = |source| SinkError::Kafka { from: address.to_string(), source };
        let place = Place::open(stores, to, address.topic(), &options).await?;
        let poll_interval = options.store_patience + POLL_INTERVAL_EXTRA;
        let mut config = client::config(&address, &kafka);
        config
            .set("group.id", &options.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("max.poll.interval.ms", poll_interval.as_millis().to_string())
            .set("queued.min.messages", READ_AHEAD.0)
            .set("queued.max.messages.kbytes", READ_AHEAD.1);
        for (name, value) in [("auto.offset.reset", "earliest"), ("isolation.level", "read_committed")] {
            if !kafka.properties.iter().any(|(set, _)| set == name) {
                config.set(name, value);
            }
        }
        let context = SinkContext::new(address.topic(), Arc::clone(&status));
        let consumer = StreamConsumer::from_config_and_context(&config, context)
            .map_err(|error| failed(KafkaFailure::of(&error, "begin", address.topic())))?;
        let consumer = Member(Arc::new(consumer));
        let (looking, topic, patience) = (consumer.clone(), address.topic().to_owned(), kafka.broker_timeout);
        let look = move || client::check_topic(looking.client(), &topic, patience, &looking.context().news);
        let looked = tokio::task::spawn_blocking(look)
            .await
            .unwrap_or_else(|error| Err(KafkaFailure::Failed { action: "answer", said: error.to_string() }));
        looked.map_err(failed)?;
        consumer
            .subscribe(&[address.topic()])
            .map_err(|error| failed(KafkaFailure::of(&error, "take us in", address.topic())))?;
        Ok(Self {
            consumer,
            address,
            kafka,
            options,
            surroundings,
            status,
            place,
            progress: Progress::default(),
            uncommitted: BTreeMap::new(),
            commit_after: None,
        })
    }

    /// Works until it is told to stop, all is read (where it was told so), or something fails.
    ///
    /// What was collected when it is told to stop is stored and committed.
    pub async fn run(mut self, stop: watch::Receiver<bool>) -> (Summary, Result<(), SinkError>) {
        let mut stop = Stop(stop);
        let worked = self.work(&mut stop).await;
        let committed = self.commit_last().await;
        let indexed = self.place.index((self.surroundings.now)(), true).await;
        let summary = Summary::of(&self.status);
        self.leave().await;
        (summary, worked.and(committed).and(indexed))
    }

    async fn work(&mut self, stop: &mut Stop) -> Result<(), SinkError> {
        loop {
            let batch = self.collect(stop).await?;
            let is_last = batch.is_last;
            if !batch.records.is_empty() {
                self.store(batch, stop).await?;
            }
            if is_last {
                return Ok(());
            }
            self.commit().await?;
            self.place.index((self.surroundings.now)(), false).await?;
        }
    }

    /// Stores a batch: bounded attempts, with pauses that grow. Nothing is committed meanwhile, nor read.
    async fn store(&mut self, batch: Batch, stop: &mut Stop) -> Result<(), SinkError> {
        let started = Instant::now();
        let mut pause = STORE_PAUSES.0;
        let outcomes = loop {
            let error = match self.place.store(&batch.records, (self.surroundings.now)()).await {
                Ok(outcomes) => break outcomes,
                Err(error) => error,
            };
            self.place.forget();
            self.status.count(|counts| counts.store_failures += 1);
            let is_over = started.elapsed() + pause > self.options.store_patience;
            if !error.is_retryable() || is_over || stop.is_told() {
                return Err(error);
            }
            self.status.state().is_store_failing = true;
            tracing::warn!(error = %chain(&error), ?pause, "messages could not be stored; it is tried again");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.told() => {}
            }
            pause = (pause * 2).min(STORE_PAUSES.1);
        };
        self.note_stored(&batch.records);
        self.note_outcomes(&batch, &outcomes);
        Ok(())
    }

    fn note_outcomes(&self, batch: &Batch, outcomes: &[Outcome]) {
        let mut state = self.status.state();
        state.is_store_failing = false;
        state.counts.batches += 1;
        state.counts.read += batch.records.len() as u64;
        state.counts.read_bytes += batch.bytes as u64;
        for (record, outcome) in batch.records.iter().zip(outcomes) {
            match outcome {
                Outcome::Stored { is_held } => {
                    state.counts.stored += 1;
                    state.counts.held += u64::from(*is_held);
                }
                Outcome::Unchanged => state.counts.unchanged += 1,
                Outcome::Dead { reason } => {
                    state.counts.dead_letters += 1;
                    *state.dead_by_reason.entry(reason).or_default() += 1;
                    let (partition, offset) = (record.partition, record.offset);
                    tracing::warn!(partition, offset, reason, "a message went to the dead letters");
                }
            }
        }
    }

    /// Leaves the group, so that others need not wait until it is found that we are gone.
    async fn leave(self) {
        let Self { consumer, .. } = self;
        let leaving = tokio::task::spawn_blocking(move || drop(consumer));
        if tokio::time::timeout(LEAVE_MAX, leaving).await.is_err() {
            tracing::warn!("the group does not answer; it will find that this sink is gone");
        }
    }

    pub(super) fn failed(&self, source: KafkaFailure) -> SinkError {
        SinkError::Kafka { from: self.address.to_string(), source }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
