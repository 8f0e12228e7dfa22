//! Why a client's call failed.

use arrow_flight::error::FlightError;
use tonic::{Code, Status};

use crate::status::HINT_MARK;

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientErrorKind {
    /// The statement or a setting is not valid: mend it.
    Invalid,
    /// The server does not know the user, password or token.
    NotAuthenticated,
    /// The user may not do that.
    Denied,
    /// What is named does not exist.
    NotFound,
    /// A limit of the user is reached: come back later, or ask for less.
    Exhausted,
    /// It took longer than it may take.
    TimedOut,
    /// Somebody cancelled it.
    Cancelled,
    /// The data is at fault, or the present state of the session.
    Precondition,
    /// Something has changed meanwhile.
    Conflict,
    /// The server cannot be reached, or cannot reach what it needs: a retry may help.
    Unavailable,
    /// A defect.
    Internal,
}

/// A call's failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ClientError {
    /// What to do about it.
    pub kind: ClientErrorKind,
    /// What was found.
    pub message: String,
    /// What to do next, where the server says it.
    pub hint: Option<String>,
}

impl ClientError {
    pub(super) fn invalid(message: String) -> Self {
        Self { kind: ClientErrorKind::Invalid, message, hint: None }
    }

    pub(super) fn of_server(message: &str) -> Self {
        Self { kind: ClientErrorKind::Internal, message: message.to_owned(), hint: None }
    }

    pub(super) fn of_transport(endpoint: &str, error: &tonic::transport::Error) -> Self {
        let mut message = format!("`{endpoint}` cannot be reached");
        let mut source = std::error::Error::source(error);
        while let Some(reason) = source {
            message.push_str(&format!(": {reason}"));
            source = reason.source();
        }
        Self { kind: ClientErrorKind::Unavailable, message, hint: None }
    }

    pub(super) fn of_flight(error: FlightError) -> Self {
        match error {
            FlightError::Tonic(status) => Self::of_status(*status),
            error => Self { kind: ClientErrorKind::Internal, message: error.to_string(), hint: None },
        }
    }

    pub(super) fn of_status(status: Status) -> Self {
        let kind = match status.code() {
            Code::InvalidArgument | Code::Unimplemented | Code::OutOfRange => ClientErrorKind::Invalid,
            Code::Unauthenticated => ClientErrorKind::NotAuthenticated,
            Code::PermissionDenied => ClientErrorKind::Denied,
            Code::NotFound => ClientErrorKind::NotFound,
            Code::ResourceExhausted => ClientErrorKind::Exhausted,
            Code::DeadlineExceeded => ClientErrorKind::TimedOut,
            Code::Cancelled => ClientErrorKind::Cancelled,
            Code::FailedPrecondition => ClientErrorKind::Precondition,
            Code::Aborted => ClientErrorKind::Conflict,
            Code::Unavailable => ClientErrorKind::Unavailable,
            _ => ClientErrorKind::Internal,
        };
        match status.message().split_once(HINT_MARK) {
            Some((message, hint)) => Self { kind, message: message.to_owned(), hint: Some(hint.to_owned()) },
            None => Self { kind, message: status.message().to_owned(), hint: None },
        }
    }
}
