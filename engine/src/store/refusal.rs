//! What a store refuses for good, in words that say what is missing; and the end of our patience.

use std::error::Error as StdError;
use std::time::Duration;

use object_store::Error;
use object_store::client::HttpError;

use super::answer::Answer;

/// A request that will fail again, however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreRefusal {
    /// A permission is missing; somebody must grant it.
    #[error("{permissions} not allowed: {answer}")]
    Permission {
        /// Which, and on what.
        permissions: String,
        /// What the service said.
        answer: String,
    },
    /// The bucket does not exist; the caller should check its name.
    #[error("bucket `{bucket}` does not exist")]
    NoBucket {
        /// The bucket.
        bucket: String,
    },
    /// The service does not know who asks; the caller should mend the credentials.
    #[error(
        "the store does not accept the credentials: {answer}; expected valid ones in the AWS_ environment \
         variables, or an instance role"
    )]
    Credentials {
        /// What the service said.
        answer: String,
    },
    /// The service cannot do what it was asked.
    #[error("the store refuses to {action} `{object}`: {answer}")]
    Other {
        /// What was tried.
        action: &'static str,
        /// Where.
        object: String,
        /// What the service said.
        answer: String,
    },
}

/// A request that failed for as long as it was worth trying.
#[derive(Clone, Debug, thiserror::Error)]
#[error("gave up after {attempts} attempts to {action} `{object}` in {:.1} s: {cause}", waited.as_secs_f32())]
pub struct StoreGaveUp {
    /// What was tried.
    pub action: &'static str,
    /// Where.
    pub object: String,
    /// How often.
    pub attempts: u32,
    /// For how long.
    pub waited: Duration,
    /// What went wrong the last time.
    pub cause: String,
}

/// What is asked of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Read,
    List,
    Write,
    Upload,
    AbortUpload,
    Delete,
    Copy,
}

impl Operation {
    pub(super) fn action(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::List => "list",
            Self::Write => "write",
            Self::Upload => "upload",
            Self::AbortUpload => "abort the upload of",
            Self::Delete => "delete",
            Self::Copy => "copy to",
        }
    }

    fn permissions(self, bucket: &str, object: &str) -> String {
        match self {
            // S3 does not say that an object is missing to those who may not list.
            Self::Read => format!(
                "`s3:GetObject` on `{object}`, or if that does not exist `s3:ListBucket` on `s3://{bucket}`, is"
            ),
            Self::List => format!("`s3:ListBucket` on `s3://{bucket}` is"),
            Self::Write | Self::Upload => format!("`s3:PutObject` on `{object}` is"),
            Self::AbortUpload => format!("`s3:AbortMultipartUpload` on `{object}` is"),
            Self::Delete => format!("`s3:DeleteObject` on `{object}` is"),
            Self::Copy => {
                format!("`s3:PutObject` on `{object}`, or `s3:GetObject` on what it is copied from, is")
            }
        }
    }
}

/// Finds an error of type `T` among an error and its causes.
pub(super) fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut cause = Some(error);
    while let Some(found) = cause {
        if let Some(wanted) = found.downcast_ref::<T>() {
            return Some(wanted);
        }
        cause = found.source();
    }
    None
}

/// Finds a store's refusal among an error and its causes.
pub fn find_refusal<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a StoreRefusal> {
    find(error)
}

/// Turns a failure that nothing helps against into one that says what is missing.
pub(super) fn refused(operation: Operation, bucket: &str, path: &str, error: Error) -> Error {
    let Some(answer) = find::<Answer>(&error) else { return error };
    let key = answer.key.as_deref().unwrap_or(path);
    let object = object_url(bucket, key);
    let said = answer.to_string();
    let refusal = if answer.is_no_bucket() {
        StoreRefusal::NoBucket { bucket: bucket.to_owned() }
    } else if answer.is_about_credentials() {
        StoreRefusal::Credentials { answer: said }
    } else if answer.is_forbidden() {
        StoreRefusal::Permission { permissions: operation.permissions(bucket, &object), answer: said }
    } else {
        StoreRefusal::Other { action: operation.action(), object, answer: said }
    };
    let path = path.to_owned();
    match refusal {
        StoreRefusal::Permission { .. } => Error::PermissionDenied { path, source: Box::new(refusal) },
        StoreRefusal::Credentials { .. } => Error::Unauthenticated { path, source: Box::new(refusal) },
        // Not `NotFound`: a missing object is often fine, a missing bucket never.
        _ => Error::Generic { store: "S3", source: Box::new(refusal) },
    }
}

/// Makes the error of a request that was tried long enough.
pub(super) fn gave_up(
    operation: Operation,
    bucket: &str,
    path: &str,
    (attempts, waited): (u32, Duration),
    error: &Error,
) -> Error {
    let said = find::<Answer>(error).map(ToString::to_string);
    let broke = || find::<HttpError>(error).map(chain);
    let cause = said.or_else(broke).unwrap_or_else(|| error.to_string());
    let object = object_url(bucket, path);
    let gave_up = StoreGaveUp { action: operation.action(), object, attempts, waited, cause };
    Error::Generic { store: "S3", source: Box::new(gave_up) }
}

fn object_url(bucket: &str, path: &str) -> String {
    format!("s3://{bucket}{}{path}", if path.is_empty() { "" } else { "/" })
}

/// The library's transport errors say what they are only in their causes.
fn chain(error: &HttpError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source().and_then(StdError::source);
    while let Some(found) = cause {
        let found_text = found.to_string();
        if !text.contains(&found_text) {
            text.push_str(": ");
            text.push_str(&found_text);
        }
        cause = found.source();
    }
    text
}
