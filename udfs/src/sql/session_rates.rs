//! The rate book that the functions of a session look rates up in.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use datafusion::common::Result;

use crate::currency::CurrencyTable;
use crate::rate::{AsOfMode, RateBook};

/// What tells two books apart: the snapshots, and the rule by which one is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct BookIdentity {
    /// The digest of the admitted snapshots.
    pub digest: [u8; 32],
    /// By what a snapshot is eligible.
    pub mode: AsOfMode,
    /// The most days that a snapshot may be older than the event.
    pub max_age_days: Option<u32>,
}

impl BookIdentity {
    /// Returns the identity of a book.
    pub fn of(book: &RateBook) -> Self {
        let options = book.options();
        Self { digest: book.digest(), mode: options.mode, max_age_days: options.max_age_days }
    }
}

/// A rate book as the functions of one session hold it.
///
/// Two are equal if they answer alike: the same snapshots, chosen by the same rule. Plans compare
/// functions, so this must not depend on where a book lies in memory.
#[derive(Clone)]
pub struct SessionRates {
    identity: BookIdentity,
    origin: Option<Arc<str>>,
    book: Book,
}

#[derive(Clone)]
enum Book {
    Loaded(Arc<RateBook>),
    Deferred(Arc<Deferred>),
}

type Load = Box<dyn Fn() -> Result<Arc<RateBook>> + Send + Sync>;

/// A book that is asked for when the first row needs it.
struct Deferred {
    load: Load,
    loaded: OnceLock<Arc<RateBook>>,
}

impl SessionRates {
    /// Binds `book`.
    pub fn new(book: Arc<RateBook>) -> Self {
        Self { identity: BookIdentity::of(&book), origin: None, book: Book::Loaded(book) }
    }

    /// Binds a book that `load` gives when the first row needs it; for plans that were made elsewhere.
    pub fn deferred(
        identity: BookIdentity,
        load: impl Fn() -> Result<Arc<RateBook>> + Send + Sync + 'static,
    ) -> Self {
        let deferred = Deferred { load: Box::new(load), loaded: OnceLock::new() };
        Self { identity, origin: None, book: Book::Deferred(Arc::new(deferred)) }
    }

    /// Notes from where another process gets the same book. What the text says is for the two ends to
    /// agree on.
    #[must_use]
    pub fn with_origin(mut self, origin: impl Into<Arc<str>>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Returns what tells the book from others.
    pub const fn identity(&self) -> &BookIdentity {
        &self.identity
    }

    /// Returns from where another process gets the same book, if that was noted.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// Returns the book.
    ///
    /// # Errors
    ///
    /// Where a deferred book cannot be loaded.
    pub fn book(&self) -> Result<&RateBook> {
        match &self.book {
            Book::Loaded(book) => Ok(book),
            Book::Deferred(deferred) => match deferred.loaded.get() {
                Some(book) => Ok(book),
                None => {
                    let book = (deferred.load)()?;
                    Ok(deferred.loaded.get_or_init(|| book))
                }
            },
        }
    }
}

impl PartialEq for SessionRates {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Eq for SessionRates {}

impl Hash for SessionRates {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity.hash(state);
    }
}

impl fmt::Debug for SessionRates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A book is megabytes, and plans are printed.
        match &self.book {
            Book::Loaded(book) => write!(f, "SessionRates({} snapshots)", book.snapshots().len()),
            Book::Deferred(_) => f.write_str("SessionRates(deferred)"),
        }
    }
}

/// Returns the currencies that a session knows: those of its book, else those of ISO 4217.
pub(super) fn known_currencies(rates: Option<&SessionRates>) -> Result<&CurrencyTable> {
    match rates {
        Some(rates) => Ok(rates.book()?.currencies()),
        None => Ok(CurrencyTable::iso()),
    }
}
