//! What a server needs to know.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{FlightServerError, Result};

/// How the connections are protected.
#[derive(Clone, Debug)]
pub enum Tls {
    /// By a certificate and its key.
    Files {
        /// The certificate, then those that vouch for it: PEM.
        certificate: PathBuf,
        /// Its private key: PEM.
        key: PathBuf,
    },
    /// By a pair that is made where it is not there yet, for trying out. Clients trust `ca.pem` of the folder.
    SelfSigned {
        /// Holds `ca.pem`, `server.pem` and `server.key`; to have a new pair made, remove it.
        folder: PathBuf,
        /// The names and addresses by which clients call the server, besides `localhost` and loopback.
        names: Vec<String>,
    },
    /// Not at all: on loopback only.
    Off,
}

/// What a server needs to know.
#[derive(Clone, Debug)]
pub struct FlightSettings {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How connections are protected.
    pub tls: Tls,
    /// The file of [credentials](crate::credentials).
    pub credentials: PathBuf,
    /// How long a session, and a prepared statement, lasts that nobody uses.
    pub session_idle: Duration,
    /// How long a result waits to be fetched.
    pub ticket_lifetime: Duration,
    /// Sessions of one user; one more ends the one that lay idle longest.
    pub sessions_per_user: usize,
    /// Results of one user that wait to be fetched; one more drops the oldest.
    pub tickets_per_user: usize,
    /// Prepared statements of one user; one more closes the one that lay idle longest.
    pub statements_per_user: usize,
    /// Bytes of a message that a client sends.
    pub request_bytes_max: usize,
    /// Bytes of rows that a message to a client has, about.
    pub batch_bytes: usize,
    /// Connections at once; one more is closed.
    pub connections_max: usize,
    /// Calls of one connection at once.
    pub calls_per_connection: u32,
    /// Passwords that are verified at once, each in 19 MiB of memory; others wait for a while.
    pub verifications_max: usize,
    /// How long a client may take until it has come in: the TLS handshake, then its first authenticated call.
    pub admission_time: Duration,
    /// How long results may flow on once the server is told to stop.
    pub grace: Duration,
}

impl FlightSettings {
    /// The settings of a server on a loopback port, with TLS off.
    pub fn on_loopback(port: u16, credentials: PathBuf) -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
            tls: Tls::Off,
            credentials,
            session_idle: Duration::from_secs(60 * 60),
            ticket_lifetime: Duration::from_secs(5 * 60),
            sessions_per_user: 256,
            tickets_per_user: 256,
            statements_per_user: 512,
            request_bytes_max: 4 << 20,
            batch_bytes: 2 << 20,
            connections_max: 1024,
            calls_per_connection: 256,
            verifications_max: 2,
            admission_time: Duration::from_secs(20),
            grace: Duration::from_secs(10),
        }
    }

    /// Looks the settings over.
    pub(crate) fn check(&self) -> Result<()> {
        let counts = [
            ("sessions_per_user", self.sessions_per_user),
            ("tickets_per_user", self.tickets_per_user),
            ("statements_per_user", self.statements_per_user),
            ("request_bytes_max", self.request_bytes_max),
            ("batch_bytes", self.batch_bytes),
            ("connections_max", self.connections_max),
            ("calls_per_connection", self.calls_per_connection as usize),
            ("verifications_max", self.verifications_max),
        ];
        if let Some((name, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(FlightServerError::Setting { name, found: "0".to_owned(), expected: "at least 1" });
        }
        if matches!(self.tls, Tls::Off) && !self.listen.ip().is_loopback() {
            return Err(FlightServerError::Unprotected { address: self.listen });
        }
        Ok(())
    }
}
