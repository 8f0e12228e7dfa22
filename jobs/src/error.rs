//! Why a job did not do its work, by what the caller should do about it.

use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use cambist_engine::failure::chain;

/// What kind of failure it is; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// A failure as it is kept in a run's record and sent over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFailure {
    /// What the caller should do.
    pub kind: ErrorKind,
    /// What was found.
    pub message: String,
    /// What to do next, where the message does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The causes, from the nearest to the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
}

impl fmt::Display for JobFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<&JobError> for JobFailure {
    fn from(error: &JobError) -> Self {
        let mut causes = Vec::new();
        let mut cause = error.source();
        while let Some(found) = cause {
            causes.push(found.to_string());
            cause = found.source();
        }
        Self { kind: error.kind, message: error.message.clone(), hint: error.hint.clone(), causes }
    }
}

impl From<JobFailure> for JobError {
    fn from(failure: JobFailure) -> Self {
        let nest = |source: Option<Box<Cause>>, message| Some(Box::new(Cause { message, source }));
        let source = failure.causes.into_iter().rev().fold(None, nest);
        Self {
            kind: failure.kind,
            message: failure.message,
            hint: failure.hint,
            source: source.map(|cause| cause as Box<dyn StdError + Send + Sync>),
        }
    }
}

/// A cause whose type was left behind in another process.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Cause {
    message: String,
    source: Option<Box<Self>>,
}

/// The result of a job's step.
pub type Result<T, E = JobError> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_the_way_through_json() {
        let inner = std::io::Error::other("connection reset");
        let error = JobError::new(ErrorKind::NotReady, "no rates yet")
            .with_hint("wait")
            .caused_by(JobError::data("cannot read").caused_by(inner));
        let failure = JobFailure::from(&error);
        assert_eq!(failure.causes, ["cannot read", "connection reset"]);
        let text = serde_json::to_string(&failure).unwrap();
        assert!(text.contains(r#""kind":"not_ready""#), "{text}");
        let back = JobError::from(serde_json::from_str::<JobFailure>(&text).unwrap());
        assert_eq!(JobFailure::from(&back), failure);
    }
}
