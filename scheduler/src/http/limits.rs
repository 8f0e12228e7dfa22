//! Bounds on what callers can ask for.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use super::error::ApiError;

/// Options hold a source SQL and lists of columns: a mebibyte is plenty.
pub(super) const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Requests at once; those that wait for a change count as well.
const REQUESTS_MAX: usize = 1024;
/// Above the longest wait for a change.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

/// The bounds that all requests share.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    places: Arc<Semaphore>,
}

impl Limits {
    pub(super) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(REQUESTS_MAX)) }
    }
}

/// Answers within the bounds, or says which one is reached.
pub(super) async fn bounded(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let Ok(_place) = limits.places.try_acquire() else {
        return ApiError::unavailable(format!("more than {REQUESTS_MAX} requests at once")).into_response();
    };
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            ApiError::unavailable(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs())).into_response()
        }
    }
}
