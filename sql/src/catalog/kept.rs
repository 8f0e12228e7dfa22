//! The declarations that statements made, kept as objects: one for each table, created whole or not at all.

use std::collections::BTreeMap;

use cambist_engine::failure::TaskFailure;
use cambist_engine::location::Location;
use cambist_engine::store::{StoreError, StoreHandle, Stores, list_objects};
use object_store::{ObjectStoreExt, PutMode};

use super::settings::TableSettings;
use crate::error::{Result, SqlError, SqlErrorKind};

/// The folder below the deployment's state.
const FOLDER: &str = "catalog";
const SUFFIX: &str = ".json";

/// Tables that statements may declare.
const TABLES_MAX: usize = 10_000;

/// No declaration is longer.
const DECLARATION_BYTES_MAX: u64 = 1 << 20;

/// The folder of declarations.
#[derive(Debug)]
pub(super) struct Kept {
    folder: Location,
    handle: StoreHandle,
}

impl Kept {
    pub(super) fn new(stores: &Stores, state_url: &str) -> Result<Self> {
        let invalid = |error: &dyn std::fmt::Display| {
            SqlError::invalid(format!("the place of the catalog's state is not valid: {error}"))
        };
        let folder = Location::parse(state_url).and_then(|state| state.join(FOLDER));
        let folder = folder.map_err(|error| invalid(&error))?;
        let handle = stores.for_location(&folder).map_err(|error| of_store(&error))?;
        Ok(Self { folder, handle })
    }

    /// Reads all declarations; a folder that does not exist has none. One that cannot be understood is left out,
    /// with a warning in the log, and so are those above the limit.
    pub(super) async fn load(&self) -> Result<BTreeMap<String, TableSettings>> {
        let objects = list_objects(self.handle.store.as_ref(), &self.folder).await;
        let objects = objects.map_err(|error| of_store(&error))?;
        if objects.len() > TABLES_MAX {
            tracing::warn!(
                found = objects.len(),
                kept = TABLES_MAX,
                "too many tables are declared by statements"
            );
        }
        let mut tables = BTreeMap::new();
        for object in objects.into_iter().take(TABLES_MAX) {
            // What a killed writer left is no declaration.
            let Some(name) = object.location.filename().and_then(|name| name.strip_suffix(SUFFIX)) else {
                continue;
            };
            let damaged = |detail: String| {
                let place = self.folder.with_path(object.location.clone());
                tracing::warn!(%place, detail, "the declaration of a table cannot be read and is left out");
            };
            if object.size > DECLARATION_BYTES_MAX {
                damaged(format!("it has {} bytes", object.size));
                continue;
            }
            let read = async { self.handle.store.get(&object.location).await?.bytes().await };
            let bytes = match read.await {
                Ok(bytes) => bytes,
                // Removed since the listing.
                Err(object_store::Error::NotFound { .. }) => continue,
                Err(error) => return Err(of_store(&StoreError::request("read", &object.location)(error))),
            };
            match serde_json::from_slice(&bytes) {
                Ok(settings) => {
                    tables.insert(name.to_owned(), settings);
                }
                Err(error) => damaged(error.to_string()),
            }
        }
        Ok(tables)
    }

    /// Keeps a declaration; tells whether there was none of that name.
    pub(super) async fn create(&self, name: &str, settings: &TableSettings) -> Result<bool> {
        let place = self.place(name)?;
        let json = serde_json::to_vec(settings).map_err(|error| {
            SqlError::new(SqlErrorKind::Internal, format!("the declaration of `{name}`: {error}"))
        })?;
        if json.len() as u64 > DECLARATION_BYTES_MAX {
            return Err(SqlError::invalid(format!(
                "the declaration of `{name}` has {} bytes, expected at most {DECLARATION_BYTES_MAX}",
                json.len()
            )));
        }
        let put = self.handle.store.put_opts(place.path(), json.into(), PutMode::Create.into()).await;
        match put {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(of_store(&StoreError::request("create", &place)(error))),
        }
    }

    /// Removes a declaration; one that is gone already is fine.
    pub(super) async fn delete(&self, name: &str) -> Result<()> {
        let place = self.place(name)?;
        match self.handle.store.delete(place.path()).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(of_store(&StoreError::request("delete", &place)(error))),
        }
    }

    fn place(&self, name: &str) -> Result<Location> {
        let place = self.folder.join(&format!("{name}{SUFFIX}"));
        place.map_err(|error| SqlError::invalid(format!("`{name}` is no name for a table: {error}")))
    }
}

/// Refuses one more table where statements have declared as many as they may.
pub(super) fn check_count(declared: usize) -> Result<()> {
    if declared < TABLES_MAX {
        return Ok(());
    }
    let message = format!("{declared} tables are declared by statements, as many as may be");
    Err(SqlError::new(SqlErrorKind::Exhausted, message)
        .with_hint("DROP TABLE removes one, or declare one table of many files"))
}

pub(super) fn of_store(error: &StoreError) -> SqlError {
    TaskFailure::of_store(error).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_table_more_than_there_may_be_is_refused() {
        check_count(TABLES_MAX - 1).unwrap();
        assert_eq!(check_count(TABLES_MAX).unwrap_err().kind, SqlErrorKind::Exhausted);
    }
}
