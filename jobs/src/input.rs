//! Failures of the layers below, told by what the caller should do about them.

use std::error::Error as StdError;

use cambist_engine::execution::ExecutionError;
use cambist_engine::failure::FailureKind;
use cambist_engine::files::FilesError;
use cambist_engine::rates::RatesError;
use cambist_engine::record::RecordError;
use cambist_engine::store::StoreError;
use cambist_engine::table::TableError;
use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;

use crate::error::{ErrorKind, JobError};

/// An error while planning: the SQL, a column, a type is at fault.
pub(crate) fn planning(error: DataFusionError, what: &str) -> JobError {
    if let Some(known) = known(&error) {
        return known;
    }
    let text = match error {
        // Its own prefix would only repeat that this is about planning.
        DataFusionError::Plan(text) => text,
        other => other.strip_backtrace(),
    };
    JobError::usage(format!("{what}: {text}"))
}

/// A plan that did not run to its end.
pub(crate) fn of_execution(error: ExecutionError) -> JobError {
    let kind = match &error {
        ExecutionError::Task(failure) => match failure.kind {
            FailureKind::Data => ErrorKind::Data,
            _ => ErrorKind::Infrastructure,
        },
        _ => ErrorKind::Infrastructure,
    };
    JobError::new(kind, format!("the run failed: {error}"))
}

/// An error while a plan ran.
pub(crate) fn running(error: DataFusionError) -> JobError {
    if let Some(known) = known(&error) {
        return known;
    }
    let kind = match error.find_root() {
        DataFusionError::ArrowError(arrow, _) if !matches!(**arrow, ArrowError::IoError(..)) => {
            ErrorKind::Data
        }
        DataFusionError::IoError(_)
        | DataFusionError::ObjectStore(_)
        | DataFusionError::ResourcesExhausted(_) => ErrorKind::Infrastructure,
        DataFusionError::Execution(_) => ErrorKind::Data,
        _ => ErrorKind::Infrastructure,
    };
    let hint = (kind == ErrorKind::Data).then_some(
        "the source SQL fails on a value; use TRY_CAST or parse_decimal to let such rows be quarantined",
    );
    let mut failed = JobError::new(kind, format!("the run failed: {}", error.strip_backtrace()));
    failed.hint = hint.map(str::to_owned);
    failed
}

/// Finds an error of ours inside one of DataFusion's.
fn known(error: &DataFusionError) -> Option<JobError> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(found) = cause {
        if let Some(record) = found.downcast_ref::<RecordError>() {
            return Some(of_record(record));
        }
        if let Some(store) = found.downcast_ref::<StoreError>() {
            return Some(of_store(store));
        }
        if let Some(table) = found.downcast_ref::<TableError>() {
            return Some(of_table(table));
        }
        cause = match found.downcast_ref::<DataFusionError>() {
            Some(DataFusionError::External(inner)) => Some(&**inner),
            // An I/O error hides what it wraps from `source`.
            Some(DataFusionError::IoError(inner)) => {
                inner.get_ref().map(|inner| inner as &(dyn StdError + 'static))
            }
            Some(DataFusionError::Context(_, inner)) => Some(&**inner),
            Some(DataFusionError::Shared(inner)) => Some(&**inner),
            Some(DataFusionError::ArrowError(inner, _)) => match &**inner {
                ArrowError::ExternalError(inner) => Some(&**inner),
                other => other.source(),
            },
            _ => found.source(),
        };
    }
    None
}

fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(found) = cause {
        let next = found.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = found.source();
    }
    text
}

/// An error of a record reader.
pub(crate) fn of_record(error: &RecordError) -> JobError {
    let kind = match error {
        RecordError::DamagedFile { .. } => ErrorKind::Data,
        RecordError::Changed { .. } => ErrorKind::Infrastructure,
        other if other.is_retryable() => ErrorKind::Infrastructure,
        _ => ErrorKind::Usage,
    };
    let failed = JobError::new(kind, chain(error));
    match error {
        RecordError::DamagedFile { .. } => {
            failed.with_hint("nothing was committed; --allow-damaged commits the whole records of such files")
        }
        _ => failed,
    }
}

/// An error while an input was listed.
pub(crate) fn of_files(error: &FilesError) -> JobError {
    match error {
        FilesError::Store(store) => of_store(store),
        other => JobError::usage(chain(other)),
    }
}

/// An error of a store.
pub(crate) fn of_store(error: &StoreError) -> JobError {
    let kind = if error.is_retryable() { ErrorKind::Infrastructure } else { ErrorKind::Usage };
    JobError::new(kind, chain(error))
}

/// An error of a table.
pub(crate) fn of_table(error: &TableError) -> JobError {
    let kind = match error {
        TableError::Conflict { .. } => ErrorKind::Conflict,
        TableError::NotATable { .. }
        | TableError::NotAFolder { .. }
        | TableError::NoTable { .. }
        | TableError::NoSuchCommit { .. }
        | TableError::IsQuarantine { .. }
        | TableError::InvalidName { .. }
        | TableError::Location(_)
        | TableError::SchemaMismatch { .. } => ErrorKind::Usage,
        other if other.is_retryable() => ErrorKind::Infrastructure,
        TableError::Store { .. } => ErrorKind::Usage,
        _ => ErrorKind::Data,
    };
    JobError::new(kind, chain(error))
}

/// An error of the rates.
pub(crate) fn of_rates(error: &RatesError) -> JobError {
    let kind = match error {
        RatesError::Store { source, .. } => return of_files(source),
        RatesError::Nothing { .. } => ErrorKind::Usage,
        _ => ErrorKind::Data,
    };
    JobError::new(kind, chain(error))
}
