//! Rate providers asked over HTTP, the places that their answers are delivered to, and the files that are brought
//! into a ledger.
//!
//! A payload is delivered byte for byte as it was received. Nothing here judges a rate, knows a job, prints,
//! or reads the clock; the key of a provider leaves this crate in requests only.

pub mod destination;
pub mod fetch;
pub mod import;
pub mod kafka;
pub mod provider;
pub mod question;
pub mod round;
pub mod secret;
