//! Failures as gRPC tells them.

use cambist_sql::{SqlError, SqlErrorKind};
use tonic::{Code, Status};

/// What stands between a message and its hint.
pub(crate) const HINT_MARK: &str = "\nhint: ";
/// The text travels in a header, and clients bound these at 8 KiB or more, with `%` before what is not plain.
const MESSAGE_BYTES_MAX: usize = 2048;

/// Returns a statement's failure as a client sees it.
pub(crate) fn status_of(error: SqlError) -> Status {
    let code = match error.kind {
        SqlErrorKind::Invalid => Code::InvalidArgument,
        SqlErrorKind::NotFound => Code::NotFound,
        SqlErrorKind::Denied => Code::PermissionDenied,
        SqlErrorKind::Exhausted => Code::ResourceExhausted,
        SqlErrorKind::TimedOut => Code::DeadlineExceeded,
        SqlErrorKind::Cancelled => Code::Cancelled,
        SqlErrorKind::Data => Code::FailedPrecondition,
        SqlErrorKind::Unavailable => Code::Unavailable,
        SqlErrorKind::Conflict => Code::Aborted,
        _ => Code::Internal,
    };
    let mut message = shortened(&error.message, MESSAGE_BYTES_MAX);
    if let Some(hint) = &error.hint {
        message.push_str(HINT_MARK);
        message.push_str(&shortened(hint, MESSAGE_BYTES_MAX / 2));
    }
    Status::new(code, message)
}

/// A defect of ours: the log has the reason, the client a short word.
pub(crate) fn internal(reason: impl std::fmt::Display) -> Status {
    tracing::error!(%reason, "a call has failed");
    Status::internal("the server failed on this call; its log tells why")
}

fn shortened(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let mut end = bytes_max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}
