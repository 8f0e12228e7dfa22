//! Why a job did not do its work, by what the caller should do about it.

use std::error::Error as StdError;

/// What kind of failure it is; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The data is at fault: mend the data.
    Data,
    /// The call is at fault: mend the options.
    Usage,
    /// An input is not there yet: come back later.
    NotReady,
    /// Another run has committed the same batch meanwhile: look at its result.
    Conflict,
    /// A quality limit was exceeded, nothing was committed: look at the numbers, then decide.
    Quality,
    /// The store or the machine failed: a retry may help.
    Infrastructure,
}

impl ErrorKind {
    /// Returns the exit code of the command line.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Data => 1,
            Self::Usage => 2,
            Self::NotReady => 10,
            Self::Conflict => 11,
            Self::Quality => 12,
            Self::Infrastructure => 20,
        }
    }

    /// Tells whether the same call may succeed later.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::NotReady | Self::Infrastructure)
    }
}

/// A job's failure: what was found, what to do, and what caused it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct JobError {
    /// What the caller should do.
    pub kind: ErrorKind,
    /// What was found.
    pub message: String,
    /// What to do next, where the message does not say it.
    pub hint: Option<String>,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl JobError {
    /// Makes an error of `kind` that says what was found.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, source: None }
    }

    /// An error of the call.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// An error of the data.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, message)
    }

    /// Says in which file it was found.
    #[must_use]
    pub fn in_file(mut self, path: &std::path::Path) -> Self {
        self.message = format!("`{}`: {}", path.display(), self.message);
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }
}

/// The result of a job's step.
pub type Result<T, E = JobError> = std::result::Result<T, E>;
