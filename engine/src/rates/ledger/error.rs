//! What can go wrong with a ledger.

use cambist_udfs::rate::adapter::Refusal;
use cambist_udfs::rate::gate::GateOptionsError;

use crate::files::FilesError;
use crate::location::LocationError;
use crate::rates::RatesError;
use crate::store::StoreError;

/// Why a ledger cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The location is not valid, or names no folder.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The glob is not valid, or its objects cannot be listed.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// An object of the ledger's own is not what this program writes; somebody has changed it.
    #[error("`{path}` is not an object of a rates ledger: {detail}")]
    Damaged {
        /// Where it lies.
        path: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The payload holds no snapshot; nothing was stored.
    #[error("`{origin}` is no rate snapshot")]
    Refused {
        /// Where the payload came from.
        origin: String,
        /// Why it is none.
        source: Refusal,
    },
    /// Two different documents would have the same name: somebody has put an object of another content there.
    #[error("`{path}` holds something else than what is to be written there")]
    NameTaken {
        /// The name.
        path: String,
    },
    /// The approval cannot be given.
    #[error("{detail}")]
    Approval {
        /// Why not, and what is expected.
        detail: String,
    },
    /// A limit of the gates is no sensible one.
    #[error(transparent)]
    Gates(#[from] GateOptionsError),
    /// The second provider's rates, which the gates compare with, cannot be read.
    #[error("the rates to compare with, at `{location}`, cannot be used")]
    Against {
        /// Where they lie.
        location: String,
        /// Why not.
        source: Box<RatesError>,
    },
    /// The index cannot be made or read.
    #[error("the index cannot be {action}")]
    Index {
        /// What was tried.
        action: &'static str,
        /// What the library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl LedgerError {
    /// Tells whether the same may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(store) | Self::Files(FilesError::Store(store)) => store.is_retryable(),
            Self::Against { source, .. } => source.is_retryable(),
            _ => false,
        }
    }
}
