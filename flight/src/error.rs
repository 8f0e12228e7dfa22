//! Why a server does not start, or a file of credentials cannot be used.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlightServerError {
    /// The address cannot be listened on: choose another, or stop who has it.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Without TLS, passwords and rows would travel in the open: give a certificate, or listen on loopback.
    #[error("`{address}` can be reached from other machines, expected TLS there or a loopback address")]
    Unprotected {
        /// The address.
        address: SocketAddr,
    },
    /// A setting is not valid: mend it.
    #[error("setting `{name}` is {found}, expected {expected}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// What was found.
        found: String,
        /// What is valid.
        expected: &'static str,
    },
    /// A file cannot be read or written: mend its path or permissions.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// What was tried: `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The certificate or its key is not usable.
    #[error("the certificate and its key cannot be used: {reason}")]
    Certificate {
        /// What was found.
        reason: String,
    },
    /// The file of credentials is not of the form that is expected: mend it.
    #[error("the credentials in `{}` are not valid: {reason}", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What was found, and where.
        reason: String,
    },
    /// There is no such user.
    #[error("unknown user `{user}`, expected one of: {known}")]
    UnknownUser {
        /// The name.
        user: String,
        /// The users that there are.
        known: String,
    },
    /// A user's name or password cannot be accepted.
    #[error("{what} is not acceptable: {reason}")]
    Unacceptable {
        /// The name, or the password without its value.
        what: String,
        /// What is expected.
        reason: &'static str,
    },
    /// The system has no random bytes to give.
    #[error("no random bytes: {reason}")]
    Random {
        /// What the system said.
        reason: String,
    },
    /// The server has failed.
    #[error("the Flight SQL server has failed: {reason}")]
    Serve {
        /// What was found.
        reason: String,
    },
}

/// The result of a step that may fail so.
pub type Result<T, E = FlightServerError> = std::result::Result<T, E>;
