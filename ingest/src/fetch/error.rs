//! What can go wrong between a provider and us.

use std::time::Duration;

use cambist_udfs::reason::SnapshotReason;

use crate::question::Question;

/// A request that brought no rates.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The provider does not accept the key; the caller should correct it.
    #[error("the provider does not accept the key (status {status}): {said}")]
    Unauthorized {
        /// The status.
        status: u16,
        /// Its own words.
        said: String,
    },
    /// Too many requests, or an allowance that is used up; the caller should come back later.
    #[error("the provider wants fewer requests (status {status}): {said}{}", asked(*retry_after))]
    RateLimited {
        /// The status.
        status: u16,
        /// Its own words.
        said: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The provider has trouble; the caller should come back later.
    #[error("the provider has trouble (status {status}): {said}{}", asked(*retry_after))]
    ServerError {
        /// The status.
        status: u16,
        /// Its own words.
        said: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The provider answers with an error of its own; the caller should read it.
    #[error("the provider answers with an error (status {status}): {said}")]
    ErrorBody {
        /// The status.
        status: u16,
        /// Its own words.
        said: String,
    },
    /// A web page in place of data: a notice of maintenance, a login of the network, a wrong URL.
    #[error("the provider answers with a web page in place of data: `{excerpt}`")]
    NotJson {
        /// How it begins.
        excerpt: String,
    },
    /// The answer broke off.
    #[error("the answer was cut short: {detail}")]
    Truncated {
        /// Where.
        detail: String,
    },
    /// The answer is larger than any document of rates.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The answer is for another day; the caller should ask the provider why.
    #[error("the answer is for {found}, expected {asked}")]
    WrongDay {
        /// What was asked.
        asked: Question,
        /// The days that were found.
        found: String,
    },
    /// A clock is wrong: the machine's, or the provider's.
    #[error("{what} is {ahead:?} ahead of this machine's clock, expected at most {limit:?}")]
    ClockSkew {
        /// Whose time it is.
        what: &'static str,
        /// How much.
        ahead: Duration,
        /// What is tolerated.
        limit: Duration,
        /// The whole service's clock differs, and not only what one document says.
        is_ours: bool,
    },
    /// The answer repeats the key, so that it can be kept nowhere.
    #[error("the answer repeats the key, so it is not kept")]
    KeyInAnswer,
    /// The provider has moved; a key is not sent after it.
    #[error("the provider has moved to `{to}`, which is not followed with a key: name it as the base URL")]
    Moved {
        /// Where to, without what might be secret.
        to: String,
    },
    /// No answer came.
    #[error("the provider cannot be reached at `{at}`")]
    Unreachable {
        /// Its address.
        at: String,
        /// What was in the way.
        source: reqwest::Error,
    },
    /// The request cannot be made.
    #[error("the request to `{at}` cannot be made")]
    InvalidRequest {
        /// The URL, without the key.
        at: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The document has another shape than was declared.
    #[error("the document is of the shape `{found}`, expected {expected}")]
    WrongShape {
        /// The shape that was found.
        found: String,
        /// The shapes that were declared.
        expected: String,
    },
    /// The document is no publication of rates.
    #[error("the document is no snapshot of rates: {reason}: {detail}")]
    Refused {
        /// Why.
        reason: SnapshotReason,
        /// What was found.
        detail: String,
    },
}

impl FetchError {
    /// Tells whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. }
                | Self::ServerError { .. }
                | Self::NotJson { .. }
                | Self::Truncated { .. }
                | Self::Unreachable { .. }
        )
    }

    /// Tells whether other requests to the provider would fail as well.
    pub fn concerns_all(&self) -> bool {
        let is_general = matches!(
            self,
            Self::Unauthorized { .. }
                | Self::Moved { .. }
                | Self::InvalidRequest { .. }
                | Self::ClockSkew { is_ours: true, .. }
        );
        is_general || self.is_retryable()
    }

    /// The stable name of what went wrong, for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unauthorized { .. } => "unauthorized",
            Self::RateLimited { .. } => "rate_limited",
            Self::ServerError { .. } => "server_error",
            Self::ErrorBody { .. } => "error_body",
            Self::NotJson { .. } => "not_json",
            Self::Truncated { .. } => "truncated",
            Self::TooLarge { .. } => "too_large",
            Self::WrongDay { .. } => "wrong_day",
            Self::ClockSkew { .. } => "clock_skew",
            Self::KeyInAnswer => "key_in_answer",
            Self::Moved { .. } => "moved",
            Self::Unreachable { .. } => "unreachable",
            Self::InvalidRequest { .. } => "invalid_request",
            Self::WrongShape { .. } => "wrong_shape",
            Self::Refused { .. } => "refused",
        }
    }

    /// How long the provider wants to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::ServerError { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

fn asked(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |wait| format!("; it asks to wait {} s", wait.as_secs()))
}
