//! Errors of all layers, sorted by what should be done about them.

use std::any::Any;
use std::error::Error as StdError;
use std::io;

use arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use tokio::task::JoinError;

use super::carried::Carried;
use super::chain;
use super::{FailureKind, TaskFailure};
use crate::record::RecordError;
use crate::store::{StoreError, find_refusal};
use crate::table::TableError;

const SQL_HINT: &str =
    "the source SQL fails on a value; use TRY_CAST or parse_decimal to let such rows be quarantined";
const DAMAGED_HINT: &str = "nothing was committed; --allow-damaged commits the whole records of such files";
const DISK_HINT: &str = "the disk is full: make room, or give the work and output folders another disk";
const MEMORY_HINT: &str =
    "give each executor more memory (--memory-mib), or let it run fewer tasks at once (--cores)";
const DEFECT_HINT: &str = "this is a defect of Cambist: please report it with the job's spec";

impl TaskFailure {
    /// Classifies what an operator failed with.
    pub fn of(error: &DataFusionError) -> Self {
        Self::known(error).unwrap_or_else(|| Self::of_engine(error))
    }

    /// Classifies an error that holds one of ours or one of a store; nothing for errors of the query
    /// engine itself.
    pub fn known(error: &DataFusionError) -> Option<Self> {
        causes(error).find_map(|cause| {
            if let Some(Carried(failure)) = cause.downcast_ref() {
                return Some(failure.clone());
            }
            if let Some(record) = cause.downcast_ref::<RecordError>() {
                return Some(Self::of_record(record));
            }
            if let Some(store) = cause.downcast_ref::<StoreError>() {
                return Some(Self::of_store(store));
            }
            if let Some(table) = cause.downcast_ref::<TableError>() {
                return Some(Self::of_table(table));
            }
            if let Some(store) = cause.downcast_ref::<object_store::Error>() {
                return Some(Self::of_object_store(store));
            }
            None
        })
    }

    /// Classifies an error of a record reader.
    pub fn of_record(error: &RecordError) -> Self {
        let kind = match error {
            RecordError::DamagedFile { .. } => FailureKind::Data,
            // The same task would find the same: the input has to be listed again.
            RecordError::Changed { .. } | RecordError::Arrow { .. } => FailureKind::Internal,
            RecordError::Io { source, .. } => of_io(source),
            other if other.is_retryable() => FailureKind::Transient,
            RecordError::Store { .. } => FailureKind::Refused,
            _ => FailureKind::Usage,
        };
        let failure = Self::from_chain(kind, error);
        match error {
            RecordError::DamagedFile { .. } => failure.with_hint(DAMAGED_HINT),
            _ => failure,
        }
    }

    /// Classifies an error of a store.
    pub fn of_store(error: &StoreError) -> Self {
        let kind = if error.is_retryable() { FailureKind::Transient } else { FailureKind::Refused };
        Self::from_chain(kind, error)
    }

    /// Classifies an error of a table.
    pub fn of_table(error: &TableError) -> Self {
        let kind = match error {
            TableError::Store(store) => return Self::of_store(store),
            TableError::Io { source, .. } => of_io(source),
            other if other.is_retryable() => FailureKind::Transient,
            TableError::NotATable { .. }
            | TableError::NotAFolder { .. }
            | TableError::NoTable { .. }
            | TableError::NoSuchCommit { .. }
            | TableError::NoCommitYet { .. }
            | TableError::IsQuarantine { .. }
            | TableError::InvalidName { .. }
            | TableError::Location(_)
            | TableError::SchemaMismatch { .. } => FailureKind::Usage,
            _ => FailureKind::Data,
        };
        Self::from_chain(kind, error)
    }

    /// Classifies the end of a spawned task that returned nothing.
    pub fn of_join(error: JoinError) -> Self {
        match error.try_into_panic() {
            Ok(payload) => Self::of_panic(payload.as_ref()),
            Err(cancelled) => Self::new(FailureKind::Internal, format!("a task was cancelled: {cancelled}")),
        }
    }

    fn of_panic(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let message = format!("a task panicked: {}", text.unwrap_or("no message"));
        Self::new(FailureKind::Panic, message).with_hint(DEFECT_HINT)
    }

    /// A store's error that no layer of ours has seen, such as the one of a Parquet scan.
    fn of_object_store(error: &object_store::Error) -> Self {
        let causes =
            std::iter::successors(Some(error as &(dyn StdError + 'static)), |found| next_cause(*found));
        if let Some(table) = causes.filter_map(|cause| cause.downcast_ref()).next() {
            return Self::of_table(table);
        }
        let kind = match error {
            _ if find_refusal(error).is_some() => FailureKind::Refused,
            object_store::Error::Generic { .. } | object_store::Error::JoinError { .. } => {
                FailureKind::Transient
            }
            _ => FailureKind::Refused,
        };
        let mut failure = Self::from_chain(kind, error);
        failure.message = format!("the run failed: {}", failure.message);
        failure
    }

    /// An error of the query engine: what is left is told by its kind.
    fn of_engine(error: &DataFusionError) -> Self {
        let text = format!("the run failed: {}", error.strip_backtrace());
        let of_values = || Self::new(FailureKind::Data, text.clone()).with_hint(SQL_HINT);
        let of_system = |found: &io::Error| Self::with_system_hint(of_io(found), text.clone());
        match error.find_root() {
            DataFusionError::ArrowError(arrow, _) => match &**arrow {
                ArrowError::IoError(_, found) => of_system(found),
                _ => of_values(),
            },
            DataFusionError::Execution(_) => of_values(),
            DataFusionError::IoError(found) => of_system(found),
            DataFusionError::ResourcesExhausted(_) => {
                Self::new(FailureKind::Resources, text).with_hint(MEMORY_HINT)
            }
            DataFusionError::ExecutionJoin(join) if join.is_panic() => {
                Self::new(FailureKind::Panic, text).with_hint(DEFECT_HINT)
            }
            _ => Self::new(FailureKind::Internal, text),
        }
    }

    /// The error with its causes. A full disk is one wherever it shows.
    fn from_chain(kind: FailureKind, error: &(dyn StdError + 'static)) -> Self {
        let is_full = std::iter::successors(Some(error), |found| next_cause(*found))
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .any(|found| of_io(found) == FailureKind::Resources);
        let kind = if is_full { FailureKind::Resources } else { kind };
        Self::with_system_hint(kind, chain(error))
    }

    fn with_system_hint(kind: FailureKind, message: String) -> Self {
        let failure = Self::new(kind, message);
        if kind == FailureKind::Resources { failure.with_hint(DISK_HINT) } else { failure }
    }
}

/// Sorts what the system says.
fn of_io(error: &io::Error) -> FailureKind {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => FailureKind::Resources,
        ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::NotFound
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::FileTooLarge
        | ErrorKind::InvalidFilename => FailureKind::Refused,
        _ => FailureKind::Transient,
    }
}

/// An error and what is inside it, from the outside in.
fn causes(error: &DataFusionError) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(Some(error as &(dyn StdError + 'static)), |found| next_cause(*found))
}

fn next_cause<'a>(found: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match found.downcast_ref::<io::Error>() {
        // An I/O error hides what it wraps from `source`.
        Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
        None => found.source(),
    }
}
