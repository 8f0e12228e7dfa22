//! The rates of a statement: which table of them, by which rule, as one pinned set of snapshots.
//!
//! Where plans run in other processes a book is pinned as one object below `state_url`, for all statements that
//! use it. The object goes when other books have taken its place and the last statement with it has ended.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cambist_engine::failure::{TaskFailure, chain};
use cambist_engine::location::Location;
use cambist_engine::rates::{self, LoadedRates, RateBookRef, RateBooks};
use cambist_engine::store::{StoreError, Stores, list_objects};
use cambist_engine::table::{Staging, TableError};
use cambist_udfs::rate::{AsOfMode, BookOptions, InstantMicros};
use datafusion::prelude::SessionContext;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use crate::access::Role;
use crate::catalog::{Catalog, TableKind};
use crate::error::{Result, SqlError, SqlErrorKind};
use crate::near;
use crate::options::{self, SessionOption};
use crate::prepared::StatementKind;
use crate::service::Clock;
use crate::session::SessionOptions;
use crate::settings::RatesSettings;

/// The age limit in date mode where none is given, as in the jobs.
const MAX_AGE_DAYS: u32 = 7;

/// Books that stay pinned for statements to come.
const PINS_MAX: usize = 16;

/// The folder of pinned books below `state_url`.
const PINNED_FOLDER: &str = "rates";

/// Which rates a session uses.
#[derive(Clone, Debug)]
pub(crate) struct RatesChoice {
    table: String,
    rule: Rule,
}

/// How a snapshot is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) mode: AsOfMode,
    pub(crate) max_age_days: Option<u32>,
    /// All that are known where none is given.
    pub(crate) known_as_of: Option<InstantMicros>,
}

/// Binds statements to the rates of declared tables.
pub(crate) struct RateShelf {
    stores: Stores,
    catalog: Arc<Catalog>,
    settings: RatesSettings,
    clock: Clock,
    state_url: String,
    books: Arc<RateBooks>,
    /// The most recently used last.
    pins: Mutex<Vec<Arc<Pinned>>>,
    pins_made: AtomicU64,
}

impl std::fmt::Debug for RateShelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateShelf").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A book as one object.
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
    table: String,
    reference: RateBookRef,
    /// What was asked for; the book may have been made for an instant at which the same was known.
    known_as_of: InstantMicros,
    _pinned: Option<Arc<Pinned>>,
}

impl BoundRates {
    /// Says which rates they are, for EXPLAIN; where they lie is told to those who may name places.
    pub(crate) fn describe(&self, role: Role) -> String {
        let Self { table, reference, .. } = self;
        let max_age = reference.max_age_days.map_or_else(|| "none".to_owned(), |days| days.to_string());
        let known = self.known_as_of.0;
        let known =
            jiff::Timestamp::from_microsecond(known).map_or_else(|_| known.to_string(), |at| at.to_string());
        let place =
            if role.may(StatementKind::Call) { format!(" url={}", reference.url) } else { String::new() };
        format!(
            "table={table} digest={} snapshots={}{place} mode={} max_age_days={max_age} known_as_of={known}",
            reference.digest, reference.snapshots, reference.mode
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
            pins: Mutex::default(),
            pins_made: AtomicU64::new(0),
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
        self.check(&table)?;
        let mode = options.rates_mode.as_deref().or(self.settings.mode.as_deref());
        let mode = mode.map(options::mode).transpose()?.unwrap_or(AsOfMode::Date);
        let max_age = options.rates_max_age_days.or(self.settings.max_age_days);
        let max_age = max_age.map(options::max_age_days).transpose()?;
        let max_age_days = max_age.or((mode == AsOfMode::Date).then_some(MAX_AGE_DAYS));
        let known_as_of = options.rates_known_as_of.as_deref().map(options::known_as_of).transpose()?;
        Ok(Some(RatesChoice { table, rule: Rule { mode, max_age_days, known_as_of } }))
    }

    /// Refuses a table that holds no rates.
    ///
    /// # Errors
    /// [`NotFound`](SqlErrorKind::NotFound), with the tables that hold some.
    fn check(&self, table: &str) -> Result<()> {
        match self.catalog.declared().get(table) {
            Some(declared) if declared.settings.kind == TableKind::Rates => Ok(()),
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
        let error = SqlError::invalid(format!(
            "{function} needs rates, and neither the session nor the settings name any"
        ));
        let tables = self.tables();
        let name = SessionOption::Rates.name();
        error.with_hint(match &tables[..] {
            [] => "no table of rates is declared: CREATE EXTERNAL TABLE … STORED AS RATES LOCATION '…'"
                .to_owned(),
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
        let known_as_of = choice.rule.known_as_of.unwrap_or_else(|| self.now());
        let rule = Rule { known_as_of: Some(known_as_of), ..choice.rule };
        let loaded = self.book(&choice.table, rule).await?;
        let pinned = if is_remote { Some(self.pin(&loaded).await?) } else { None };
        let reference = pinned.as_ref().map_or(&loaded.reference, |pinned| &pinned.reference).clone();
        self.books.add(&reference, Arc::clone(&loaded.book));
        rates::bind(session, &reference, &loaded.book).map_err(|error| {
            SqlError::new(SqlErrorKind::Internal, format!("the rates cannot be bound: {error}"))
        })?;
        Ok(BoundRates { table: choice.table, reference, known_as_of, _pinned: pinned })
    }

    /// Returns the book of a table of rates; its listing is at most `refresh_seconds` old.
    ///
    /// # Errors
    /// Where the rates cannot be read.
    pub(crate) async fn book(&self, table: &str, rule: Rule) -> Result<Arc<LoadedRates>> {
        let options = BookOptions {
            mode: rule.mode,
            max_age_days: rule.max_age_days,
            known_as_of: rule.known_as_of.unwrap_or_else(|| self.now()),
        };
        self.catalog.book(table, &options, self.settings.refresh()).await
    }

    fn now(&self) -> InstantMicros {
        InstantMicros((self.clock)().as_microsecond())
    }

    /// Removes what processes that were killed have left pinned: all that is older than `age`. Failures are
    /// logged, and met again at the next start.
    pub(crate) async fn remove_leftovers(&self, age: Duration) {
        if let Err(error) = self.try_remove_leftovers(age).await {
            tracing::warn!(%error, "pinned rate books of earlier processes cannot be removed");
        }
    }

    async fn try_remove_leftovers(&self, age: Duration) -> Result<()> {
        let folder = self.folder()?;
        let of_store = |error: StoreError| SqlError::from(TaskFailure::of_store(&error));
        let handle = self.stores.for_location(&folder).map_err(of_store)?;
        let objects = list_objects(handle.store.as_ref(), &folder).await.map_err(of_store)?;
        let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        let oldest_kept = self.now().0.saturating_sub(age);
        let names: BTreeSet<&str> = objects
            .iter()
            .flat_map(|object| object.location.as_ref().split('/'))
            .filter(|name| pinned_at(name).is_some_and(|pinned_at| pinned_at < oldest_kept))
            .collect();
        for name in names {
            let staging = Staging::new(&self.stores, &folder, name).map_err(failed)?;
            staging.discard().await.map_err(failed)?;
        }
        Ok(())
    }

    fn folder(&self) -> Result<Location> {
        let folder = Location::parse(&self.state_url).and_then(|root| root.join(PINNED_FOLDER));
        folder.map_err(|error| SqlError::invalid(format!("state_url: {error}")))
    }

    /// Pins a book, or finds where it is pinned. Who asks meanwhile waits.
    async fn pin(&self, loaded: &LoadedRates) -> Result<Arc<Pinned>> {
        let mut pins = self.pins.lock().await;
        let is_it = |pinned: &Arc<Pinned>| {
            let of = &pinned.reference;
            let wanted = &loaded.reference;
            (&of.digest, of.mode, of.max_age_days, &of.url)
                == (&wanted.digest, wanted.mode, wanted.max_age_days, &wanted.url)
        };
        let pinned = match pins.iter().position(is_it) {
            Some(position) => pins.remove(position),
            None => Arc::new(self.pin_anew(loaded).await?),
        };
        pins.push(Arc::clone(&pinned));
        if pins.len() > PINS_MAX {
            pins.remove(0);
        }
        Ok(pinned)
    }

    async fn pin_anew(&self, loaded: &LoadedRates) -> Result<Pinned> {
        let folder = self.folder()?;
        let number = self.pins_made.fetch_add(1, Ordering::Relaxed);
        let digest = loaded.reference.digest.get(..12).unwrap_or_default();
        // Another server may share the folder, and removes its own.
        let name = format!("{digest}-{:x}-{}-{number}", self.now().0, std::process::id());
        let staging = Staging::new(&self.stores, &folder, &name).map_err(failed)?;
        let reference = rates::pin(loaded, &staging).await.map_err(failed)?;
        Ok(Pinned { reference, staging })
    }
}

fn failed(error: TableError) -> SqlError {
    SqlError::new(SqlErrorKind::Unavailable, format!("the rates cannot be pinned: {}", chain(&error)))
}

/// Returns when a book of this name was pinned, in microseconds; nothing for other names.
fn pinned_at(name: &str) -> Option<i64> {
    let parts: Vec<&str> = name.split('-').collect();
    let [digest, instant, process, number] = parts[..] else { return None };
    let is_ours = digest.bytes().all(|digit| digit.is_ascii_hexdigit())
        && process.parse::<u32>().is_ok()
        && number.parse::<u64>().is_ok();
    is_ours.then(|| i64::from_str_radix(instant, 16).ok()).flatten()
}
