//! Why a sink ends before it was told to.

use cambist_engine::location::LocationError;
use cambist_engine::rates::ledger::LedgerError;
use cambist_engine::store::StoreError;

use crate::kafka::KafkaFailure;

/// Why a sink ends before it was told to. What it stored and committed stays; the next one goes on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The brokers or the topic.
    #[error("`{from}` cannot be read")]
    Kafka {
        /// The topic's address.
        from: String,
        /// Why.
        source: KafkaFailure,
    },
    /// Objects cannot be created.
    #[error("messages cannot be stored")]
    Store(#[from] StoreError),
    /// The ledger cannot be read or written.
    #[error("messages cannot be brought into the ledger")]
    Ledger(#[source] Box<LedgerError>),
    /// It is no place for objects.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// Another topic's object lies where this message belongs: the topic was made anew, or two share a folder.
    #[error(
        "`{path}` holds another payload than the message of its name; use a folder for each topic's life"
    )]
    NameTaken {
        /// The object.
        path: String,
    },
}

impl SinkError {
    /// Tells whether the same may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Kafka { source, .. } => source.is_retryable(),
            Self::Store(error) => error.is_retryable(),
            Self::Ledger(error) => error.is_retryable(),
            Self::Location(_) | Self::NameTaken { .. } => false,
        }
    }
}

impl From<LedgerError> for SinkError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(Box::new(error))
    }
}
