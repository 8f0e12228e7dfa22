//! Permissive record readers: raw objects (CSV, NDJSON, concatenated JSON, Parquet; plain, gzip, zstd)
//! become Arrow batches in which a broken record is a *fault row*, never an error.
//!
//! Every record of a file is one row, in file order, whatever the chunk sizes and however the file is
//! split into byte ranges. Two hidden columns follow the declared ones: [`RECORD_COLUMN`] says where
//! the record lies and how it read, [`FAULT_COLUMN`] why it cannot be used. What is *not* done here:
//! no currency, no amount beyond its declared type, no look at the rates.

mod batch;
mod column;
mod column_type;
mod config;
mod csv;
mod error;
mod groups;
mod header;
mod infer;
mod input;
mod json;
mod parquet;
mod schema;
mod source;
mod text;
mod value;
mod window;
mod wire;

#[cfg(test)]
mod tests;

pub use column_type::{ColumnType, UnknownType};
pub use config::{ColumnRole, Encoding, Format, RecordConfig};
pub use error::RecordError;
pub use groups::{GroupPlan, plan_groups};
pub use infer::infer;
pub use schema::{
    DAMAGED_FILE_MARKER, DETAIL_FIELD, FAULT_COLUMN, FILE_FIELD, NUMBER_FIELD, OFFSET_FIELD, RAW_BYTES_MAX,
    RAW_FIELD, REASON_FIELD, RECORD_COLUMN,
};
pub use source::RecordSource;
pub(crate) use wire::WireScan;
