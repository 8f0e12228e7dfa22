//! The rates of a statement: which table of them, by which rule, as one pinned set of snapshots.
//!
//! A table's snapshots are listed anew once they were listed longer ago than `refresh_seconds`, and read anew
//! where the listing has changed. Where plans run in other processes a book is pinned as one object below
//! `state_url`; the object goes when the book has been replaced and the last statement with it has ended.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cambist_engine::failure::chain;
use cambist_engine::files;
use cambist_engine::location::Location;
use cambist_engine::rates::{self, LoadedRates, RateBookRef, RateBooks, RateFolder, RatesError};
use cambist_engine::store::{Stores, find_objects};
use cambist_engine::table::Staging;
use cambist_udfs::rate::{AsOfMode, BookOptions, InstantMicros};
use datafusion::prelude::SessionContext;
use object_store::ObjectMeta;
use tokio::runtime::Handle;
use tokio::sync::{Mutex as AsyncMutex, OnceCell};
use tokio::time::Instant;

use crate::catalog::{Catalog, TableKind};
use crate::error::{Result, SqlError, SqlErrorKind};
use crate::options::{self, SessionOption};
use crate::service::Clock;
use crate::session::SessionOptions;
use crate::settings::RatesSettings;
use crate::statement::near;

/// The age limit in date mode where none is given, as in the jobs.
const MAX_AGE_DAYS: u32 = 7;

/// How old a listing may be where the settings do not say.
const REFRESH_SECONDS: u64 = 10;

/// Tables of rates whose snapshots are held at once.
const TABLES_MAX: usize = 16;

/// Books of one table: one for each rule and instant that was asked for.
const BOOKS_MAX: usize = 8;

/// The folder of pinned books below `state_url`.
const PINNED_FOLDER: &str = "rates";

/// Which rates a session uses.
#[derive(Clone, Debug)]
pub(crate) struct RatesChoice {
    pub(crate) table: String,
    pub(crate) url: String,
    pub(crate) rule: Rule,
}

/// How a snapshot is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) mode: AsOfMode,
    pub(crate) max_age_days: Option<u32>,
    /// All that are known where none is given.
    pub(crate) known_as_of: Option<InstantMicros>,
}

/// The books of the declared tables of rates.
pub(crate) struct RateShelf {
    stores: Stores,
    catalog: Arc<Catalog>,
    settings: RatesSettings,
    clock: Clock,
    state_url: String,
    books: Arc<RateBooks>,
    folders: Mutex<HashMap<String, Arc<AsyncMutex<Option<Folder>>>>>,
    pins: AtomicU64,
}

impl std::fmt::Debug for RateShelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateShelf").field("settings", &self.settings).finish_non_exhaustive()
    }
}

struct Folder {
    listed: Instant,
    read_at: jiff::Timestamp,
    objects: Vec<ObjectMeta>,
    contents: RateFolder,
    /// The most recently used last.
    books: Vec<(Rule, Arc<ShelvedBook>)>,
}

/// A book, and where it is pinned if it is.
#[derive(Debug)]
pub(crate) struct ShelvedBook {
    pub(crate) loaded: LoadedRates,
    pinned: OnceCell<Pinned>,
}

#[derive(Debug)]
struct Pinned {
    reference: RateBookRef,
    staging: Staging,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // Without a runtime the process ends: the object is left below `state_url`.
        if let Ok(runtime) = Handle::try_current() {
            let staging = self.staging.clone();
            runtime.spawn(async move {
                if let Err(error) = staging.discard().await {
                    tracing::warn!(%error, "a pinned rate book cannot be removed");
                }
            });
        }
    }
}

/// The rates that a statement is bound to; they stay pinned as long as this lives.
#[derive(Clone, Debug)]
pub(crate) struct BoundRates {
    choice: RatesChoice,
    reference: RateBookRef,
    book: Arc<ShelvedBook>,
}

impl BoundRates {
    /// Says which rates they are, for EXPLAIN.
    pub(crate) fn describe(&self) -> String {
        let Self { choice, reference, book } = self;
        let max_age = reference.max_age_days.map_or_else(|| "none".to_owned(), |days| days.to_string());
        let known = book.loaded.book.options().known_as_of.0;
        let known = jiff::Timestamp::from_microsecond(known).map_or_else(|_| known.to_string(), |at| at.to_string());
        format!(
            "table={} digest={} snapshots={} url={} mode={} max_age_days={max_age} known_as_of={known}",
            choice.table, reference.digest, reference.snapshots, reference.url, reference.mode
        )
    }
}

impl RateShelf {
    pub(crate) fn new(
        settings: &RatesSettings,
        stores: Stores,
        catalog: Arc<Catalog>,
        books: Arc<RateBooks>,
        clock: Clock,
        state_url: &str,
    ) -> Self {
        Self {
            stores,
            catalog,
            settings: settings.clone(),
            clock,
            state_url: state_url.to_owned(),
            books,
            folders: Mutex::default(),
            pins: AtomicU64::new(0),
        }
    }

    /// Returns the rates that a session uses; nothing where neither it nor the settings name any.
    ///
    /// # Errors
    /// Where an option is not valid, or its table is not declared or holds no rates.
    pub(crate) fn choose(&self, options: &SessionOptions) -> Result<Option<RatesChoice>> {
        let Some(table) = options.rates.clone().or_else(|| self.settings.default.clone()) else {
            return Ok(None);
        };
        let url = self.url_of(&table)?;
        let mode = options.rates_mode.as_deref().or(self.settings.mode.as_deref());
        let mode = mode.map(options::mode).transpose()?.unwrap_or(AsOfMode::Date);
        let max_age = options.rates_max_age_days.or(self.settings.max_age_days);
        let max_age = max_age.map(options::max_age_days).transpose()?;
        let max_age_days = max_age.or((mode == AsOfMode::Date).then_some(MAX_AGE_DAYS));
        let known_as_of = options.rates_known_as_of.as_deref().map(options::known_as_of).transpose()?;
        Ok(Some(RatesChoice { table, url, rule: Rule { mode, max_age_days, known_as_of } }))
    }

    /// Refuses a table that holds no rates.
    ///
    /// # Errors
    /// [`NotFound`](SqlErrorKind::NotFound), with the tables that hold some.
    pub(crate) fn url_of(&self, table: &str) -> Result<String> {
        match self.catalog.declared().get(table) {
            Some(declared) if declared.settings.kind == TableKind::Rates => Ok(declared.settings.url.clone()),
            found => {
                let found = if found.is_some() { "holds no rates" } else { "is not declared" };
                let name = SessionOption::Rates.name();
                let error = format!("{name} is `{table}`, which {found}");
                let error = SqlError::new(SqlErrorKind::NotFound, error);
                Err(match near::hint(table, "tables of rates", &self.tables()) {
                    Some(hint) => error.with_hint(hint),
                    None => error,
                })
            }
        }
    }

    /// Returns the refusal of a function that needs rates where none are chosen.
    pub(crate) fn none_chosen(&self, function: &str) -> SqlError {
        let error = SqlError::invalid(format!("{function} needs rates, and neither the session nor the settings name any"));
        let tables = self.tables();
        let name = SessionOption::Rates.name();
        error.with_hint(match &tables[..] {
            [] => "no table of rates is declared: CREATE EXTERNAL TABLE … STORED AS RATES LOCATION '…'".to_owned(),
            [first, ..] => format!(
                "SET {name} = '{first}'; the tables of rates are {}",
                near::listed(tables.iter().map(String::as_str))
            ),
        })
    }

    /// Returns the names of the declared tables of rates.
    pub(crate) fn tables(&self) -> Vec<String> {
        let declared = self.catalog.declared().into_iter();
        declared.filter(|(_, table)| table.settings.kind == TableKind::Rates).map(|(name, _)| name).collect()
    }

    /// Binds a statement's session to the chosen rates as they are now.
    ///
    /// # Errors
    /// Where they cannot be loaded, or not be pinned for other processes.
    pub(crate) async fn bind(
        &self,
        choice: RatesChoice,
        is_remote: bool,
        session: &SessionContext,
    ) -> Result<BoundRates> {
        let book = self.book(&choice.url, choice.rule).await?;
        let reference = if is_remote { self.pin(&book).await? } else { book.loaded.reference.clone() };
        self.books.add(&reference, Arc::clone(&book.loaded.book));
        rates::bind(session, &reference, &book.loaded.book).map_err(|error| {
            SqlError::new(SqlErrorKind::Internal, format!("the rates cannot be bound: {error}"))
        })?;
        Ok(BoundRates { choice, reference, book })
    }

    /// Returns the book of the rates at `url`, at most `refresh_seconds` old.
    ///
    /// # Errors
    /// Where the rates cannot be read.
    pub(crate) async fn book(&self, url: &str, rule: Rule) -> Result<Arc<ShelvedBook>> {
        let slot = self.slot(url);
        // Whoever asks meanwhile waits for the same listing.
        let mut held = slot.lock().await;
        let folder = match held.take() {
            Some(folder) if folder.listed.elapsed() < self.refresh() => folder,
            old => self.refreshed(url, old).await?,
        };
        let folder = held.insert(folder);
        if let Some(position) = folder.books.iter().position(|(kept, _)| *kept == rule) {
            let used = folder.books.remove(position);
            folder.books.push(used);
        } else {
            let known_as_of = rule.known_as_of.unwrap_or(InstantMicros(folder.read_at.as_microsecond()));
            let options = BookOptions { mode: rule.mode, max_age_days: rule.max_age_days, known_as_of };
            let loaded = folder.contents.clone().load(&options).map_err(|error| of_rates(&error))?;
            folder.books.push((rule, Arc::new(ShelvedBook { loaded, pinned: OnceCell::new() })));
            if folder.books.len() > BOOKS_MAX {
                folder.books.remove(0);
            }
        }
        let (_, book) = folder.books.last().ok_or_else(|| {
            SqlError::new(SqlErrorKind::Internal, "a rate book is gone that was just made")
        })?;
        Ok(Arc::clone(book))
    }

    fn refresh(&self) -> Duration {
        Duration::from_secs(self.settings.refresh_seconds.unwrap_or(REFRESH_SECONDS))
    }

    fn slot(&self, url: &str) -> Arc<AsyncMutex<Option<Folder>>> {
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if folders.len() >= TABLES_MAX && !folders.contains_key(url) {
            // Statements that use one hold it themselves.
            folders.clear();
        }
        Arc::clone(folders.entry(url.to_owned()).or_default())
    }

    /// Lists the snapshots, and reads them where something has changed.
    async fn refreshed(&self, url: &str, old: Option<Folder>) -> Result<Folder> {
        let (listed, read_at) = (Instant::now(), (self.clock)());
        let objects = self.objects(url).await?;
        if let Some(old) = old
            && old.objects == objects
            // By the store's clock something may have come after the instant of the last reading.
            && objects.iter().all(|object| object.last_modified.timestamp_micros() <= old.read_at.as_microsecond())
        {
            return Ok(Folder { listed, ..old });
        }
        let contents = RateFolder::read(&self.stores, url).await.map_err(|error| of_rates(&error))?;
        Ok(Folder { listed, read_at, objects, contents, books: Vec::new() })
    }

    async fn objects(&self, url: &str) -> Result<Vec<ObjectMeta>> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            SqlError::new(SqlErrorKind::Unavailable, format!("the rates at `{url}` cannot be listed: {}", chain(error)))
        };
        // A ledger's own objects have hidden names.
        let Some(folder) = files::folder_of(url).map_err(|error| failed(&error))? else {
            return Ok(files::list(&self.stores, url).await.map_err(|error| failed(&error))?.objects);
        };
        let handle = self.stores.for_location(&folder).map_err(|error| failed(&error))?;
        find_objects(&handle, &folder).await.map_err(|error| failed(&error))
    }

    async fn pin(&self, book: &ShelvedBook) -> Result<RateBookRef> {
        let pinned = book.pinned.get_or_try_init(|| async {
            let folder = Location::parse(&self.state_url).and_then(|root| root.join(PINNED_FOLDER));
            let folder = folder.map_err(|error| SqlError::invalid(format!("state_url: {error}")))?;
            let number = self.pins.fetch_add(1, Ordering::Relaxed);
            let digest = book.loaded.reference.digest.get(..12).unwrap_or_default();
            let name = format!("{digest}-{:x}-{number}", (self.clock)().as_microsecond());
            let failed = |error: &dyn std::error::Error| {
                SqlError::new(SqlErrorKind::Unavailable, format!("the rates cannot be pinned: {error}"))
            };
            let staging = Staging::new(&self.stores, &folder, &name).map_err(|error| failed(&error))?;
            let reference = rates::pin(&book.loaded, &staging).await.map_err(|error| failed(&error))?;
            Ok::<_, SqlError>(Pinned { reference, staging })
        });
        Ok(pinned.await?.reference.clone())
    }
}

fn of_rates(error: &RatesError) -> SqlError {
    let kind = match error {
        _ if error.is_retryable() => SqlErrorKind::Unavailable,
        RatesError::Nothing { .. } => SqlErrorKind::NotFound,
        RatesError::Store { .. } => SqlErrorKind::Unavailable,
        _ => SqlErrorKind::Data,
    };
    SqlError::new(kind, chain(error))
}
