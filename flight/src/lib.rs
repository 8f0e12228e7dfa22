//! Arrow Flight SQL: the endpoint that clients speak with, and the client of our own.
//!
//! A [`FlightServer`] listens, over TLS, and puts the statements of its clients to a
//! [`SqlService`](cambist_sql::SqlService). Who may come in is told by a file of [`credentials`], which holds only
//! hashes. Every call is authenticated, in one place; results and prepared statements are named by random ids that
//! are bound to their user, expire, and, for results, work once.

mod authentication;
pub mod client;
mod connection;
pub mod credentials;
mod error;
mod held;
mod secret;
mod server;
mod service;
mod sessions;
mod settings;
mod status;
mod tls;

pub use error::{FlightServerError, Result};
pub use server::FlightServer;
pub use settings::{FlightSettings, Tls};

#[cfg(test)]
mod tests;
