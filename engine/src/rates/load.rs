//! Makes a rate book of a ledger, or of a plain folder of snapshots.

use std::sync::Arc;

use cambist_udfs::rate::adapter::{RejectedEntry, SnapshotNotice};
use cambist_udfs::rate::{BookError, BookOptions, InstantMicros, RateBook};
use serde::Serialize;

use super::ledger::{self, Contents, HeldSnapshot, Known, LedgerError};
use super::reference::RateBookRef;
use crate::files::FilesError;
use crate::store::Stores;

/// A snapshot object that is not used, and why.
#[derive(Clone, Debug, Serialize)]
pub struct RefusedSnapshot {
    /// Where it lies.
    pub location: String,
    /// The stable reason code.
    pub reason: &'static str,
    /// What was found.
    pub detail: String,
}

/// What loading a folder of snapshots gave.
#[derive(Clone, Debug)]
pub struct LoadedRates {
    /// The book.
    pub book: Arc<RateBook>,
    /// The book's reference.
    pub reference: RateBookRef,
    /// Objects that are not used.
    pub refused: Vec<RefusedSnapshot>,
    /// Objects that are used with a warning: location, warning.
    pub notices: Vec<(String, SnapshotNotice)>,
    /// Single rates that are not used: location, entry.
    pub entries: Vec<(String, RejectedEntry)>,
    /// What was published and is held back until somebody approves it.
    pub held: Vec<HeldSnapshot>,
}

/// Why no book could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RatesError {
    /// The store refused or failed.
    #[error("rates could not be read from `{location}`")]
    Store {
        /// Where the rates lie.
        location: String,
        /// What the store said.
        source: FilesError,
    },
    /// What lies there is a ledger, and damaged.
    #[error("the rates ledger at `{location}` cannot be read")]
    Ledger {
        /// Where it lies.
        location: String,
        /// What is wrong with it.
        source: LedgerError,
    },
    /// Nothing lies there.
    #[error(
        "no rate snapshot found at `{location}`, expected files such as `2024-05-01.json` or an ECB history"
    )]
    Nothing {
        /// Where the rates were looked for.
        location: String,
    },
    /// No object there is a snapshot.
    #[error("none of the {} files at `{location}` is a usable rate snapshot; the first: {}", refused.len(), first(refused))]
    NoneUsable {
        /// Where the rates lie.
        location: String,
        /// Every object with its reason.
        refused: Vec<RefusedSnapshot>,
    },
    /// The snapshots do not make a book.
    #[error("the rate snapshots at `{location}` do not make a book{}", source.reason().map_or_else(String::new, |reason| format!(" ({reason})")))]
    Book {
        /// Where the rates lie.
        location: String,
        /// Why not.
        source: BookError,
    },
}

impl RatesError {
    /// Tells whether the same may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store { source: FilesError::Store(store), .. } => store.is_retryable(),
            Self::Ledger { source, .. } => source.is_retryable(),
            _ => false,
        }
    }
}

fn first(refused: &[RefusedSnapshot]) -> String {
    refused
        .first()
        .map_or_else(String::new, |one| format!("{}: {}: {}", one.location, one.reason, one.detail))
}

/// Loads every snapshot at `location`: one object, a glob, a folder, or a ledger.
///
/// A snapshot is known from the time that its entry in the ledger names; where it has none, from its object's
/// modification time. Objects that are no snapshot are listed and passed over; the good ones stand.
///
/// # Errors
/// [`RatesError`]; [`RatesError::Nothing`] where nothing lies there.
pub async fn load(stores: &Stores, location: &str, options: &BookOptions) -> Result<LoadedRates, RatesError> {
    RateFolder::read(stores, location).await?.load(options)
}

/// All that lies in one place, read once: books of several instants can be made of it.
#[derive(Clone, Debug)]
pub struct RateFolder {
    location: String,
    contents: Contents,
}

impl RateFolder {
    /// Reads every snapshot at `location`, whenever it became known.
    ///
    /// # Errors
    /// [`RatesError`]; [`RatesError::Nothing`] where nothing lies there.
    pub async fn read(stores: &Stores, location: &str) -> Result<Self, RatesError> {
        let contents = ledger::read(stores, location).await.map_err(|error| of_ledger(error, location))?;
        let contents = contents.ok_or_else(|| RatesError::Nothing { location: location.to_owned() })?;
        Ok(Self { location: location.to_owned(), contents })
    }

    /// Returns how often what is known of the rates had changed by an instant: as of two instants with the same
    /// number, books hold the same snapshots.
    pub fn changes_until(&self, known_as_of: InstantMicros) -> usize {
        self.contents.changes().filter(|change| *change <= known_as_of).count()
    }

    /// Makes the book that the options ask for.
    ///
    /// # Errors
    /// [`RatesError::NoneUsable`] and [`RatesError::Book`].
    #[expect(clippy::result_large_err, reason = "once for each book, whose size dwarfs the error's")]
    pub fn load(self, options: &BookOptions) -> Result<LoadedRates, RatesError> {
        let Self { location, contents } = self;
        let Known { snapshots, refused, notices, entries, held } = contents.known_as_of(options.known_as_of);
        if snapshots.is_empty() && held.is_empty() && !refused.is_empty() {
            return Err(RatesError::NoneUsable { location, refused });
        }
        let book = RateBook::build(snapshots, options)
            .map_err(|source| RatesError::Book { location: location.clone(), source })?;
        let reference = RateBookRef::of(&location, &book);
        Ok(LoadedRates { book: Arc::new(book), reference, refused, notices, entries, held })
    }
}

fn of_ledger(error: LedgerError, location: &str) -> RatesError {
    let location = location.to_owned();
    match error {
        LedgerError::Files(source) => RatesError::Store { location, source },
        LedgerError::Store(source) => RatesError::Store { location, source: FilesError::Store(source) },
        LedgerError::Location(source) => RatesError::Store { location, source: FilesError::Location(source) },
        source => RatesError::Ledger { location, source },
    }
}
