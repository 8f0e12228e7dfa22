//! `query`: one SELECT over raw files and tables of ours → one file.
//!
//! | | |
//! |---|---|
//! | reads | raw files (CSV, NDJSON, concatenated JSON, Parquet; plain, gzip, zstd), the live files of tables that `normalize` writes, a folder of rate snapshots |
//! | writes | one Parquet, CSV or NDJSON file, created whole or not at all |
//! | order | that of the SELECT's own `ORDER BY`; without one the rows come in any order |
//! | second run | with the same rows: nothing is written; with others: refused, the file is never replaced |
//! | memory | the result is held by the driver, up to `output.max_bytes`; joins and groups are bounded by the memory of the tasks |
//! | failure | a broken record of a raw file fails the query unless `run.allow_broken` lets such be left out; on a cluster a lost executor starts the whole query again |

mod encode;
mod options;
mod output;
mod plan;
mod prepared;
mod question;
mod report;
mod run;
mod tables;
#[cfg(test)]
mod tests;

pub use encode::{FileFormat, csv_writer, json_writer, parquet_writer};
pub(crate) use encode::{encode, written_columns};
pub(crate) use options::{MAX_BYTES, RatesConfig, rates};
pub use options::{
    QueryConfig, QueryOutputSpec, QueryRatesSpec, QueryRunSpec, QuerySection, QuerySpec, QueryTableSpec,
    TableConfig, describe,
};
pub(crate) use prepared::Prepared;
pub(crate) use question::{NamedTables, Question, open};
pub use report::{QueryReport, QueryStatus};
pub use run::query;
pub(crate) use run::{CAST_HINT, check_size, count_broken};
pub use tables::{Opening, QueryTable};
