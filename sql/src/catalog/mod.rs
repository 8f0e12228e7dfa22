//! Which tables there are, and how one is opened for a query.
//!
//! Opening a table writes nothing. What was found out once is remembered, within bounds: the columns of raw
//! files, the logs of tables, the snapshots of rates.

mod books;
mod kept;
mod name;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use cambist_engine::location::Location;
use cambist_engine::progress::RunProgress;
use cambist_engine::query::{RatesTable, RatesTravel, RawSchemas, Screening};
use cambist_engine::rates::LoadedRates;
use cambist_engine::record::GroupPlan;
use cambist_engine::store::Stores;
use cambist_engine::table::{CommitRecord, TableKind as LogTable, TableSnapshots};
use cambist_jobs::query::Opening as Files;
use cambist_udfs::rate::{AsOfMode, BookOptions, InstantMicros};
use datafusion::catalog::TableProvider;

use books::Books;
use kept::Kept;
use name::{Asked, check_name, check_settings, place, records, table_error};

pub use settings::{TableKind, TableSettings};

use crate::error::{Result, SqlError, SqlErrorKind};
use crate::places::Places;
use crate::settings::RatesSettings;

/// The declared tables of a deployment.
#[derive(Debug)]
pub struct Catalog {
    stores: Stores,
    kept: Kept,
    tables: RwLock<BTreeMap<String, Declared>>,
    schemas: RawSchemas,
    snapshots: TableSnapshots,
    books: Books,
    /// Where tables that statements declared may lie.
    places: Arc<Places>,
    /// Snapshots of a rates table that is queried are listed anew where they were listed longer ago.
    rates_age_max: Duration,
    /// Counts what this process has changed: declarations, and tables by runs of jobs.
    changes: AtomicU64,
}

/// A table and where its declaration comes from.
#[derive(Clone, Debug)]
pub struct Declared {
    /// The declaration.
    pub settings: TableSettings,
    /// Whether a `CREATE EXTERNAL TABLE` made it; otherwise the settings did.
    pub is_by_statement: bool,
}

/// How the tables of one query are opened.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Into how many tasks a scan is cut. With `task_bytes` the tasks run in other processes.
    pub groups: GroupPlan,
    /// When the query began: what "newest" means in it.
    pub now: jiff::Timestamp,
}

impl Catalog {
    /// Makes the catalog of the settings' tables and of those that statements declared, which are kept below
    /// `state_url`, one JSON object each in its folder `catalog`.
    ///
    /// A table that the settings declare hides one of the same name that a statement declared. A kept declaration
    /// that is not valid is left out, with a warning in the log.
    ///
    /// # Errors
    /// Where a declaration of the settings is not valid, or the folder cannot be read.
    pub async fn start(
        tables: &BTreeMap<String, TableSettings>,
        stores: Stores,
        state_url: &str,
    ) -> Result<Self> {
        let kept = Kept::new(&stores, state_url)?;
        let mut all = BTreeMap::new();
        for (name, settings) in kept.load().await? {
            match check_name(&name).and_then(|()| check_settings(&name, &settings)) {
                Ok(()) => {
                    all.insert(name, Declared { settings, is_by_statement: true });
                }
                Err(error) => {
                    tracing::warn!(name, %error, "a table that a statement declared is not valid and left out");
                }
            }
        }
        for (name, settings) in tables {
            check_name(name)?;
            check_settings(name, settings)?;
            let declared = Declared { settings: settings.clone(), is_by_statement: false };
            if all.insert(name.clone(), declared).is_some() {
                tracing::warn!(name, "the settings' table hides the one that a statement declared");
            }
        }
        Ok(Self {
            kept,
            tables: RwLock::new(all),
            schemas: RawSchemas::default(),
            snapshots: TableSnapshots::new(stores.clone()),
            books: Books::default(),
            places: Arc::new(Places::Everywhere),
            rates_age_max: RatesSettings::default().refresh(),
            changes: AtomicU64::new(0),
            stores,
        })
    }

    /// Opens tables that statements declared only where they lie in `places`, whatever was allowed when they were
    /// declared.
    #[must_use]
    pub(crate) fn with_places(self, places: Arc<Places>) -> Self {
        Self { places, ..self }
    }

    /// Lists the snapshots of queried rates as often as the settings say.
    #[must_use]
    pub(crate) fn with_rates_age_max(self, rates_age_max: Duration) -> Self {
        Self { rates_age_max, ..self }
    }

    /// Returns a number that is another one after each change that this process has made.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Notes that declarations or tables may have changed.
    pub(crate) fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns the stores.
    pub fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Returns the declared tables by name.
    pub fn declared(&self) -> BTreeMap<String, Declared> {
        self.read().clone()
    }

    /// Opens the table of that name as it is now. `NAME@INSTANT` opens a Cambist table as it was at an instant
    /// (ISO 8601), or a rates table as it was known then; `NAME@quarantine` opens a Cambist table's quarantine,
    /// `NAME@INSTANT@quarantine` as it was at an instant.
    ///
    /// A Cambist table is read as its last published commit left it. Rates are read where the query runs in
    /// this process; otherwise the plan carries them, up to 500,000 rows.
    ///
    /// # Errors
    /// Where it is declared but cannot be opened. `None` says that it is not declared.
    pub async fn open(&self, name: &str, opening: &Opening) -> Result<Option<Arc<dyn TableProvider>>> {
        let (table, rest) = name::split(name);
        let Some(declared) = self.declared_as(table) else { return Ok(None) };
        self.check_place(table, &declared)?;
        let settings = &declared.settings;
        let asked = Asked::parse(table, settings.kind, rest)?;
        let progress = RunProgress::default();
        let files = Files {
            stores: &self.stores,
            schemas: &self.schemas,
            snapshots: &self.snapshots,
            groups: opening.groups,
            screening: Screening::Refuse,
            progress: &progress,
        };
        Ok(Some(match settings.kind {
            TableKind::Raw => files.open(table, &records(table, settings)?).await?.provider,
            TableKind::Cambist => {
                let root = place(table, settings)?;
                let snapshot = match asked.instant {
                    Some(instant) => self.snapshots.at(&root, instant).await,
                    None => self.snapshots.latest(&root).await,
                };
                let snapshot = snapshot.map_err(|error| table_error(table, &error))?;
                let kind = if asked.is_quarantine { LogTable::Quarantine } else { LogTable::Main };
                files.snapshot(table, &snapshot, kind).await?.provider
            }
            TableKind::Rates => {
                let known_as_of = asked.instant.unwrap_or(opening.now);
                let options = BookOptions {
                    mode: AsOfMode::Date,
                    max_age_days: None,
                    known_as_of: InstantMicros(known_as_of.as_microsecond()),
                };
                let loaded = self.book(table, &options, self.rates_age_max).await?;
                let is_elsewhere = opening.groups.task_bytes.is_some();
                let travel = if is_elsewhere { RatesTravel::InPlan } else { RatesTravel::Here };
                Arc::new(RatesTable::new(Arc::clone(&loaded.book), travel))
            }
        }))
    }

    /// Returns what `told` makes of each of the newest published commits of a Cambist table, newest first, at most
    /// `limit` of them.
    ///
    /// # Errors
    /// Where it is not declared as such a table, or its log cannot be read.
    pub async fn commits<T>(
        &self,
        name: &str,
        limit: u64,
        told: impl Fn(CommitRecord) -> T + Send,
    ) -> Result<Vec<T>>
    where
        T: Send,
    {
        let root: Location = place(name, &self.declared_of(name, TableKind::Cambist)?)?;
        self.snapshots.commits(&root, limit, told).await.map_err(|error| table_error(name, &error))
    }

    /// Returns the book that the options make of a rates table. Its snapshots are listed anew where they were
    /// listed longer than `max_age` ago, and read anew where the listing has changed.
    ///
    /// The book's own `known_as_of` may be another instant than that of the options, as of which the same was
    /// known.
    ///
    /// # Errors
    /// Where it is not declared as a rates table, or what lies there makes no book.
    pub async fn book(
        &self,
        name: &str,
        options: &BookOptions,
        max_age: Duration,
    ) -> Result<Arc<LoadedRates>> {
        let settings = self.declared_of(name, TableKind::Rates)?;
        self.books.book(&self.stores, &settings.url, options, max_age).await
    }

    /// Declares a table, and keeps the declaration.
    ///
    /// # Errors
    /// Where the name or the settings are not valid, the name is taken, statements have declared as many tables as
    /// they may, or the declaration cannot be kept.
    pub async fn declare(&self, name: &str, settings: TableSettings) -> Result<()> {
        check_name(name)?;
        check_settings(name, &settings)?;
        let taken = || SqlError::new(SqlErrorKind::Conflict, format!("the table `{name}` exists already"));
        let by_statements = self.read().values().filter(|declared| declared.is_by_statement).count();
        kept::check_count(by_statements)?;
        if self.declared_as(name).is_some() || !self.kept.create(name, &settings).await? {
            return Err(taken().with_hint("DROP TABLE removes one that a statement declared"));
        }
        self.write().insert(name.to_owned(), Declared { settings, is_by_statement: true });
        self.note_change();
        Ok(())
    }

    /// Removes the declaration of a table that a statement has declared; tells whether there was one. What
    /// lies at the table's place is not touched.
    ///
    /// # Errors
    /// Where the settings declare it, or the declaration cannot be removed.
    pub async fn remove(&self, name: &str) -> Result<bool> {
        let Some(declared) = self.declared_as(name) else { return Ok(false) };
        if !declared.is_by_statement {
            return Err(SqlError::denied(format!("the table `{name}` is declared in the settings"))
                .with_hint("remove it there; statements remove what statements declared"));
        }
        self.kept.delete(name).await?;
        self.note_change();
        Ok(self.write().remove(name).is_some())
    }

    fn declared_as(&self, name: &str) -> Option<Declared> {
        self.read().get(name).cloned()
    }

    fn declared_of(&self, name: &str, kind: TableKind) -> Result<TableSettings> {
        let declared = self.declared_as(name).ok_or_else(|| {
            SqlError::new(SqlErrorKind::NotFound, format!("the table `{name}` is not declared"))
        })?;
        self.check_place(name, &declared)?;
        if declared.settings.kind != kind {
            return Err(SqlError::invalid(format!(
                "the table `{name}` is of kind {}, expected {kind}",
                declared.settings.kind
            )));
        }
        Ok(declared.settings)
    }

    /// Links may lead elsewhere by now, and the settings may allow less than when the table was declared.
    fn check_place(&self, name: &str, declared: &Declared) -> Result<()> {
        if !declared.is_by_statement {
            return Ok(());
        }
        self.places
            .check(&declared.settings.url)
            .map_err(|error| SqlError { message: format!("the table `{name}`: {}", error.message), ..error })
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Declared>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Declared>> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }
}
