//! Why an executor does not run.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why an executor does not run. A scheduler that does not answer is no error: it is tried for ever.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecutorError {
    /// The scheduler runs another version: install the same on both.
    #[error("the scheduler refuses this executor: {message}")]
    Refused {
        /// What the scheduler said.
        message: String,
    },
    /// A port is taken, or the address is not this machine's: choose another.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder for scratch files cannot be used: choose another.
    #[error("cannot use `{path}` for scratch files")]
    WorkDir {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system does not let this process listen for signals.
    #[error("signals cannot be listened for")]
    Signals {
        /// What the system said.
        source: std::io::Error,
    },
    /// The session cannot be made: a defect.
    #[error("the session of tasks cannot be made")]
    Session {
        /// What DataFusion said.
        #[source]
        source: Box<datafusion::common::DataFusionError>,
    },
}
