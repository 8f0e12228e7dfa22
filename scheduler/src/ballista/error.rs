//! Why a cluster cannot start.

use std::net::SocketAddr;

use ballista_core::error::BallistaError;

/// Why a cluster cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The address cannot be listened on: choose another, or stop who has it.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Ballista's scheduler does not start: a defect, or settings that it refuses.
    #[error("Ballista's scheduler does not start")]
    Start {
        /// What it said.
        #[source]
        source: Box<BallistaError>,
    },
}

impl From<BallistaError> for ClusterError {
    fn from(source: BallistaError) -> Self {
        Self::Start { source: Box::new(source) }
    }
}
