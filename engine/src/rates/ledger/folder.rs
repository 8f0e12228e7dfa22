//! The folder of a ledger: requests to its store, with paths relative to the folder.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode};

use super::error::LedgerError;
use super::names;
use crate::location::{Location, LocationError, join_path};
use crate::store::{StoreError, StoreHandle, Stores, list_objects};

/// Folders that are listed at once.
const CONCURRENT_LISTINGS: usize = 16;

#[derive(Clone, Debug)]
pub(super) struct Folder {
    location: Location,
    handle: StoreHandle,
}

impl Folder {
    pub(super) fn open(stores: &Stores, location: Location) -> Result<Self, LedgerError> {
        let handle = stores.for_location(&location)?;
        Ok(Self { location, handle })
    }

    /// Returns an object's location as the user would write it.
    pub(super) fn display(&self, relative: &str) -> String {
        self.location.join(relative).map_or_else(|_| relative.to_owned(), |location| location.to_string())
    }

    /// Returns the path of an object below this folder, relative to it.
    pub(super) fn relative(&self, object: &Path) -> String {
        let rest = object.as_ref().strip_prefix(self.location.path().as_ref()).unwrap_or(object.as_ref());
        rest.trim_start_matches('/').to_owned()
    }

    /// Lists all objects below the folder: its sub-folders, and those of the ledger's own, at once.
    pub(super) async fn list(&self) -> Result<Vec<ObjectMeta>, LedgerError> {
        let mut objects = Vec::new();
        let mut folders = self.list_level(self.location.path().clone(), &mut objects).await?;
        for name in [names::ENTRIES, names::VERSIONS] {
            let path = self.path(name)?;
            if let Some(position) = folders.iter().position(|folder| *folder == path) {
                folders.swap_remove(position);
                folders.extend(self.list_level(path, &mut objects).await?);
            }
        }
        let listings = folders.into_iter().map(|folder| {
            let location = self.location.with_path(folder);
            async move { list_objects(self.handle.store.as_ref(), &location).await }
        });
        let listed: Vec<Vec<ObjectMeta>> =
            stream::iter(listings.collect::<Vec<_>>()).buffered(CONCURRENT_LISTINGS).try_collect().await?;
        objects.extend(listed.into_iter().flatten());
        // Objects that only mark a folder.
        objects.retain(|object| !object.location.as_ref().ends_with('/'));
        objects.sort_unstable_by(|left, right| left.location.cmp(&right.location));
        Ok(objects)
    }

    /// Lists one level: its objects go to `objects`, its folders are returned.
    async fn list_level(&self, path: Path, objects: &mut Vec<ObjectMeta>) -> Result<Vec<Path>, LedgerError> {
        let listed = self.handle.store.list_with_delimiter(Some(&path)).await;
        let listed = listed.map_err(StoreError::request("list", &self.location))?;
        objects.extend(listed.objects);
        Ok(listed.common_prefixes)
    }

    pub(super) async fn get(&self, relative: &str) -> Result<Bytes, LedgerError> {
        let path = self.path(relative)?;
        let read = async { self.handle.store.get(&path).await?.bytes().await };
        Ok(read.await.map_err(StoreError::request("read", self.display(relative)))?)
    }

    /// Creates an object, unless it is there. Returns false where other bytes lie under its name.
    pub(super) async fn create(&self, relative: &str, bytes: Bytes) -> Result<bool, LedgerError> {
        let path = self.path(relative)?;
        match self.handle.store.put_opts(&path, bytes.clone().into(), PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            // Somebody else's, or one's own whose answer got lost.
            Err(object_store::Error::AlreadyExists { .. }) => Ok(self.get(relative).await? == bytes),
            Err(source) => Err(StoreError::request("create", self.display(relative))(source).into()),
        }
    }

    /// Deletes objects; those that are gone already are fine.
    pub(super) async fn delete(&self, relative: &[String]) -> Result<(), LedgerError> {
        let paths = relative.iter().map(|name| self.path(name)).collect::<Result<Vec<_>, _>>()?;
        let mut deletions = self.handle.store.delete_stream(stream::iter(paths).map(Ok).boxed());
        while let Some(deletion) = deletions.next().await {
            match deletion {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => return Err(StoreError::request("delete from", &self.location)(source).into()),
            }
        }
        Ok(())
    }

    fn path(&self, relative: &str) -> Result<Path, LedgerError> {
        let invalid = |source| LocationError::InvalidPath { location: relative.to_owned(), source };
        Ok(join_path(self.location.path(), relative).map_err(invalid)?)
    }
}
