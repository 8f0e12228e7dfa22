//! The session every plan of ours is made and run in, in one process and on a cluster.

use std::num::NonZero;
use std::sync::Arc;

use ballista_core::extension::SessionConfigExt;
use datafusion::common::Result;
use datafusion::execution::SessionState;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::bounded_function::bounded_functions;
use crate::inline_join::InlineBuildSides;
use crate::rates::RateBooks;
use crate::store::{StoreRegistry, Stores};

/// Rows per batch: large enough that per-batch work vanishes, small enough for the cache.
pub const BATCH_ROWS: usize = 8192;

/// The most that a message between the processes of a cluster may hold; a task's plan of 10,000 files
/// takes some 2 MiB. Both ends of every connection must agree on it.
pub const MESSAGE_BYTES_MAX: usize = 128 << 20;

/// Returns the configuration that planner and tasks share, in one process and on a cluster.
///
/// Names in SQL resolve as the file writes them. Small tables are broadcast, never shuffled; nothing
/// re-partitions a scan behind the back of a single-stage plan. Text is plain text: views blow up files
/// and results.
pub fn session_config(parallelism: usize, books: Arc<RateBooks>) -> SessionConfig {
    SessionConfig::new_with_ballista()
        // It hangs or loses its place when an executor dies, and promises wrong schemas.
        .with_ballista_adaptive_query_planner(false)
        // Otherwise the first executor to ask takes a whole stage.
        .set_usize("ballista.scheduler.max_partitions_per_task", 1)
        .with_ballista_grpc_client_max_message_size(MESSAGE_BYTES_MAX)
        // Ballista prefers sort-merge joins, which would sort the source.
        .set_bool("datafusion.optimizer.prefer_hash_join", true)
        .with_target_partitions(parallelism)
        .with_batch_size(BATCH_ROWS)
        .with_information_schema(false)
        .with_repartition_joins(false)
        .with_repartition_aggregations(false)
        .with_repartition_windows(false)
        .with_repartition_file_scans(false)
        .with_round_robin_repartition(false)
        .set_bool("datafusion.sql_parser.enable_ident_normalization", false)
        .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false)
        // A literal such as 1.19 is money in our SQL, never a float.
        .set_bool("datafusion.sql_parser.parse_float_as_decimal", true)
        .set_bool("datafusion.execution.parquet.schema_force_view_types", false)
        .with_extension(books)
}

/// Returns the configuration of a query of any number of stages: joins, groups and windows are hashed over
/// `parallelism` tasks.
///
/// A join shuffles both its sides, whatever their size: nobody knows the size of raw files' rows
/// beforehand, and what is small is shuffled soon.
pub fn query_session_config(parallelism: usize, books: Arc<RateBooks>) -> SessionConfig {
    session_config(parallelism, books)
        .with_repartition_joins(true)
        .with_repartition_aggregations(true)
        .with_repartition_windows(true)
        .set_usize("datafusion.optimizer.hash_join_single_partition_threshold", 0)
        .set_usize("datafusion.optimizer.hash_join_single_partition_threshold_rows", 0)
}

/// Consumers of memory that an error names, the largest.
const CONSUMERS_TOLD: NonZero<usize> = NonZero::<usize>::MIN.saturating_add(2);

/// Returns a runtime whose object stores are `stores`.
///
/// # Errors
/// Where the system gives no room for temporary files.
pub fn runtime(stores: &Stores) -> Result<Arc<RuntimeEnv>> {
    runtime_builder(stores).build_arc()
}

/// Returns a runtime whose object stores are `stores`, and whose plans together may take `memory_bytes` for their
/// rows: what can be spilled gets an equal share each and goes to temporary files beyond it, the rest fails.
///
/// # Errors
/// Where the system gives no room for temporary files.
pub fn bounded_runtime(stores: &Stores, memory_bytes: usize) -> Result<Arc<RuntimeEnv>> {
    let pool = TrackConsumersPool::new(FairSpillPool::new(memory_bytes), CONSUMERS_TOLD);
    runtime_builder(stores).with_memory_pool(Arc::new(pool)).build_arc()
}

fn runtime_builder(stores: &Stores) -> RuntimeEnvBuilder {
    RuntimeEnvBuilder::new().with_object_store_registry(Arc::new(StoreRegistry::new(stores.clone())))
}

/// Makes the state of a session with our functions in `runtime`.
///
/// # Errors
/// Where a function cannot be registered.
pub fn session_state(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> Result<SessionState> {
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_physical_optimizer_rule(Arc::new(InlineBuildSides))
        .build();
    let functions = bounded_functions(state.scalar_functions());
    let context = SessionContext::new_with_state(state);
    for function in functions {
        context.register_udf(function);
    }
    cambist_udfs::sql::register_all(&context)?;
    Ok(context.state())
}

/// Makes a session with our functions, whose object stores are `stores`.
///
/// # Errors
/// Where a function cannot be registered.
pub fn session(config: SessionConfig, stores: &Stores) -> Result<SessionContext> {
    Ok(SessionContext::new_with_state(session_state(config, runtime(stores)?)?))
}
