//! The rate books of declared rates tables: read once, listed again from time to time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cambist_engine::failure::{TaskFailure, chain};
use cambist_engine::files::{self, FilesError};
use cambist_engine::rates::{LoadedRates, RateFolder, RatesError};
use cambist_engine::store::{Stores, find_objects};
use cambist_udfs::rate::{AsOfMode, BookOptions};
use object_store::ObjectMeta;
use tokio::sync::Mutex as AsyncMutex;

use crate::error::{Result, SqlError, SqlErrorKind};

/// Places whose snapshots are kept; the whole history of the ECB takes some 30 MiB.
const PLACES_MAX: usize = 8;

/// Books that are kept of each place.
const BOOKS_MAX: usize = 4;

/// Books by their place and options; the least recently used are let go when there are too many.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// The most recently used last.
    places: Mutex<Vec<(String, Arc<AsyncMutex<Place>>)>>,
}

#[derive(Debug, Default)]
struct Place {
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    listed_at: Instant,
    /// What the folder held when it was read.
    objects: Vec<ObjectMeta>,
    folder: RateFolder,
    /// The most recently used last.
    books: VecDeque<(BookKey, Arc<LoadedRates>)>,
}

/// Equal for options that make the same book of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BookKey {
    mode: AsOfMode,
    max_age_days: Option<u32>,
    changes: usize,
}

impl Books {
    /// Returns the book that the options make of what lies at `url`. Who asks meanwhile waits for the same.
    pub(super) async fn book(
        &self,
        stores: &Stores,
        url: &str,
        options: &BookOptions,
        max_age: Duration,
    ) -> Result<Arc<LoadedRates>> {
        let place = self.place(url);
        let mut place = place.lock().await;
        let known = place.look(stores, url, max_age).await?;
        known.book(options).await
    }

    fn place(&self, url: &str) -> Arc<AsyncMutex<Place>> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let position = places.iter().position(|(known, _)| known == url);
        let used = match position {
            Some(position) => places.remove(position),
            None => (url.to_owned(), Arc::default()),
        };
        let place = Arc::clone(&used.1);
        places.push(used);
        if places.len() > PLACES_MAX {
            places.remove(0);
        }
        place
    }
}

impl Place {
    /// Lists the place where that was too long ago, and reads it where it has changed.
    async fn look(&mut self, stores: &Stores, url: &str, max_age: Duration) -> Result<&mut Known> {
        let earlier = self.known.as_ref();
        let newer = if earlier.is_some_and(|known| known.listed_at.elapsed() <= max_age) {
            None
        } else {
            let listed_at = Instant::now();
            let objects = list(stores, url).await?;
            let is_same = earlier.is_some_and(|known| known.objects == objects);
            let folder = match earlier.filter(|_| is_same) {
                Some(_) => None,
                None => Some(RateFolder::read(stores, url).await.map_err(|error| of_rates(&error))?),
            };
            Some((listed_at, objects, folder))
        };
        // Nothing is waited for while it is taken out: who asks and goes away leaves what was known.
        let known = match (self.known.take(), newer) {
            (Some(known), None) => known,
            (Some(known), Some((listed_at, _, None))) => Known { listed_at, ..known },
            (_, Some((listed_at, objects, Some(folder)))) => {
                Known { listed_at, objects, folder, books: VecDeque::new() }
            }
            (None, _) => {
                return Err(SqlError::new(SqlErrorKind::Internal, "rates that were known are known no more"));
            }
        };
        Ok(self.known.insert(known))
    }
}

impl Known {
    async fn book(&mut self, options: &BookOptions) -> Result<Arc<LoadedRates>> {
        let key = BookKey {
            mode: options.mode,
            max_age_days: options.max_age_days,
            changes: self.folder.changes_until(options.known_as_of),
        };
        if let Some(position) = self.books.iter().position(|(known, _)| *known == key)
            && let Some(used) = self.books.remove(position)
        {
            let book = Arc::clone(&used.1);
            self.books.push_back(used);
            return Ok(book);
        }
        let (folder, options) = (self.folder.clone(), *options);
        let load = move || folder.load(&options).map_err(|error| of_rates(&error));
        let made = tokio::task::spawn_blocking(load).await;
        let made = Arc::new(made.map_err(|error| SqlError::from(TaskFailure::of_join(error)))??);
        if self.books.len() == BOOKS_MAX {
            self.books.pop_front();
        }
        self.books.push_back((key, Arc::clone(&made)));
        Ok(made)
    }
}

/// Everything below a folder counts, also what a ledger keeps under hidden names.
async fn list(stores: &Stores, url: &str) -> Result<Vec<ObjectMeta>> {
    let of_files = |error: FilesError| match error {
        FilesError::Store(store) => super::kept::of_store(&store),
        other => SqlError::invalid(chain(&other)),
    };
    let Some(folder) = files::folder_of(url).map_err(of_files)? else {
        return Ok(files::list(stores, url).await.map_err(of_files)?.objects);
    };
    let of_store = |error| super::kept::of_store(&error);
    let handle = stores.for_location(&folder).map_err(of_store)?;
    find_objects(&handle, &folder).await.map_err(of_store)
}

fn of_rates(error: &RatesError) -> SqlError {
    let kind = match error {
        RatesError::Nothing { .. } => SqlErrorKind::NotFound,
        retryable if retryable.is_retryable() => SqlErrorKind::Unavailable,
        RatesError::Store { .. } => SqlErrorKind::Invalid,
        _ => SqlErrorKind::Data,
    };
    SqlError::new(kind, chain(error))
}
