//! Kafka: a topic as the destination of payloads, and the sink that stores what lies in one.
//!
//! What talks to brokers is built with the feature `kafka` only; addresses and options are always there, so
//! that a program without it can say what it lacks.

mod address;
#[cfg(feature = "kafka")]
mod client;
#[cfg(feature = "kafka")]
mod error;
#[cfg(feature = "kafka")]
mod headers;
mod options;
#[cfg(feature = "kafka")]
mod producer;
#[cfg(feature = "kafka")]
pub mod sink;
pub mod sink_options;

pub use self::address::{AddressError, KafkaAddress};
#[cfg(feature = "kafka")]
pub use self::error::KafkaFailure;
pub use self::options::{KafkaOptions, OptionsError};
#[cfg(feature = "kafka")]
pub use self::producer::KafkaDestination;

/// What is to be said where this build does not talk to Kafka.
pub const NOT_BUILT_IN: &str = "this needs a program that was built with the feature `kafka`";
