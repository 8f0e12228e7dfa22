//! Why the job service refuses.

use std::error::Error as StdError;
use std::time::Duration;

use cambist_engine::location::LocationError;
use cambist_engine::store::StoreError;
use cambist_jobs::error::{ErrorKind, JobError, JobFailure};

use super::view::RunState;

/// A refusal of the job service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The job or its options are not valid; the caller should mend them.
    #[error(transparent)]
    Invalid(JobError),
    /// The id cannot name a run.
    #[error(
        "`{id}` cannot name a run, expected 1 to 100 letters, digits, `-` or `_`, a letter or digit first"
    )]
    InvalidId {
        /// The id.
        id: String,
    },
    /// Another run has this id.
    #[error("run `{id}` exists already with another job or other options, expected a new id")]
    IdTaken {
        /// The id.
        id: String,
    },
    /// There is no such run.
    #[error("no run `{id}`, expected one of those that are listed")]
    NotFound {
        /// The id.
        id: String,
    },
    /// The run can no longer be cancelled.
    #[error("run `{id}` is {state}, expected one that is not committed yet")]
    TooLate {
        /// The id.
        id: String,
        /// How far it is.
        state: &'static str,
    },
    /// As many runs wait as may wait; the caller should come back.
    #[error("{length} runs wait already, expected fewer: try again later")]
    QueueFull {
        /// How many wait.
        length: usize,
        /// When to come back.
        retry_after: Duration,
    },
    /// The service is being stopped; the caller should come back.
    #[error("the scheduler is being stopped: try again later")]
    Stopping,
    /// The records cannot be read or written; a retry may help.
    #[error("the run's records in the state store cannot be reached")]
    Store(#[source] StoreError),
    /// The folder of records is not a valid location; the caller should mend `--state-url`.
    #[error("the state url is not usable")]
    StateUrl(#[source] LocationError),
    /// A record is damaged or of another version; somebody should look at it.
    #[error("the record `{path}` is not readable")]
    Record {
        /// Where it lies.
        path: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl ServiceError {
    pub(crate) fn too_late(id: &str, state: RunState) -> Self {
        Self::TooLate { id: id.to_owned(), state: state.as_str() }
    }

    /// Tells whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::QueueFull { .. } | Self::Stopping => true,
            Self::Store(store) => store.is_retryable(),
            _ => false,
        }
    }
}

impl From<&ServiceError> for JobFailure {
    fn from(error: &ServiceError) -> Self {
        let kind = match error {
            ServiceError::Invalid(invalid) => return Self::from(invalid),
            ServiceError::InvalidId { .. } | ServiceError::NotFound { .. } | ServiceError::StateUrl(_) => {
                ErrorKind::Usage
            }
            ServiceError::IdTaken { .. } | ServiceError::TooLate { .. } => ErrorKind::Conflict,
            ServiceError::QueueFull { .. } | ServiceError::Stopping | ServiceError::Store(_) => {
                ErrorKind::Infrastructure
            }
            ServiceError::Record { .. } => ErrorKind::Data,
        };
        let causes = causes(error);
        Self { kind, message: error.to_string(), hint: None, causes }
    }
}

fn causes(error: &dyn StdError) -> Vec<String> {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(found) = cause {
        causes.push(found.to_string());
        cause = found.source();
    }
    causes
}
