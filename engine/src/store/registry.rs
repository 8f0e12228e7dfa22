//! The stores as DataFusion asks for them, by URL.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry};
use object_store::ObjectStore;
use url::Url;

use super::Stores;
use crate::location::{Location, Place};
use crate::table::SnapshotStore;

/// Gives DataFusion the stores of a process, each made when a plan first names it.
///
/// Local and S3 URLs always lead to [`Stores`], whatever is registered for them, and so do those under which
/// scans of tables find files that were moved meanwhile; stores of other schemes must be registered.
#[derive(Debug)]
pub struct StoreRegistry {
    stores: Stores,
    snapshots: Mutex<HashMap<Place, Arc<SnapshotStore>>>,
    others: DefaultObjectStoreRegistry,
}

impl StoreRegistry {
    /// Makes a registry of `stores`.
    pub fn new(stores: Stores) -> Self {
        Self { stores, snapshots: Mutex::default(), others: DefaultObjectStoreRegistry::new() }
    }

    fn snapshots(&self, url: &str) -> Result<Arc<dyn ObjectStore>> {
        let place = Location::parse(if url == "file:///" { "/" } else { url }).map_err(external)?;
        let mut snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = snapshots.get(place.place()) {
            return Ok(Arc::clone(known) as _);
        }
        let store = self.stores.for_location(&place).map_err(external)?.store;
        let made = Arc::new(SnapshotStore::new(store));
        snapshots.insert(place.place().clone(), Arc::clone(&made));
        Ok(made)
    }
}

impl ObjectStoreRegistry for StoreRegistry {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.others.register_store(url, store)
    }

    fn deregister_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        self.others.deregister_store(url)
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        if let Some(inner) = SnapshotStore::inner_url(url.as_str()) {
            return self.snapshots(inner);
        }
        // Where in the store does not matter, and a key in a URL may be encoded otherwise than in ours.
        let place = match url.scheme() {
            "file" => "/".to_owned(),
            "s3" | "s3a" | "s3n" => format!("s3://{}", url.host_str().unwrap_or_default()),
            _ => return self.others.get_store(url),
        };
        let place = Location::parse(&place).map_err(external)?;
        Ok(self.stores.for_location(&place).map_err(external)?.store)
    }
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
