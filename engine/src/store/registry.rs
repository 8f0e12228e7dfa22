//! The stores as DataFusion asks for them, by URL.

use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry};
use object_store::ObjectStore;
use url::Url;

use super::Stores;
use crate::location::Location;

/// Gives DataFusion the stores of a process, each made when a plan first names it.
///
/// Local and S3 URLs always lead to [`Stores`], whatever is registered for them; stores of other schemes
/// must be registered.
#[derive(Debug)]
pub struct StoreRegistry {
    stores: Stores,
    others: DefaultObjectStoreRegistry,
}

impl StoreRegistry {
    /// Makes a registry of `stores`.
    pub fn new(stores: Stores) -> Self {
        Self { stores, others: DefaultObjectStoreRegistry::new() }
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
        // Where in the store does not matter, and a key in a URL may be encoded otherwise than in ours.
        let place = match url.scheme() {
            "file" => "/".to_owned(),
            "s3" | "s3a" | "s3n" => format!("s3://{}", url.host_str().unwrap_or_default()),
            _ => return self.others.get_store(url),
        };
        let place = Location::parse(&place).map_err(|error| DataFusionError::External(Box::new(error)))?;
        let handle = self.stores.for_location(&place);
        Ok(handle.map_err(|error| DataFusionError::External(Box::new(error)))?.store)
    }
}
