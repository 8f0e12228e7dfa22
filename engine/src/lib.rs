//! How any plan of Cambist runs, in one process or on a cluster: the session, object stores, permissive
//! record readers, the operators `RecordGate`, `RateJoin` and `PartitionWriter`, queries, and the commit log.
//!
//! No job is known here.

pub mod athena;
mod bounded_function;
pub mod distributed;
pub mod exact_sum;
pub mod execution;
pub mod executor_id;
pub mod failure;
pub mod fault;
pub mod files;
mod filter_first;
pub mod inline_join;
mod json_text;
pub mod lineage;
pub mod location;
pub mod merge;
pub mod metrics;
pub mod parquet_object;
pub mod partition_writer;
pub mod pinned_table;
mod plan_node;
pub mod progress;
pub mod quarantine;
pub mod query;
pub mod rate_join;
pub mod rates;
pub mod record;
pub mod record_gate;
pub mod session;
pub mod source_table;
pub mod statement_limits;
pub mod store;
pub mod table;
pub mod task;
pub mod task_input;
