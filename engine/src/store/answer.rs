//! What an S3 service answers when it does not do what it was asked: typed, with what may help.

use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};
use serde::Deserialize;

use super::refusal::find;

/// What may help after a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The service or the way to it has a bad moment: ask again, for as long as the policy allows.
    Retry,
    /// Nobody can tell: ask again a few times.
    RetryBriefly,
    /// Nothing: the answer stays the same.
    Never,
}

impl Remedy {
    /// Tells what may help after `error`.
    pub(super) fn for_error(error: &Error) -> Self {
        if let Some(answer) = find::<Answer>(error) {
            return answer.remedy;
        }
        match error {
            Error::JoinError { .. } => Self::Retry,
            Error::Generic { .. } => match find::<HttpError>(error).map(HttpError::kind) {
                Some(HttpErrorKind::Unknown | HttpErrorKind::Decode) | None => Self::RetryBriefly,
                Some(_) => Self::Retry,
            },
            _ => Self::Never,
        }
    }

    /// S3's codes: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.
    fn for_answer(status: u16, code: &str) -> Self {
        match (status, code) {
            (
                _,
                "BadDigest"
                | "ConditionalRequestConflict"
                | "IncompleteBody"
                | "InternalError"
                | "OperationAborted"
                | "RequestTimeout"
                | "ServiceUnavailable"
                | "SlowDown",
            ) => Self::Retry,
            (501, _) => Self::Never,
            (408 | 429 | 500.., _) => Self::Retry,
            _ => Self::Never,
        }
    }
}

/// An answer other than the one that was hoped for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The service's own code, such as `SlowDown`; empty where it gave none.
    pub(super) code: String,
    pub(super) message: String,
    /// The key, where the request was about many.
    pub(super) key: Option<String>,
    pub(super) remedy: Remedy,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorDocument {
    code: String,
    #[serde(default)]
    message: String,
    key: Option<String>,
}

#[derive(Deserialize)]
struct DeleteDocument {
    #[serde(rename = "Error", default)]
    errors: Vec<ErrorDocument>,
}

impl Answer {
    /// Reads a whole answer. Nothing where it is a success, or a "no" that the client library understands:
    /// not there, there already, another version, beyond the end.
    pub(super) fn of(status: u16, body: &[u8]) -> Option<Self> {
        if (200..300).contains(&status) {
            return Self::inside_success(status, body);
        }
        let document: ErrorDocument = quick_xml::de::from_reader(body).unwrap_or_default();
        let answer = Self::new(status, document);
        let is_understood = matches!(status, 304 | 404 | 409 | 412 | 416)
            && answer.remedy != Remedy::Retry
            && !answer.is_no_bucket();
        (!is_understood).then_some(answer)
    }

    /// Makes the answer of a service that gave none in time.
    pub(super) fn silence() -> Self {
        let message = "no answer in time".to_owned();
        Self { status: 408, code: String::new(), message, key: None, remedy: Remedy::Retry }
    }

    /// S3 begins some answers before it knows the outcome, and answers for many keys at once.
    fn inside_success(status: u16, body: &[u8]) -> Option<Self> {
        // Names in a listing are escaped, so nothing but an error looks like this.
        memchr::memmem::find(body, b"<Error>")?;
        if let Ok(document) = quick_xml::de::from_reader(body) {
            return Some(Self::new(status, document));
        }
        let document: DeleteDocument = quick_xml::de::from_reader(body).ok()?;
        let failed = document.errors.into_iter().filter(|error| error.code != "NoSuchKey");
        let mut answers: Vec<Self> = failed.map(|error| Self::new(status, error)).collect();
        answers.sort_by_key(|answer| answer.remedy == Remedy::Retry);
        answers.into_iter().next()
    }

    fn new(status: u16, document: ErrorDocument) -> Self {
        let remedy = Remedy::for_answer(status, &document.code);
        Self { status, code: document.code, message: document.message, key: document.key, remedy }
    }

    pub(super) fn is_no_bucket(&self) -> bool {
        self.code == "NoSuchBucket"
    }

    /// The service knows neither the key nor its signature, or no longer.
    pub(super) fn is_about_credentials(&self) -> bool {
        matches!(
            self.code.as_str(),
            "ExpiredToken"
                | "InvalidAccessKeyId"
                | "InvalidClientTokenId"
                | "InvalidToken"
                | "RequestTimeTooSkewed"
                | "SignatureDoesNotMatch"
        )
    }

    pub(super) fn is_forbidden(&self) -> bool {
        matches!(self.status, 401 | 403) || self.code == "AccessDenied"
    }

    fn text(&self) -> String {
        let mut text = self.status.to_string();
        for (before, part) in [(" ", &self.code), (": ", &self.message)] {
            if !part.is_empty() {
                text.push_str(before);
                text.push_str(part.trim());
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy_of(status: u16, body: &str) -> Option<Remedy> {
        Answer::of(status, body.as_bytes()).map(|answer| answer.remedy)
    }

    #[test]
    fn a_bad_moment_is_told_from_a_no_for_good() {
        let error = |code: &str| {
            format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>m</Message></Error>")
        };
        assert_eq!(remedy_of(503, &error("SlowDown")), Some(Remedy::Retry));
        assert_eq!(remedy_of(502, "<html>a proxy's own words</html>"), Some(Remedy::Retry));
        assert_eq!(remedy_of(429, ""), Some(Remedy::Retry));
        assert_eq!(remedy_of(400, &error("RequestTimeout")), Some(Remedy::Retry));
        assert_eq!(remedy_of(409, &error("ConditionalRequestConflict")), Some(Remedy::Retry));
        assert_eq!(remedy_of(200, &error("InternalError")), Some(Remedy::Retry));
        assert_eq!(remedy_of(403, &error("AccessDenied")), Some(Remedy::Never));
        assert_eq!(remedy_of(403, ""), Some(Remedy::Never));
        assert_eq!(remedy_of(501, &error("NotImplemented")), Some(Remedy::Never));
        assert_eq!(remedy_of(404, &error("NoSuchBucket")), Some(Remedy::Never));
        assert_eq!(remedy_of(301, &error("PermanentRedirect")), Some(Remedy::Never));
        for (status, code) in
            [(404, "NoSuchKey"), (412, "PreconditionFailed"), (416, "InvalidRange"), (404, "NoSuchUpload")]
        {
            assert_eq!(remedy_of(status, &error(code)), None, "{code}");
        }
        assert_eq!(remedy_of(404, ""), None);
        assert_eq!(
            remedy_of(
                200,
                "<ListBucketResult><Contents><Key>&lt;Error&gt;</Key></Contents></ListBucketResult>"
            ),
            None
        );
    }

    #[test]
    fn of_many_keys_the_one_that_is_refused_for_good_is_named() {
        let body = "<DeleteResult><Deleted><Key>a</Key></Deleted>\
            <Error><Key>b</Key><Code>InternalError</Code><Message>x</Message></Error>\
            <Deleted><Key>c</Key></Deleted>\
            <Error><Key>d</Key><Code>AccessDenied</Code><Message>Access Denied</Message></Error></DeleteResult>";
        let answer = Answer::of(200, body.as_bytes()).unwrap();
        assert_eq!((answer.key.as_deref(), answer.remedy), (Some("d"), Remedy::Never));
        assert_eq!(answer.to_string(), "200 AccessDenied: Access Denied");
        let only_late = body.replace("AccessDenied", "SlowDown");
        assert_eq!(remedy_of(200, &only_late), Some(Remedy::Retry));
    }
}
