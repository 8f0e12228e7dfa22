//! The sink: what lies in a topic, stored as objects, each message once.
//!
//! **Invariants.** A message's object is created before its offset is committed, so a sink that dies repeats
//! messages and loses none; a repeated message finds its object and changes nothing. Brokers are listened to
//! only between batches, so partitions are given up with everything of theirs either stored and committed or
//! not begun.

mod batch;
mod commit;
mod context;
mod dead_letter;
mod error;
mod examine;
pub mod pages;
mod place;
mod record;
mod run;
mod status;
mod summary;

pub use self::error::SinkError;
pub use self::run::Sink;
pub use self::status::SinkStatus;
pub use self::summary::Summary;
