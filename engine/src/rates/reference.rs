//! What a plan says of its rates: which book, and where a process that has not got it finds it.

use std::fmt;

use cambist_udfs::rate::{AsOfMode, RateBook};
use cambist_udfs::sql::BookIdentity;
use serde::{Deserialize, Serialize};

/// The reference of a rate book, as plans carry it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateBookRef {
    /// Where its snapshots lie.
    pub url: String,
    /// The hex sha256 over the snapshots it admits.
    pub digest: String,
    /// How many snapshots it admits.
    pub snapshots: usize,
    /// By what a snapshot is eligible for an event.
    pub mode: AsOfMode,
    /// The most days that a snapshot may be older than the event.
    pub max_age_days: Option<u32>,
    /// Where the book lies as one object, if other processes are to load it.
    pub pinned: Option<PinnedBook>,
}

/// A book as one object of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedBook {
    /// An absolute path or an `s3://` URL.
    pub location: String,
    /// The hex sha256 of the object.
    pub sha256: String,
}

/// Tells a book from others: the same snapshots may be used by different rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct BookKey {
    digest: String,
    mode: AsOfMode,
    max_age_days: Option<u32>,
}

impl RateBookRef {
    /// Returns the reference of a book whose snapshots lie at `url`.
    pub fn of(url: &str, book: &RateBook) -> Self {
        Self {
            url: url.to_owned(),
            digest: hex(&book.digest()),
            snapshots: book.snapshots().len(),
            mode: book.options().mode,
            max_age_days: book.options().max_age_days,
            pinned: None,
        }
    }

    pub(super) fn key(&self) -> BookKey {
        BookKey { digest: self.digest.clone(), mode: self.mode, max_age_days: self.max_age_days }
    }
}

impl From<&BookIdentity> for BookKey {
    fn from(identity: &BookIdentity) -> Self {
        Self { digest: hex(&identity.digest), mode: identity.mode, max_age_days: identity.max_age_days }
    }
}

impl fmt::Display for RateBookRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rates={} ({} snapshots)", self.digest.get(..12).unwrap_or(&self.digest), self.snapshots)
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
