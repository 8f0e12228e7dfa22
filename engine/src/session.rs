//! The session every plan of ours is made and run in.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::rates::RateBooks;

/// Rows per batch: large enough that per-batch work vanishes, small enough for the cache.
pub const BATCH_ROWS: usize = 8192;

/// Returns the configuration that planner and tasks share.
///
/// Names in SQL resolve as the file writes them. Small tables are broadcast, never shuffled; nothing
/// re-partitions a scan behind the back of a single-stage plan. Text is plain text: views blow up files
/// and results.
pub fn session_config(parallelism: usize, books: Arc<RateBooks>) -> SessionConfig {
    SessionConfig::new()
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

/// Makes a session with our functions, whose object stores are `stores`.
///
/// # Errors
/// Where a function cannot be registered.
pub fn session(config: SessionConfig, stores: Arc<DefaultObjectStoreRegistry>) -> Result<SessionContext> {
    let registry: Arc<dyn ObjectStoreRegistry> = stores;
    let runtime = RuntimeEnvBuilder::new().with_object_store_registry(registry).build_arc()?;
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .build();
    let context = SessionContext::new_with_state(state);
    cambist_udfs::sql::register_all(&context)?;
    Ok(context)
}
