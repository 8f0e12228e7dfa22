//! What scheduler and executors are made with, so that a plan means the same in all of them.

use std::path::PathBuf;
use std::sync::Arc;

use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::serde::BallistaLogicalExtensionCodec;
use ballista_core::{ConfigProducer, RuntimeProducer};
use datafusion::common::Result;
use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::SessionConfig;
use datafusion_proto::logical_plan::LogicalExtensionCodec;
use datafusion_proto::physical_plan::PhysicalExtensionCodec;

use super::codec::physical_codec;
use crate::rates::RateBooks;
use crate::session::{runtime, session_config, session_state};
use crate::store::{StoreRegistry, Stores};

/// Builds the session of a query from its configuration.
type SessionBuilder = Arc<dyn Fn(SessionConfig) -> Result<SessionState> + Send + Sync>;

/// The parts of one process of a cluster: they all share its stores and its rate books.
#[derive(Clone, Debug)]
pub struct ClusterParts {
    stores: Stores,
    books: Arc<RateBooks>,
}

impl ClusterParts {
    /// Makes the parts of a process.
    pub fn new(stores: Stores) -> Self {
        Self { books: Arc::new(RateBooks::new(stores.clone())), stores }
    }

    /// Returns the process's stores.
    pub fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Returns the process's rate books.
    pub fn books(&self) -> &Arc<RateBooks> {
        &self.books
    }

    /// Returns the codec of physical plans.
    pub fn physical_codec(&self) -> Arc<dyn PhysicalExtensionCodec> {
        physical_codec(Arc::clone(&self.books), self.stores.clone())
    }

    /// Returns the codec of logical plans, Ballista's own.
    pub fn logical_codec(&self) -> Arc<dyn LogicalExtensionCodec> {
        Arc::new(BallistaLogicalExtensionCodec::default())
    }

    /// Returns what makes a session's configuration before a plan's own settings come on top.
    pub fn config_producer(&self) -> ConfigProducer {
        let books = Arc::clone(&self.books);
        Arc::new(move || session_config(1, Arc::clone(&books)))
    }

    /// Returns what makes the runtime of an executor's tasks; they spill below `work_dir`. Memory pools
    /// are the executor's matter.
    pub fn runtime_producer(&self, work_dir: PathBuf) -> RuntimeProducer {
        let stores = self.stores.clone();
        Arc::new(move |_config: &SessionConfig| {
            RuntimeEnvBuilder::new()
                .with_temp_file_path(work_dir.clone())
                .with_object_store_registry(Arc::new(StoreRegistry::new(stores.clone())))
                .build_arc()
        })
    }

    /// Returns what makes a scheduler's session.
    pub fn session_builder(&self) -> SessionBuilder {
        let stores = self.stores.clone();
        Arc::new(move |config| session_state(config, runtime(&stores)?))
    }

    /// Returns the functions that an executor knows by name: DataFusion's and ours, without rates. Those
    /// that are bound to rates bring them along in the plan.
    ///
    /// # Errors
    /// Where a session cannot be made.
    pub fn function_registry(&self) -> Result<Arc<BallistaFunctionRegistry>> {
        let state = session_state((self.config_producer())(), runtime(&self.stores)?)?;
        Ok(Arc::new(BallistaFunctionRegistry::from(&state)))
    }
}
