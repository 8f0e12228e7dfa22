//! How a document is got: one request with its time-outs and bounds, tried again where that may help, at a
//! bounded pace, and checked before anybody else sees it.

mod answer;
mod attempts;
mod check;
mod client;
mod error;
mod error_document;
mod pace;
mod retry_after;
mod surroundings;

pub use self::check::{Checked, check};
pub use self::client::{Client, Condition, Document, Fetched};
pub use self::error::FetchError;
pub use self::pace::{InvalidPace, Pace};
pub use self::surroundings::Surroundings;

use std::time::Duration;

/// A provider's largest document, the European Central Bank's whole history, is 8 MiB.
pub const BODY_BYTES_MAX: usize = 64 << 20;

/// How patient a fetch is.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// Attempts at one request, the first included.
    pub attempts_max: u32,
    /// The first pause before another attempt; each further one is twice as long.
    pub pause_first: Duration,
    /// The longest such pause.
    pub pause_max: Duration,
    /// The longest time that a provider may ask us to wait.
    pub retry_after_max: Duration,
    /// From the request to the last byte of its answer.
    pub answer_timeout: Duration,
    /// How far another clock may be ahead of ours.
    pub clock_skew_max: Duration,
    /// Requests in a time, over all that run at once.
    pub pace: Pace,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            attempts_max: 6,
            pause_first: Duration::from_millis(500),
            pause_max: Duration::from_secs(30),
            retry_after_max: Duration::from_secs(300),
            answer_timeout: Duration::from_secs(60),
            clock_skew_max: Duration::from_secs(300),
            pace: Pace::default(),
        }
    }
}
