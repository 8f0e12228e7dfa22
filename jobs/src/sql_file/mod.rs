//! Jobs that are written in SQL: a `.sql` file with a header in a folder of jobs.
//!
//! | | |
//! |---|---|
//! | reads | what the header names: raw files, tables of ours, a folder of rate snapshots |
//! | writes | a hive-partitioned Parquet table, by the writer and the commit of `normalize`; partitioned by a date |
//! | second run | of the same file, parameters and inputs: nothing is done; of other inputs under the same batch: exactly that batch's files are replaced; the batch is by default told by the parameters' values |
//! | order | none |
//! | memory | a SELECT that maps rows one by one streams; on a cluster the result of one that joins, groups or sorts is held by the driver, up to 256 MiB |
//! | failure | a broken record or a row without a date fails the run, nothing is committed |

mod definition;
mod header;
mod options;
mod parameter;
mod plan;
mod report;
mod run;
#[cfg(test)]
mod tests;
mod url;
mod write;

pub use definition::SqlFileJob;
pub(crate) use definition::read_folder;
pub use report::{SqlJobReport, SqlJobStatus};
