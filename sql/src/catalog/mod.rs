//! Which tables there are, and how one is opened for a query.

mod settings;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use cambist_engine::record::GroupPlan;
use cambist_engine::store::Stores;
use datafusion::catalog::TableProvider;

pub use settings::{TableKind, TableSettings};

use crate::error::Result;

/// The declared tables of a deployment.
#[derive(Debug)]
pub struct Catalog {
    stores: Stores,
    tables: RwLock<BTreeMap<String, Declared>>,
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
    /// Into how many tasks a scan is cut.
    pub groups: GroupPlan,
    /// When the query began: what "newest" means in it.
    pub now: jiff::Timestamp,
}

impl Catalog {
    /// Makes the catalog of the settings' tables and of those that statements declared, which are kept below
    /// `state_url`.
    ///
    /// # Errors
    /// Where a declaration is not valid, or the folder cannot be read.
    pub async fn start(
        tables: &BTreeMap<String, TableSettings>,
        stores: Stores,
        state_url: &str,
    ) -> Result<Self> {
        let _ = state_url;
        let declared = |(name, settings): (&String, &TableSettings)| {
            (name.clone(), Declared { settings: settings.clone(), is_by_statement: false })
        };
        Ok(Self { stores, tables: RwLock::new(tables.iter().map(declared).collect()) })
    }

    /// Returns the stores.
    pub fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Returns the declared tables by name.
    pub fn declared(&self) -> BTreeMap<String, Declared> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens the table of that name as it is now. `NAME@INSTANT` opens a Cambist table as it was at an instant
    /// (ISO 8601); `NAME@quarantine` opens its quarantine.
    ///
    /// # Errors
    /// Where it is declared but cannot be opened. `None` says that it is not declared.
    pub async fn open(&self, name: &str, opening: &Opening) -> Result<Option<Arc<dyn TableProvider>>> {
        let _ = (name, opening);
        Ok(None)
    }

    /// Declares a table, and keeps the declaration.
    ///
    /// # Errors
    /// Where the name is taken, or the declaration cannot be kept.
    pub async fn declare(&self, name: &str, settings: TableSettings) -> Result<()> {
        let declared = Declared { settings, is_by_statement: true };
        self.tables.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), declared);
        Ok(())
    }

    /// Removes the declaration of a table that a statement has declared; tells whether there was one.
    ///
    /// # Errors
    /// Where the settings declare it, or the declaration cannot be removed.
    pub async fn remove(&self, name: &str) -> Result<bool> {
        Ok(self.tables.write().unwrap_or_else(PoisonError::into_inner).remove(name).is_some())
    }
}
