//! What a sink is told.

use std::str::FromStr;
use std::time::Duration;

use cambist_engine::rates::ledger::WriterOptions;

/// How objects are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// As a ledger of rates: `2024-05-01.json`, its versions and entries.
    Date,
    /// As Kafka Connect's sink does: `topics/<topic>/partition=<p>/<topic>+<p>+<offset>.json`.
    Connect,
}

impl Names {
    /// Returns the name of the choice.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::Connect => "connect",
        }
    }
}

impl FromStr for Names {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "date" => Ok(Self::Date),
            "connect" => Ok(Self::Connect),
            _ => Err(format!("`{text}`, expected date or connect")),
        }
    }
}

/// What is stored and committed at once, whichever is reached first.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Messages.
    pub messages: usize,
    /// Bytes of their payloads; a single larger message is a batch of its own.
    pub bytes: usize,
    /// The time from the first message on.
    pub wait: Duration,
}

/// What a sink is told, besides where from and where to.
#[derive(Clone, Debug)]
pub struct SinkOptions {
    /// The consumer group: sinks of one group share the topic's partitions.
    pub group: String,
    /// How objects are named.
    pub names: Names,
    /// How a ledger judges what it is given.
    pub ledger: WriterOptions,
    /// Ends where all was read and nothing came for so long; else it goes on for ever.
    pub until_idle: Option<Duration>,
    /// What is stored and committed at once.
    pub batch: BatchLimits,
    /// Larger messages go to the dead letters.
    pub message_bytes_max: usize,
    /// For how long a batch is tried to be stored.
    pub store_patience: Duration,
}
