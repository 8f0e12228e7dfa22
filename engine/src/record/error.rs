//! What stops a scan: the file or the configuration as a whole, never one record.

use std::io;

use datafusion::common::DataFusionError;

use crate::store::find_refusal;

/// Why a source cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A compressed file is cut short or corrupt, or a Parquet file cannot be decoded. The whole records
    /// before the damage were handed out; the caller commits nothing, or scans again with
    /// `allow_damaged`.
    #[error("damaged file `{file}`: {detail}")]
    DamagedFile {
        /// The object's path.
        file: String,
        /// What the decoder found.
        detail: String,
    },
    /// The header of a CSV file cannot name columns.
    #[error("the header of `{file}` cannot be used: {detail}")]
    Header {
        /// The object's path.
        file: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A file lacks a column of its source.
    #[error(
        "`{file}` has no column `{column}`, which {origin} has; the files of one source must have the same columns"
    )]
    MissingColumn {
        /// The object's path.
        file: String,
        /// The column that is not there.
        column: String,
        /// The file that has the column, or the source as a whole.
        origin: String,
    },
    /// A file has a column that its source does not have.
    #[error(
        "`{file}` has a column `{column}`, which {origin} does not have; the files of one source must have the same columns"
    )]
    ExtraColumn {
        /// The object's path.
        file: String,
        /// The column that is too many.
        column: String,
        /// The file without the column, or the source as a whole.
        origin: String,
    },
    /// A column of a Parquet file has a type that cannot be read as the source's.
    #[error("column `{column}` of `{file}` is {found}, which cannot be read as {expected}")]
    ColumnType {
        /// The object's path.
        file: String,
        /// The column.
        column: String,
        /// The type in the file.
        found: String,
        /// The type in the source's schema.
        expected: String,
    },
    /// The configuration speaks of a column that the source does not have.
    #[error("unknown column `{column}` in the source's types; the source has {}", .known.join(", "))]
    UnknownColumn {
        /// The column as it was written.
        column: String,
        /// The columns there are.
        known: Vec<String>,
    },
    /// A column has a name that is kept for the hidden columns.
    #[error("column `{column}` of `{file}` has a reserved name; rename it")]
    ReservedColumn {
        /// The object's path.
        file: String,
        /// The column.
        column: String,
    },
    /// No file has a record or a header from which a schema could be inferred.
    #[error("the source has no records: {files} files, all empty")]
    Empty {
        /// How many files there are.
        files: usize,
    },
    /// An option is out of its range.
    #[error("invalid {option} `{found}`; expected {expected}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// An object is not what it was when it was listed.
    #[error("`{file}` changed after it was listed: {detail}; list it again")]
    Changed {
        /// The object's path.
        file: String,
        /// What differs.
        detail: String,
    },
    /// The object store failed.
    #[error("cannot read `{file}`")]
    Store {
        /// The object's path.
        file: String,
        /// The store's error.
        source: object_store::Error,
    },
    /// A local file could not be read.
    #[error("cannot read `{file}`")]
    Io {
        /// The object's path.
        file: String,
        /// The system's error.
        source: io::Error,
    },
    /// Arrow refused what the reader built: an error of this program.
    #[error("cannot build a batch of `{file}`")]
    Arrow {
        /// The object's path.
        file: String,
        /// Arrow's error.
        source: arrow::error::ArrowError,
    },
}

impl RecordError {
    /// Tells whether the same scan may succeed when it is tried again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() != io::ErrorKind::NotFound,
            // Whatever a disk says without a name of its own is worth another look, too.
            Self::Store { source, .. } => {
                matches!(source, object_store::Error::Generic { .. } | object_store::Error::JoinError { .. })
                    && find_refusal(source).is_none()
            }
            _ => false,
        }
    }
}

impl From<RecordError> for DataFusionError {
    /// A retryable error becomes an `IoError`, the only kind that a cluster tries again; it and every
    /// other keep the typed error as their source.
    fn from(error: RecordError) -> Self {
        if error.is_retryable() {
            Self::IoError(io::Error::other(error))
        } else {
            Self::External(Box::new(error))
        }
    }
}
