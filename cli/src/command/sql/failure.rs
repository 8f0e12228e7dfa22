//! Failures of statements as those of commands.

use cambist_flight::FlightServerError;
use cambist_flight::client::{ClientError, ClientErrorKind};
use cambist_jobs::error::{ErrorKind, JobError};
use cambist_sql::{SqlError, SqlErrorKind};

pub(crate) fn of_sql(error: SqlError) -> JobError {
    let kind = match error.kind {
        SqlErrorKind::Invalid | SqlErrorKind::NotFound | SqlErrorKind::Denied => ErrorKind::Usage,
        SqlErrorKind::Data => ErrorKind::Data,
        SqlErrorKind::Conflict => ErrorKind::Conflict,
        _ => ErrorKind::Infrastructure,
    };
    JobError { hint: error.hint, ..JobError::new(kind, error.message) }
}

pub(crate) fn of_client(error: ClientError) -> JobError {
    let kind = match error.kind {
        ClientErrorKind::Invalid
        | ClientErrorKind::NotAuthenticated
        | ClientErrorKind::Denied
        | ClientErrorKind::NotFound => ErrorKind::Usage,
        ClientErrorKind::Precondition => ErrorKind::Data,
        ClientErrorKind::Conflict => ErrorKind::Conflict,
        _ => ErrorKind::Infrastructure,
    };
    JobError { hint: error.hint, ..JobError::new(kind, error.message) }
}

pub(crate) fn of_flight(error: FlightServerError) -> JobError {
    let kind = match &error {
        FlightServerError::Serve { .. } => ErrorKind::Infrastructure,
        _ => ErrorKind::Usage,
    };
    JobError::new(kind, cambist_jobs::error::chain(&error))
}
