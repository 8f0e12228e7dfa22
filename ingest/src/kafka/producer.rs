//! Payloads as messages of a topic.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cambist_udfs::rate::RateDate;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use sha2::{Digest, Sha256};

use super::client::{self, News};
use super::{KafkaAddress, KafkaFailure, KafkaOptions, headers};
use crate::destination::{Delivered, DeliveryError, Destination, Held, Parcel};

/// Messages that wait for a broker. Each delivery is awaited, so there is hardly ever more than one.
const QUEUE_MESSAGES_MAX: &str = "1000";

/// Their bytes: enough for the largest message.
const QUEUE_KIB_MAX: &str = "65536";

/// The largest message that is tried; brokers commonly take 1 MiB, and say so.
const MESSAGE_BYTES_MAX: &str = "16777216";

/// The last messages have long been awaited.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// Produces payloads to a topic: idempotent, acknowledged by all replicas, each awaited.
pub struct KafkaDestination {
    producer: FutureProducer<ProducerContext>,
    address: KafkaAddress,
    options: KafkaOptions,
    news: Arc<News>,
}

impl std::fmt::Debug for KafkaDestination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaDestination").field("address", &self.address).finish_non_exhaustive()
    }
}

struct ProducerContext(Arc<News>);

impl ClientContext for ProducerContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn stats_raw(&self, _: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "the producer complains");
        self.0.hear(reason.to_owned());
    }
}

impl KafkaDestination {
    /// Connects, and looks whether the topic is there.
    ///
    /// # Errors
    /// [`DeliveryError`] where it is not, or no broker answers in time.
    pub async fn open(address: KafkaAddress, options: KafkaOptions) -> Result<Self, DeliveryError> {
        let patience = options.broker_timeout;
        let timeout = patience.as_millis().to_string();
        let mut config = client::config(&address, &options);
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", &timeout)
            // As the Java client does, so that a key lies in one partition whoever produces it.
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "0")
            .set("queue.buffering.max.messages", QUEUE_MESSAGES_MAX)
            .set("queue.buffering.max.kbytes", QUEUE_KIB_MAX)
            .set("message.max.bytes", MESSAGE_BYTES_MAX);
        let news = Arc::new(News::default());
        let context = ProducerContext(Arc::clone(&news));
        let producer = FutureProducer::from_config_and_context(&config, context)
            .map_err(|error| failed(&address, KafkaFailure::of(&error, "begin", address.topic())))?;
        let (looking, topic, hearing) = (producer.clone(), address.topic().to_owned(), Arc::clone(&news));
        let look = move || client::check_topic(looking.client(), &topic, patience, &hearing);
        match tokio::task::spawn_blocking(look).await {
            Ok(looked) => looked.map_err(|failure| failed(&address, failure))?,
            Err(error) => return Err(failed(&address, interrupted(&error))),
        }
        Ok(Self { producer, address, options, news })
    }

    /// Sorts why a message was not delivered.
    fn refused(&self, error: &KafkaError, bytes: usize) -> DeliveryError {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize) => {
                DeliveryError::Refused { source: Box::new(KafkaFailure::TooLarge { bytes }) }
            }
            Some(RDKafkaErrorCode::MessageTimedOut | RDKafkaErrorCode::QueueFull) => {
                failed(&self.address, self.news.gone(self.options.broker_timeout))
            }
            _ => failed(&self.address, KafkaFailure::of(error, "take the message", self.address.topic())),
        }
    }
}

#[async_trait]
impl Destination for KafkaDestination {
    fn held(&self, _: &[&str], _: RateDate) -> Option<Held> {
        None
    }

    async fn deliver(&mut self, parcel: Parcel) -> Result<Delivered, DeliveryError> {
        let sha256 = hex(&Sha256::digest(&parcel.received.bytes));
        let key = headers::key(&parcel.provider, parcel.rate_dates);
        let bytes = parcel.received.bytes.as_ref();
        let record = FutureRecord::to(self.address.topic())
            .key(&key)
            .payload(bytes)
            .headers(headers::of_parcel(&parcel, &sha256));
        let sent = self.producer.send(record, self.options.broker_timeout).await;
        let delivery = sent.map_err(|(error, _)| self.refused(&error, bytes.len()))?;
        let place = format!("{}/{}/{}", self.address, delivery.partition, delivery.offset);
        Ok(Delivered::Stored { place, suspects: Vec::new() })
    }

    async fn finish(self: Box<Self>) -> Result<(), DeliveryError> {
        let Self { producer, address, .. } = *self;
        let flush = move || producer.flush(FLUSH_MAX);
        match tokio::task::spawn_blocking(flush).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                Err(failed(&address, KafkaFailure::of(&error, "take the last messages", address.topic())))
            }
            Err(error) => Err(failed(&address, interrupted(&error))),
        }
    }
}

fn failed(address: &KafkaAddress, failure: KafkaFailure) -> DeliveryError {
    let place = address.to_string();
    match failure {
        KafkaFailure::UnknownTopic { .. } => DeliveryError::Missing { place, source: Box::new(failure) },
        _ => DeliveryError::Failed { place, is_retryable: failure.is_retryable(), source: Box::new(failure) },
    }
}

fn interrupted(error: &tokio::task::JoinError) -> KafkaFailure {
    KafkaFailure::Failed { action: "answer", said: error.to_string() }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
