//! Failures as gRPC tells them.

use cambist_sql::{SqlError, SqlErrorKind};
use tonic::{Code, Status};

/// What stands between a message and its hint.
pub(crate) const HINT_MARK: &str = "\nhint: ";
/// The text travels in a header, and clients bound all headers at 8 KiB or more. It is counted as it travels: what is
/// not plain takes three bytes.
const MESSAGE_BYTES_MAX: usize = 4096;
const HINT_BYTES_MAX: usize = 1536;

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
        message.push_str(&shortened(hint, HINT_BYTES_MAX));
    }
    Status::new(code, message)
}

/// A defect of ours: the log has the reason, the client a short word.
pub(crate) fn internal(reason: impl std::fmt::Display) -> Status {
    tracing::error!(%reason, "a call has failed");
    Status::internal("the server failed on this call; its log tells why")
}

/// Cuts a text whose encoded form is longer than so many bytes.
fn shortened(text: &str, bytes_max: usize) -> String {
    let mut bytes = 0;
    for (at, character) in text.char_indices() {
        bytes += encoded_bytes(character);
        if bytes > bytes_max {
            return format!("{}…", &text[..at]);
        }
    }
    text.to_owned()
}

/// What a character takes in a header, or a little more.
fn encoded_bytes(character: char) -> usize {
    let is_plain = character.is_ascii_alphanumeric() || "-_.,:;()[]'=*+/".contains(character);
    if is_plain { 1 } else { 3 * character.len_utf8() }
}

#[cfg(test)]
mod tests {
    use tonic::codegen::http::Response;

    use super::*;

    #[test]
    fn the_longest_message_fits_into_the_headers_of_clients() {
        for text in ["x", " ", "ä", "€", "%", "\n"] {
            let error = SqlError::invalid(text.repeat(10_000)).with_hint(text.repeat(10_000));
            let response: Response<()> = status_of(error).into_http();
            let header = response.headers().get("grpc-message").unwrap();
            assert!((1000..6144).contains(&header.len()), "{text}: {}", header.len());
        }
        let short = status_of(SqlError::invalid("no table `ä`").with_hint("did you mean `a`?"));
        assert_eq!(short.message(), "no table `ä`\nhint: did you mean `a`?");
    }
}
