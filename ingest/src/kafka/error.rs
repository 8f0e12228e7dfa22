//! What can go wrong between this program and its brokers.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// A failure, by what should be done about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KafkaFailure {
    /// There is no such topic; none is made by asking for it.
    #[error("there is no topic `{topic}`")]
    UnknownTopic {
        /// The topic.
        topic: String,
    },
    /// The brokers do not let this client do what it wants.
    #[error("the brokers refuse: {said}")]
    Denied {
        /// In the brokers' words.
        said: String,
    },
    /// The client cannot be made: a property is wrong.
    #[error("the client cannot be made: {said}")]
    Client {
        /// In the library's words.
        said: String,
    },
    /// The message is too large for the topic.
    #[error("the message is larger than the topic takes: {bytes} bytes")]
    TooLarge {
        /// Its payload's size.
        bytes: usize,
    },
    /// No broker answered for longer than was allowed.
    #[error("no broker has answered for {} s{}", after.as_secs(), hint_of(said))]
    Gone {
        /// For how long.
        after: Duration,
        /// What was last heard of them.
        said: Option<String>,
    },
    /// The brokers failed at what was asked.
    #[error("the brokers failed to {action}: {said}")]
    Failed {
        /// What was asked.
        action: &'static str,
        /// In their words.
        said: String,
    },
}

impl KafkaFailure {
    /// Tells whether the same may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Gone { .. } | Self::Failed { .. })
    }

    /// Sorts what the library says.
    pub(super) fn of(error: &KafkaError, action: &'static str, topic: &str) -> Self {
        let said = error.to_string();
        match error.rdkafka_error_code() {
            Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::InvalidTopic) => {
                Self::UnknownTopic { topic: topic.to_owned() }
            }
            Some(
                Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::SaslAuthenticationFailed
                | Code::Authentication
                | Code::UnsupportedSASLMechanism
                | Code::IllegalSASLState,
            ) => Self::Denied { said },
            _ if matches!(error, KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_)) => {
                Self::Client { said }
            }
            _ => Self::Failed { action, said },
        }
    }
}

fn hint_of(said: &Option<String>) -> String {
    said.as_ref().map_or_else(String::new, |said| format!(": {said}"))
}
