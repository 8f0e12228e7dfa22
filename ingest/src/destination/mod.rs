//! Where payloads go: the ledger of a folder or bucket, or a stream.

#[cfg(feature = "aws")]
mod firehose;
mod ledger;

use std::collections::BTreeMap;

use async_trait::async_trait;
use cambist_engine::rates::ledger::WriterOptions;
use cambist_engine::store::Stores;
use cambist_udfs::rate::{InstantMicros, RateDate};

pub use cambist_engine::rates::ledger::{Channel, Received};

#[cfg(feature = "aws")]
pub use self::firehose::FirehoseDestination;
pub use self::ledger::LedgerDestination;
use crate::fetch::Surroundings;
use crate::kafka::{KafkaAddress, KafkaOptions};

/// One payload that was read and found to be a publication of rates.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The payload as it was received, and what is known of it.
    pub received: Received,
    /// The publisher by the name of its shape: `openexchangerates`, `ecb`, ….
    pub provider: String,
    /// The first and the last day that the payload has rates of.
    pub rate_dates: (RateDate, RateDate),
}

/// What a destination holds of a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// When it was received.
    pub known_at: InstantMicros,
    /// The request that it answered, without its key.
    pub origin: String,
    /// What was told with it, such as `etag` and `last_modified`.
    pub metadata: BTreeMap<String, String>,
}

/// What became of a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// It is there now.
    Stored {
        /// Where: an object, a record of a stream.
        place: String,
        /// What is held back of it until somebody approves, in words.
        suspects: Vec<String>,
    },
    /// It was there before, byte for byte.
    Unchanged {
        /// Where.
        place: String,
    },
}

/// Why a payload was not delivered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// The payload is nothing that the destination takes; others may be.
    #[error("the payload was refused")]
    Refused {
        /// Why, by the destination.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The program was built without this kind of destination.
    #[error("`{url}` needs a program that was built with the feature `{feature}`")]
    NotBuilt {
        /// The destination.
        url: String,
        /// The feature.
        feature: &'static str,
    },
    /// What the destination names does not exist.
    #[error("`{place}` is not there")]
    Missing {
        /// The destination.
        place: String,
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The destination cannot be used.
    #[error("`{place}` cannot be delivered to")]
    Failed {
        /// The destination.
        place: String,
        /// Whether the same may succeed later.
        is_retryable: bool,
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl DeliveryError {
    /// Tells whether the same delivery may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Failed { is_retryable: true, .. })
    }

    /// Tells whether only this payload is at fault, so that others can still be delivered.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

/// Takes payloads, one after the other, in the order in which they are to be found later.
#[async_trait]
pub trait Destination: Send {
    /// Returns what is held of `date` under any of the `providers`, the newest; nothing where the
    /// destination cannot tell, as a stream cannot.
    fn held(&self, providers: &[&str], date: RateDate) -> Option<Held>;

    /// Delivers one payload: when this returns, it is safe.
    ///
    /// # Errors
    /// [`DeliveryError`]; the same parcel may be delivered again, and is there once.
    async fn deliver(&mut self, parcel: Parcel) -> Result<Delivered, DeliveryError>;

    /// Ends the deliveries.
    ///
    /// # Errors
    /// [`DeliveryError`] where what follows a delivery, such as an index, could not be written. What was
    /// delivered stays.
    async fn finish(self: Box<Self>) -> Result<(), DeliveryError>;
}

/// Opens the destination that `url` names: the ledger in a folder or a bucket, which judges payloads by `gates`,
/// a topic of Kafka, or `firehose://STREAM`.
///
/// # Errors
/// [`DeliveryError::Missing`] where a topic is not there, [`DeliveryError::Failed`] where it cannot be opened,
/// [`DeliveryError::NotBuilt`] where the program lacks it.
pub async fn open(
    stores: &Stores,
    url: &str,
    kafka: &KafkaOptions,
    gates: &WriterOptions,
    surroundings: Surroundings,
) -> Result<Box<dyn Destination>, DeliveryError> {
    if KafkaAddress::is_meant(url) {
        return open_topic(url, kafka).await;
    }
    match url.split_once("://") {
        Some(("firehose", stream)) => open_firehose(url, stream).await,
        _ => Ok(Box::new(LedgerDestination::open(stores, url, gates, surroundings).await?)),
    }
}

#[cfg(feature = "aws")]
async fn open_firehose(url: &str, stream: &str) -> Result<Box<dyn Destination>, DeliveryError> {
    Ok(Box::new(FirehoseDestination::open(url, stream.trim_end_matches('/')).await?))
}

#[cfg(not(feature = "aws"))]
async fn open_firehose(url: &str, _stream: &str) -> Result<Box<dyn Destination>, DeliveryError> {
    Err(DeliveryError::NotBuilt { url: url.to_owned(), feature: "aws" })
}

#[cfg(feature = "kafka")]
async fn open_topic(url: &str, kafka: &KafkaOptions) -> Result<Box<dyn Destination>, DeliveryError> {
    let address = KafkaAddress::parse(url).map_err(|error| DeliveryError::Failed {
        place: url.to_owned(),
        is_retryable: false,
        source: error.into(),
    })?;
    Ok(Box::new(crate::kafka::KafkaDestination::open(address, kafka.clone()).await?))
}

#[cfg(not(feature = "kafka"))]
async fn open_topic(url: &str, _kafka: &KafkaOptions) -> Result<Box<dyn Destination>, DeliveryError> {
    Err(DeliveryError::NotBuilt { url: url.to_owned(), feature: "kafka" })
}
