//! Object stores: one per bucket, built from the environment and shared by all that use it.

mod answer;
mod counters;
mod error;
mod http;
mod list;
mod probe;
mod refusal;
mod registry;
mod resume;
mod retry;
mod retrying;
mod s3;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::multipart::MultipartStore;

pub use counters::{StoreMetrics, store_metrics};
pub use error::{StoreError, is_retryable};
pub use list::{find_objects, list_objects};
pub use probe::probe_create_only;
pub use refusal::{StoreGaveUp, StoreRefusal, find_refusal};
pub use registry::StoreRegistry;

use crate::location::{Location, Place};

/// A store and what it can do.
#[derive(Clone)]
pub struct StoreHandle {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The same store's uploads that another process can complete; local disks have none.
    pub multipart: Option<Arc<dyn MultipartStore>>,
    /// Whether listings pass over what links lead to: see [`Stores::passing_over_links`].
    passes_over_links: bool,
}

impl StoreHandle {
    /// Makes a handle of a store that has uploads which another process can complete.
    pub fn with_multipart<S: ObjectStore + MultipartStore>(store: Arc<S>) -> Self {
        let multipart = Some(Arc::clone(&store) as Arc<dyn MultipartStore>);
        Self { multipart, store, passes_over_links: false }
    }

    /// Makes a handle of a store without such uploads.
    pub fn without_multipart(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, multipart: None, passes_over_links: false }
    }
}

impl fmt::Debug for StoreHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StoreHandle({})", self.store)
    }
}

/// The stores of this process, each built when first asked for.
///
/// Region, endpoint and credentials of a bucket come from the `AWS_…` variables or the instance profile,
/// never from a session's configuration, which other people can read.
#[derive(Clone, Debug, Default)]
pub struct Stores {
    handles: Arc<Mutex<HashMap<Place, StoreHandle>>>,
    passes_over_links: bool,
}

impl Stores {
    /// Makes an empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes inputs that are folders or patterns of the local file system pass over what symbolic links below them
    /// lead to elsewhere: for a process that may read more than those who name its inputs.
    #[must_use]
    pub fn passing_over_links(self) -> Self {
        Self { passes_over_links: true, ..self }
    }

    /// Uses `handle` for everything in `place` from now on, instead of a store built from the environment.
    pub fn register(&self, place: Place, handle: StoreHandle) {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).insert(place, handle);
    }

    /// Returns the store that `location` lies in.
    ///
    /// # Errors
    /// Where the environment does not describe a usable store.
    pub fn for_location(&self, location: &Location) -> Result<StoreHandle, StoreError> {
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = handles.get(location.place()) {
            return Ok(handle.clone());
        }
        let handle = match location.place() {
            Place::Local => StoreHandle {
                passes_over_links: self.passes_over_links,
                ..StoreHandle::without_multipart(Arc::new(LocalFileSystem::new()))
            },
            Place::Bucket(bucket) => StoreHandle::with_multipart(Arc::new(s3::from_environment(bucket)?)),
        };
        handles.insert(location.place().clone(), handle.clone());
        Ok(handle)
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod watched;
