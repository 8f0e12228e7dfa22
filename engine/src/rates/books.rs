//! The books that this process has loaded, each once however many tasks ask for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use cambist_udfs::rate::RateBook;
use cambist_udfs::sql::BookIdentity;
use datafusion::common::{Result, exec_err, internal_datafusion_err};
use datafusion::execution::TaskContext;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::OnceCell;

use super::pinned;
use super::reference::{BookKey, RateBookRef};
use crate::store::Stores;

/// A book of the ECB's whole history takes some 30 MiB, and runs at the same time mostly share one.
const BOOKS_MAX: usize = 8;

/// The rate books of this process; a session configuration carries it.
///
/// The least recently used are let go when there are too many. One that a task still holds is shared
/// all the same.
#[derive(Debug, Default)]
pub struct RateBooks {
    stores: Stores,
    shelf: Mutex<Shelf>,
    loads: AtomicU64,
    hits: AtomicU64,
    failures: AtomicU64,
}

/// How often books were asked for, since this process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateBookCounts {
    /// Books that were loaded from a store.
    pub loads: u64,
    /// Requests that were answered without loading.
    pub hits: u64,
    /// Loads that failed.
    pub failures: u64,
    /// Books that are kept at the moment.
    pub kept: usize,
}

type Slot = Arc<OnceCell<Arc<RateBook>>>;

#[derive(Debug, Default)]
struct Shelf {
    /// The most recently used last.
    kept: Vec<(BookKey, Slot)>,
    /// Every book that somebody holds.
    alive: HashMap<BookKey, Weak<RateBook>>,
}

impl RateBooks {
    /// Makes an empty set that loads from `stores`.
    pub fn new(stores: Stores) -> Self {
        Self { stores, ..Self::default() }
    }

    /// Shares a book that this process has made itself.
    pub fn add(&self, reference: &RateBookRef, book: Arc<RateBook>) {
        let mut shelf = self.shelf();
        shelf.note(reference.key(), &book);
        let slot = shelf.slot(reference.key());
        drop(shelf);
        // A book under the same key is the same book.
        let _ = slot.set(book);
    }

    /// Returns a book, loading it if this process has not got it. Whoever asks meanwhile waits for the
    /// same load; one that fails is tried again by the next who asks.
    ///
    /// # Errors
    /// An `IoError` where the store failed and another try may succeed; otherwise where the plan does not
    /// say where the book lies, or another one lies there.
    pub async fn get(&self, reference: &RateBookRef) -> Result<Arc<RateBook>> {
        if let Some(book) = self.loaded_key(&reference.key()) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(book);
        }
        let slot = self.shelf().slot(reference.key());
        let mut is_loaded_here = false;
        let load = async {
            is_loaded_here = true;
            let loaded = pinned::read(&self.stores, reference).await;
            let counter = if loaded.is_ok() { &self.loads } else { &self.failures };
            counter.fetch_add(1, Ordering::Relaxed);
            loaded.map(Arc::new)
        };
        let book = Arc::clone(slot.get_or_try_init(|| load).await?);
        if !is_loaded_here {
            self.hits.fetch_add(1, Ordering::Relaxed);
        }
        self.shelf().note(reference.key(), &book);
        Ok(book)
    }

    /// Returns a book where nothing can wait: in a SQL function, on a thread of the runtime.
    ///
    /// As a rule it is loaded by then, since operators that are told of their book wait for it. Otherwise
    /// the thread is blocked for as long as loading takes.
    ///
    /// # Errors
    /// Those of [`Self::get`]; also where the runtime has no other thread.
    pub fn get_blocking(&self, reference: &RateBookRef) -> Result<Arc<RateBook>> {
        if let Some(book) = self.loaded_key(&reference.key()) {
            return Ok(book);
        }
        match Handle::try_current() {
            Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => {
                tokio::task::block_in_place(|| runtime.block_on(self.get(reference)))
            }
            _ => exec_err!("{reference} is not loaded in this process"),
        }
    }

    /// Returns a book if this process has it.
    pub fn loaded(&self, identity: &BookIdentity) -> Option<Arc<RateBook>> {
        self.loaded_key(&identity.into())
    }

    /// Returns the book that a task's plan refers to.
    ///
    /// # Errors
    /// Those of [`Self::get`].
    pub async fn of(context: &TaskContext, reference: &RateBookRef) -> Result<Arc<RateBook>> {
        let books = context.session_config().get_extension::<Self>();
        let books = books.ok_or_else(|| {
            internal_datafusion_err!("the session has no rate books, expected one made by session_config")
        })?;
        books.get(reference).await
    }

    /// Returns how often books were asked for.
    pub fn counts(&self) -> RateBookCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RateBookCounts {
            loads: read(&self.loads),
            hits: read(&self.hits),
            failures: read(&self.failures),
            kept: self.shelf().kept.len(),
        }
    }

    fn loaded_key(&self, key: &BookKey) -> Option<Arc<RateBook>> {
        let mut shelf = self.shelf();
        if let Some(position) = shelf.kept.iter().position(|(kept, _)| kept == key) {
            let used = shelf.kept.remove(position);
            let book = used.1.get().cloned();
            shelf.kept.push(used);
            if book.is_some() {
                return book;
            }
        }
        shelf.alive.get(key).and_then(Weak::upgrade)
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    /// Returns the place of a book, the most recently used one from now on.
    fn slot(&mut self, key: BookKey) -> Slot {
        let position = self.kept.iter().position(|(kept, _)| *kept == key);
        let slot = position.map_or_else(Slot::default, |position| self.kept.remove(position).1);
        self.kept.push((key, Arc::clone(&slot)));
        if self.kept.len() > BOOKS_MAX {
            self.kept.remove(0);
        }
        slot
    }

    fn note(&mut self, key: BookKey, book: &Arc<RateBook>) {
        self.alive.retain(|_, book| book.strong_count() > 0);
        self.alive.insert(key, Arc::downgrade(book));
    }
}
