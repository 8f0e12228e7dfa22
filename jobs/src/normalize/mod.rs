//! `normalize`: raw transactions in many currencies → an audited table in the currencies asked for.
//!
//! | | |
//! |---|---|
//! | reads | transactions (CSV, NDJSON, concatenated JSON, Parquet; plain, gzip, zstd), small tables that the source SQL joins, a folder of rate snapshots |
//! | writes | a hive-partitioned Parquet table, partitioned by the event date in the rate zone, and its quarantine beside it; one atomic commit |
//! | second run | of the same inputs and options: nothing is done; of other inputs under the same batch: exactly that batch's files are replaced |
//! | order | rows of one input file keep their order within an output file |
//! | memory | bounded by the row buffer and the writers' budget of each task, whatever the input's size |
//! | failure | a broken or inconvertible record is quarantined; above the quality limit, or where sums do not balance, nothing is committed |

mod check;
mod config;
mod description;
mod draft;
mod inputs;
mod options;
mod pass;
mod plan;
mod prepared;
mod recompute;
mod report;
mod run;
mod source_sql;

pub(crate) use config::values;
pub use config::{NormalizeConfig, RoleExpressions, SourceConfig};
pub use description::describe;
pub(crate) use draft::{data_file, partition_hashes};
pub(crate) use inputs::{FoundInputs, input_file, input_files};
pub use inputs::{InputFile, RunInputs};
pub use options::{
    NormalizeSpec, OutputSpec, QualitySpec, RatesSpec, ReadySpec, RunSpec, SourceSpec, SourceTableSpec,
    TargetSpec,
};
pub use plan::{NormalizePlan, plan};
pub(crate) use prepared::Prepared;
pub(crate) use recompute::{Recomputation, Recomputed, recompute};
pub use report::{RULES_VERSION, RunDetails, RunReport, RunStatus, SnapshotUse};
pub use run::normalize;
