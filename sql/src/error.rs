//! Why a statement was not executed, by what its sender should do.

use cambist_engine::execution::ExecutionError;
use cambist_engine::failure::{FailureKind, TaskFailure};
use cambist_engine::statement_limits::BeyondLimit;
use cambist_jobs::error::{ErrorKind, JobError};

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SqlErrorKind {
    /// The statement cannot be read, or does not fit what it names: mend it.
    Invalid,
    /// It names something that does not exist: mend the name.
    NotFound,
    /// Its sender may not do that.
    Denied,
    /// A limit of its sender is reached: come back later, or ask for less.
    Exhausted,
    /// It took longer than its sender may take.
    TimedOut,
    /// Somebody cancelled it.
    Cancelled,
    /// The data is at fault: mend the data.
    Data,
    /// The store, the cluster or the machine failed: a retry may help.
    Unavailable,
    /// It is not done, because what it is about has changed meanwhile.
    Conflict,
    /// A defect of ours.
    Internal,
}

/// A statement's failure.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    /// What the sender should do.
    pub kind: SqlErrorKind,
    /// What was found, and where in the statement.
    pub message: String,
    /// What to do next, where the message does not say it.
    pub hint: Option<String>,
}

/// The result of a statement's step.
pub type Result<T, E = SqlError> = std::result::Result<T, E>;

impl SqlError {
    /// Makes an error of `kind` that says what was found.
    pub fn new(kind: SqlErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// A statement that cannot be read or planned.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(SqlErrorKind::Invalid, message)
    }

    /// A statement that its sender may not execute.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(SqlErrorKind::Denied, message)
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<TaskFailure> for SqlError {
    fn from(failure: TaskFailure) -> Self {
        let kind = match failure.kind {
            FailureKind::Transient => SqlErrorKind::Unavailable,
            FailureKind::Refused | FailureKind::Usage => SqlErrorKind::Invalid,
            FailureKind::Data => SqlErrorKind::Data,
            FailureKind::Resources => SqlErrorKind::Exhausted,
            FailureKind::Panic | FailureKind::Internal => SqlErrorKind::Internal,
        };
        Self { kind, message: failure.message, hint: failure.hint }
    }
}

impl From<BeyondLimit> for SqlError {
    fn from(error: BeyondLimit) -> Self {
        Self::invalid(error.message).with_hint(error.hint)
    }
}

impl From<ExecutionError> for SqlError {
    fn from(error: ExecutionError) -> Self {
        match error {
            ExecutionError::Task(failure) => failure.into(),
            ExecutionError::Cancelled => Self::new(SqlErrorKind::Cancelled, "cancelled"),
            other => Self::new(SqlErrorKind::Unavailable, other.to_string()),
        }
    }
}

impl From<JobError> for SqlError {
    fn from(error: JobError) -> Self {
        let kind = match error.kind {
            ErrorKind::Data | ErrorKind::Quality => SqlErrorKind::Data,
            ErrorKind::Usage => SqlErrorKind::Invalid,
            ErrorKind::NotReady | ErrorKind::Infrastructure => SqlErrorKind::Unavailable,
            ErrorKind::Conflict => SqlErrorKind::Conflict,
        };
        let message = cambist_engine::failure::chain(&error);
        Self { kind, message, hint: error.hint }
    }
}
