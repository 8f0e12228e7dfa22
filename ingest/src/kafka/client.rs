//! What producers and consumers have in common: properties, the first look at the topic, what the library
//! tells by itself.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;

use super::{KafkaAddress, KafkaFailure, KafkaOptions};

/// How often the library reports what it knows of brokers and partitions.
const STATISTICS_MILLIS: &str = "1000";

/// The pauses between attempts to reach a broker: they double from the one to the other.
const RECONNECT_MILLIS: (&str, &str) = ("100", "5000");

/// One look at the topic; as many as fit into the time for which brokers may be gone.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// Between two looks at a topic that just cannot be told.
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// Returns what every client is made with.
pub(super) fn config(address: &KafkaAddress, options: &KafkaOptions) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("client.id", "cambist")
        .set("reconnect.backoff.ms", RECONNECT_MILLIS.0)
        .set("reconnect.backoff.max.ms", RECONNECT_MILLIS.1)
        // Asking for a topic must not make it: a name that was mistyped would look like an empty topic.
        .set("allow.auto.create.topics", "false");
    for (name, value) in &options.properties {
        config.set(name, value);
    }
    config.set("bootstrap.servers", address.brokers()).set("statistics.interval.ms", STATISTICS_MILLIS);
    config
}

/// Waits until a broker tells that the topic is there; blocks the thread.
///
/// # Errors
/// Where there is no such topic, it may not be used, or no broker answers for the time that is allowed.
pub(super) fn check_topic<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    patience: Duration,
    news: &News,
) -> Result<(), KafkaFailure> {
    let started = Instant::now();
    loop {
        let left = patience.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Err(news.gone(started.elapsed()));
        }
        match client.fetch_metadata(Some(topic), left.min(LOOK_MAX)) {
            Ok(metadata) => match metadata.topics().first().and_then(|topic| topic.error()) {
                None => return Ok(()),
                Some(
                    RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE
                    | RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID,
                ) => {}
                Some(error) => {
                    let error = KafkaError::MetadataFetch(error.into());
                    return Err(KafkaFailure::of(&error, "tell of the topic", topic));
                }
            },
            Err(error) => {
                let failure = KafkaFailure::of(&error, "tell of the topic", topic);
                if !failure.is_retryable() {
                    return Err(failure);
                }
                news.hear(error.to_string());
            }
        }
        std::thread::sleep(LOOK_PAUSE.min(patience.saturating_sub(started.elapsed())));
    }
}

/// What the library has told last of brokers that cannot be reached.
#[derive(Debug, Default)]
pub(super) struct News(Mutex<Option<String>>);

impl News {
    pub(super) fn hear(&self, said: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
    }

    pub(super) fn last(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn gone(&self, after: Duration) -> KafkaFailure {
        KafkaFailure::Gone { after, said: self.last() }
    }
}

/// Passes the library's log on.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(facility, "{message}");
        }
        // It complains of each connection that is lost; what comes of that is told elsewhere.
        _ => tracing::debug!(facility, "{message}"),
    }
}
