//! Refusals as HTTP answers: always JSON, always of one form.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cambist_jobs::error::JobFailure;

use super::types::{ErrorBody, ErrorBodyKind};
use crate::service::ServiceError;

/// A refused request.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    body: ErrorBody,
    retry_after_seconds: Option<u64>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let kind = if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            ErrorBodyKind::Infrastructure
        } else {
            ErrorBodyKind::Usage
        };
        let body = ErrorBody { kind, message: message.into(), hint: None, causes: Vec::new() };
        Self { status, body, retry_after_seconds: None }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// The service cannot answer now.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        let refused = Self::new(StatusCode::SERVICE_UNAVAILABLE, message);
        Self { retry_after_seconds: Some(1), ..refused }
    }
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        let mut retry_after_seconds = None;
        let status = match &error {
            ServiceError::Invalid(_) | ServiceError::InvalidId { .. } => StatusCode::BAD_REQUEST,
            ServiceError::NotFound { .. } => StatusCode::NOT_FOUND,
            ServiceError::IdTaken { .. } | ServiceError::TooLate { .. } => StatusCode::CONFLICT,
            ServiceError::QueueFull { retry_after, .. } => {
                retry_after_seconds = Some(retry_after.as_secs().max(1));
                StatusCode::TOO_MANY_REQUESTS
            }
            ServiceError::Stopping | ServiceError::Store(_) => {
                retry_after_seconds = Some(1);
                StatusCode::SERVICE_UNAVAILABLE
            }
            ServiceError::StateUrl(_) | ServiceError::Record { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let body = ErrorBody::from(JobFailure::from(&error));
        if status.is_server_error() {
            tracing::warn!(status = status.as_u16(), error = %crate::chain(&error), "request refused");
        }
        Self { status, body, retry_after_seconds }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
