//! What can go wrong between us and a store.

use super::refusal::{StoreRefusal, find_refusal};

/// A store that cannot be used, or a request that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The environment does not describe a store; the caller should fix the `AWS_…` variables.
    #[error("no store for bucket `{bucket}` can be made from the AWS_ environment variables")]
    Configuration {
        /// The bucket.
        bucket: String,
        /// What the store library said.
        source: object_store::Error,
    },
    /// A request failed after its retries.
    #[error("could not {action} `{path}`")]
    Request {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: String,
        /// What the store said.
        source: object_store::Error,
    },
    /// The store refused for good; the caller should grant, correct or create what the source names.
    #[error("could not {action} `{path}`")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: String,
        /// What is missing.
        source: StoreRefusal,
    },
    /// The store lets a second writer overwrite what must be created once; concurrent writers are unsafe.
    #[error(
        "the store of `{location}` ignores create-only writes, expected a store that refuses to create \
         an object twice (S3, or a local disk with hard links)"
    )]
    IgnoresCreateOnly {
        /// The folder that was probed.
        location: String,
    },
    /// The store can neither leave an upload open nor is it a local disk: nothing can be staged there.
    #[error(
        "the store of `{location}` has no uploads that can be completed later, expected S3 or a local disk"
    )]
    NoUploads {
        /// The folder.
        location: String,
    },
    /// A folder holds more objects than one listing may take into memory.
    #[error("more than {limit} objects under `{location}`, expected fewer: name a narrower folder")]
    TooManyObjects {
        /// The folder.
        location: String,
        /// The most that is read.
        limit: usize,
    },
}

impl StoreError {
    /// Names a failed request, to be used with `map_err`: what was tried, and where.
    pub fn request(action: &'static str, path: impl ToString) -> impl FnOnce(object_store::Error) -> Self {
        move |source| {
            let path = path.to_string();
            match find_refusal(&source).cloned() {
                Some(source) => Self::Refused { action, path, source },
                None => Self::Request { action, path, source },
            }
        }
    }

    /// Tells whether the same request may succeed later: the network or the service was at fault.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Request { source, .. } if is_retryable(source))
    }

    /// Tells whether the object that was asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Request { source: object_store::Error::NotFound { .. }, .. })
    }
}

/// Tells whether a request that failed with `error`, after all its retries, may succeed later.
pub fn is_retryable(error: &object_store::Error) -> bool {
    // Missing objects, refused credentials and the like have variants of their own; what nobody could
    // classify is a fault of the way or the service.
    match error {
        object_store::Error::Generic { store, .. } => {
            *store != "LocalFileSystem" && find_refusal(error).is_none()
        }
        object_store::Error::JoinError { .. } => true,
        _ => false,
    }
}
