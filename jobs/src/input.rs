//! Failures of the layers below, told by what the caller should do about them.

use cambist_engine::execution::ExecutionError;
use cambist_engine::failure::{FailureKind, TaskFailure, chain};
use cambist_engine::files::FilesError;
use cambist_engine::merge::MergeError;
use cambist_engine::rates::RatesError;
use cambist_engine::rates::ledger::LedgerError;
use cambist_engine::record::RecordError;
use cambist_engine::statement_limits::check_statement;
use cambist_engine::store::StoreError;
use cambist_engine::table::TableError;
use datafusion::error::DataFusionError;

use crate::error::{ErrorKind, JobError};

/// An error while planning: the SQL, a column, a type is at fault.
pub(crate) fn planning(error: DataFusionError, what: &str) -> JobError {
    if let Some(known) = TaskFailure::known(&error) {
        return of_failure(known);
    }
    let text = match error {
        // Its own prefix would only repeat that this is about planning.
        DataFusionError::Plan(text) => text,
        other => other.strip_backtrace(),
    };
    JobError::usage(format!("{what}: {text}"))
}

/// Refuses SQL that goes beyond a limit, before it is parsed.
pub(crate) fn within_limits(sql: &str, what: &str) -> Result<(), JobError> {
    check_statement(sql)
        .map_err(|error| JobError::usage(format!("{what} is refused: {error}")).with_hint(error.hint))
}

/// A plan that did not run to its end.
pub(crate) fn of_execution(error: ExecutionError) -> JobError {
    match error {
        ExecutionError::Task(failure) => of_failure(failure),
        other => JobError::new(ErrorKind::Infrastructure, format!("the run failed: {other}")),
    }
}

/// An error while a plan ran.
pub(crate) fn running(error: DataFusionError) -> JobError {
    of_failure(TaskFailure::of(&error))
}

/// A classified failure, wherever it happened.
fn of_failure(failure: TaskFailure) -> JobError {
    let kind = match failure.kind {
        FailureKind::Data => ErrorKind::Data,
        FailureKind::Usage | FailureKind::Refused => ErrorKind::Usage,
        FailureKind::Transient | FailureKind::Resources | FailureKind::Panic | FailureKind::Internal => {
            ErrorKind::Infrastructure
        }
    };
    let mut failed = JobError::new(kind, failure.message);
    failed.hint = failure.hint;
    failed
}

/// An error of a record reader.
pub(crate) fn of_record(error: &RecordError) -> JobError {
    of_failure(TaskFailure::of_record(error))
}

/// An error while an input was listed.
pub fn of_files(error: &FilesError) -> JobError {
    match error {
        FilesError::Store(store) => of_store(store),
        other => JobError::usage(chain(other)),
    }
}

/// An error of a store.
pub fn of_store(error: &StoreError) -> JobError {
    of_failure(TaskFailure::of_store(error))
}

/// An error of a table.
pub(crate) fn of_table(error: &TableError) -> JobError {
    match error {
        TableError::Conflict { .. } => JobError::new(ErrorKind::Conflict, chain(error)),
        other => of_failure(TaskFailure::of_table(other)),
    }
}

/// A failed merge.
pub(crate) fn of_merge(error: MergeError) -> JobError {
    match error {
        MergeError::Plan(error) => running(error),
        MergeError::Execution(error) => of_execution(error),
        MergeError::Table(error) => of_table(&error),
        changed => JobError::new(ErrorKind::Infrastructure, format!("{changed}; nothing was committed"))
            .with_hint("this is a defect of Cambist, or the files were changed: run `cambist verify`"),
    }
}

/// An error of a ledger of rates.
pub fn of_ledger(error: &LedgerError) -> JobError {
    let kind = match error {
        LedgerError::Store(store) => return of_store(store),
        LedgerError::Files(files) => return of_files(files),
        LedgerError::Location(_) | LedgerError::Approval { .. } | LedgerError::Gates(_) => ErrorKind::Usage,
        LedgerError::Against { source, .. } if source.is_retryable() => ErrorKind::Infrastructure,
        LedgerError::Against { .. } => ErrorKind::Usage,
        _ => ErrorKind::Data,
    };
    JobError::new(kind, chain(error))
}

/// An error of the rates.
pub(crate) fn of_rates(error: &RatesError) -> JobError {
    let kind = match error {
        RatesError::Store { source, .. } => return of_files(source),
        RatesError::Ledger { source, .. } if source.is_retryable() => ErrorKind::Infrastructure,
        RatesError::Nothing { .. } => ErrorKind::Usage,
        _ => ErrorKind::Data,
    };
    JobError::new(kind, chain(error))
}
