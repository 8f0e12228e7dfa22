//! The folder of one table: requests to its store, with paths relative to the folder.

use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode};

use super::error::TableError;
use super::names::{self, LogName};
use super::record::TableKind;
use crate::location::{Location, LocationError, join_path};
use crate::store::{StoreError, StoreHandle, Stores};

/// The folders of a table and its quarantine.
#[derive(Clone, Debug)]
pub(super) struct Roots {
    pub(super) main: TableRoot,
    pub(super) quarantine: TableRoot,
}

impl Roots {
    pub(super) fn new(stores: &Stores, root: &Location) -> Result<Self, TableError> {
        let handle = stores.for_location(root)?;
        let quarantine = root.sibling(names::QUARANTINE_SUFFIX)?;
        Ok(Self {
            main: TableRoot { location: root.clone(), handle: handle.clone() },
            quarantine: TableRoot { location: quarantine, handle },
        })
    }

    /// Refuses folders without a log of ours that hold anything but our own leftovers.
    pub(super) async fn refuse_foreign(&self) -> Result<(), TableError> {
        self.main.refuse_foreign().await?;
        self.quarantine.refuse_foreign().await?;
        match self.quarantine.any_commit().await? {
            Some(found) => Err(TableError::NotATable { root: self.quarantine.location.to_string(), found }),
            None => Ok(()),
        }
    }

    pub(super) fn of(&self, kind: TableKind) -> &TableRoot {
        match kind {
            TableKind::Main => &self.main,
            TableKind::Quarantine => &self.quarantine,
        }
    }
}

/// The folder of one table.
#[derive(Clone, Debug)]
pub(super) struct TableRoot {
    pub(super) location: Location,
    pub(super) handle: StoreHandle,
}

impl TableRoot {
    pub(super) fn store(&self) -> &dyn ObjectStore {
        self.handle.store.as_ref()
    }

    pub(super) fn path(&self, relative: &str) -> Result<Path, TableError> {
        let invalid = |source| LocationError::InvalidPath { location: relative.to_owned(), source };
        Ok(join_path(self.location.path(), relative).map_err(invalid)?)
    }

    /// Returns the path of an object below this folder, relative to it.
    pub(super) fn relative(&self, object: &Path) -> Option<String> {
        let rest = object.as_ref().strip_prefix(self.location.path().as_ref())?;
        Some(rest.strip_prefix('/').unwrap_or(rest).to_owned())
    }

    pub(super) async fn get(&self, relative: &str) -> Result<Option<Bytes>, TableError> {
        let path = self.path(relative)?;
        let failed = StoreError::request("read", self.shown(relative));
        let read = async { self.store().get(&path).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(failed(source).into()),
        }
    }

    pub(super) async fn put(&self, relative: &str, bytes: impl Into<Bytes>) -> Result<(), TableError> {
        let path = self.path(relative)?;
        let put = self.store().put(&path, bytes.into().into()).await;
        put.map_err(StoreError::request("write", self.shown(relative)))?;
        Ok(())
    }

    /// Writes an object that must not exist; tells whether it did not.
    pub(super) async fn create(&self, relative: &str, bytes: impl Into<Bytes>) -> Result<bool, TableError> {
        let path = self.path(relative)?;
        match self.store().put_opts(&path, bytes.into().into(), PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(source) => Err(StoreError::request("create", self.shown(relative))(source).into()),
        }
    }

    /// Returns an object's size, or nothing where it does not exist.
    pub(super) async fn size(&self, relative: &str) -> Result<Option<u64>, TableError> {
        let path = self.path(relative)?;
        match self.store().head(&path).await {
            Ok(object) => Ok(Some(object.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(StoreError::request("read", self.shown(relative))(source).into()),
        }
    }

    /// Deletes an object; one that is gone already is fine.
    pub(super) async fn delete(&self, relative: &str) -> Result<(), TableError> {
        let path = self.path(relative)?;
        match self.store().delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(StoreError::request("delete", self.shown(relative))(source).into()),
        }
    }

    /// Deletes many objects in as few requests as the store allows; passes `fault_point` after each.
    pub(super) async fn delete_all(
        &self,
        relative: Vec<String>,
        fault_point: &'static str,
    ) -> Result<(), TableError> {
        let paths = relative.iter().map(|path| self.path(path)).collect::<Result<Vec<_>, _>>()?;
        let mut deletions = self.store().delete_stream(futures::stream::iter(paths).map(Ok).boxed());
        while let Some(deletion) = deletions.next().await {
            match deletion {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => crate::fault::point(fault_point),
                Err(source) => return Err(StoreError::request("delete from", &self.location)(source).into()),
            }
        }
        Ok(())
    }

    /// Moves an object: a rename on disk, a server-side copy and delete elsewhere. Tells whether it was there.
    pub(super) async fn rename(&self, from: &str, to: &str) -> Result<bool, TableError> {
        let (from_path, to_path) = (self.path(from)?, self.path(to)?);
        match self.store().rename(&from_path, &to_path).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(StoreError::request("move", self.shown(from))(source).into()),
        }
    }

    /// Lists everything below `folder`, with paths relative to the table, sorted.
    pub(super) async fn list(&self, folder: &str) -> Result<Vec<(String, ObjectMeta)>, TableError> {
        let folder = if folder.is_empty() { self.location.clone() } else { self.location.join(folder)? };
        let objects = crate::store::list_objects(self.store(), &folder).await?;
        Ok(objects
            .into_iter()
            .filter_map(|object| Some((self.relative(&object.location)?, object)))
            .collect())
    }

    /// Lists the log from commit `from` on, in ascending order; foreign names are left out.
    pub(super) async fn list_log(&self, from: u64) -> Result<Vec<LogName>, TableError> {
        let folder = self.path(names::COMMITS)?;
        let offset = self.path(&names::log_offset(from))?;
        let mut listing = self.store().list_with_offset(Some(&folder), &offset);
        let mut found = Vec::new();
        while let Some(object) = listing.next().await {
            let object = object.map_err(StoreError::request("list", self.shown(names::COMMITS)))?;
            found.extend(object.location.filename().and_then(LogName::parse));
        }
        found.sort_unstable_by_key(|name| match *name {
            LogName::Record(number) | LogName::Published(number) | LogName::Checkpoint(number) => number,
        });
        Ok(found)
    }

    /// Returns the name of some commit record, if there is any.
    pub(super) async fn any_commit(&self) -> Result<Option<String>, TableError> {
        let found = self.list_log(0).await?;
        Ok(found.into_iter().find_map(|name| match name {
            LogName::Record(number) => Some(names::record(number)),
            _ => None,
        }))
    }

    /// Refuses a file where a folder is expected.
    pub(super) fn refuse_file(&self) -> Result<(), TableError> {
        match self.location.local_path() {
            Some(path) if path.is_file() => Err(TableError::NotAFolder { root: self.location.to_string() }),
            _ => Ok(()),
        }
    }

    async fn refuse_foreign(&self) -> Result<(), TableError> {
        let not_ours =
            |found: &str| TableError::NotATable { root: self.location.to_string(), found: found.to_owned() };
        let listing = self.store().list_with_delimiter(Some(self.location.path())).await;
        let listing = listing.map_err(StoreError::request("list", &self.location))?;
        let folders = listing.common_prefixes.iter().map(|folder| (folder, true));
        let objects = listing.objects.iter().map(|object| (&object.location, false));
        for (path, is_folder) in folders.chain(objects) {
            // Consoles make an empty object for a folder, named as the folder itself.
            if path == self.location.path() {
                continue;
            }
            let name = path.filename().unwrap_or_default();
            if !(is_folder && names::OURS.contains(&name)) {
                return Err(not_ours(name));
            }
        }
        Ok(())
    }

    /// Removes a folder with all that is left in it, and its parent if that is now empty; on a disk only.
    pub(super) async fn remove_folder(&self, folder: &str) {
        let Some(path) = self.location.local_path().map(|root| root.join(folder)) else { return };
        let remove = move || {
            // A folder that is gone or in use again is as it should be.
            let _ = std::fs::remove_dir_all(&path);
            let _ = path.parent().map(std::fs::remove_dir);
        };
        let _ = tokio::task::spawn_blocking(remove).await;
    }

    /// Removes the empty folders in a folder, and itself if nothing is left; on a disk only.
    pub(super) async fn prune_tree(&self, folder: &str) {
        let Some(path) = self.location.local_path().map(|root| root.join(folder)) else { return };
        let _ = tokio::task::spawn_blocking(move || remove_empty_folders(&path)).await;
    }

    /// Removes folders that became empty, deepest first; a disk keeps them, other stores have none.
    pub(super) async fn prune(&self, folders: Vec<String>) {
        let Some(root) = self.location.local_path() else { return };
        let prune = move || {
            for folder in folders.iter().rev().filter(|folder| !folder.is_empty()) {
                // A folder that is gone or in use again is as it should be.
                let _ = std::fs::remove_dir(root.join(folder));
            }
        };
        let _ = tokio::task::spawn_blocking(prune).await;
    }

    fn shown(&self, relative: &str) -> String {
        format!("{}/{relative}", self.location)
    }
}

/// Never removes a file: a folder that is in use again simply stays.
fn remove_empty_folders(folder: &std::path::Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|file_type| file_type.is_dir()) {
            remove_empty_folders(&entry.path());
        }
    }
    let _ = std::fs::remove_dir(folder);
}
