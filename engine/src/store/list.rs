//! Finding objects: a file is itself, a folder is all that lies in it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::{StoreError, StoreHandle};
use crate::location::Location;

/// The most objects that one listing takes into memory (about 200 bytes each).
const OBJECTS_MAX: usize = 5_000_000;

/// Returns the object at `location`, or all objects below it, sorted by path.
///
/// Each comes with its size, its e-tag and when it was last modified. Hidden names are not left out.
/// A location that does not exist gives an empty list. Where the handle's stores pass over links, so does this.
///
/// # Errors
/// Where the store cannot be asked, or holds too many objects for one list.
pub async fn find_objects(handle: &StoreHandle, location: &Location) -> Result<Vec<ObjectMeta>, StoreError> {
    let objects = find_with_links(handle, location).await?;
    let Some(root) = location.local_path().filter(|_| handle.passes_over_links) else { return Ok(objects) };
    let really_below = tokio::task::spawn_blocking(move || really_below(&root, objects));
    really_below.await.map_err(|failed| {
        let source = object_store::Error::Generic { store: "local", source: failed.into() };
        StoreError::request("list", location)(source)
    })
}

async fn find_with_links(handle: &StoreHandle, location: &Location) -> Result<Vec<ObjectMeta>, StoreError> {
    let is_folder = location.local_path().is_some_and(|path| path.is_dir());
    if is_folder || location.path().is_root() {
        return list_objects(handle.store.as_ref(), location).await;
    }
    match handle.store.head(location.path()).await {
        Ok(object) => Ok(vec![object]),
        Err(object_store::Error::NotFound { .. }) => list_objects(handle.store.as_ref(), location).await,
        // Who may read what lies below a folder may not be allowed to ask for an object of the folder's name.
        Err(refused @ object_store::Error::PermissionDenied { .. }) => {
            match list_objects(handle.store.as_ref(), location).await {
                Ok(objects) if !objects.is_empty() => Ok(objects),
                _ => Err(StoreError::request("read", location)(refused)),
            }
        }
        Err(failed) => Err(StoreError::request("read", location)(failed)),
    }
}

/// Returns all objects below the folder `location`, however deep, sorted by path.
///
/// # Errors
/// Where the store cannot be asked, or holds too many objects for one list.
pub async fn list_objects(
    store: &dyn ObjectStore,
    location: &Location,
) -> Result<Vec<ObjectMeta>, StoreError> {
    let mut listing = store.list(Some(location.path()));
    let mut objects = Vec::new();
    while let Some(object) = listing.try_next().await.map_err(StoreError::request("list", location))? {
        if objects.len() == OBJECTS_MAX {
            return Err(StoreError::TooManyObjects { location: location.to_string(), limit: OBJECTS_MAX });
        }
        objects.push(object);
    }
    objects.sort_unstable_by(|left, right| left.location.cmp(&right.location));
    Ok(objects)
}

/// Keeps the objects that lie below `root`, symbolic links followed.
fn really_below(root: &Path, mut objects: Vec<ObjectMeta>) -> Vec<ObjectMeta> {
    // What is not there any more is told by who reads it.
    let Ok(real_root) = root.canonicalize() else { return objects };
    let is_below = |path: &Path| path.canonicalize().is_ok_and(|real| real.starts_with(&real_root));
    let mut folders: HashMap<PathBuf, bool> = HashMap::new();
    objects.retain(|object| {
        let path = PathBuf::from(format!("/{}", object.location));
        let Some(folder) = path.parent().filter(|_| path != root) else { return true };
        let is_folder_below = match folders.get(folder) {
            Some(known) => *known,
            None => *folders.entry(folder.to_owned()).or_insert_with(|| is_below(folder)),
        };
        let is_link = path.symlink_metadata().is_ok_and(|found| found.is_symlink());
        is_folder_below && (!is_link || is_below(&path))
    });
    objects
}
