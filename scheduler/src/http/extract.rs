//! Bodies, queries and paths, refused in our form where they are not valid.

use axum::extract::{FromRequest, FromRequestParts, Json, Path, Query, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// A JSON body.
pub(super) struct ApiJson<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let read = Json::<T>::from_request(request, state).await;
        let Json(body) = read.map_err(|refused| ApiError::new(refused.status(), refused.body_text()))?;
        Ok(Self(body))
    }
}

/// The query's parameters.
pub(super) struct ApiQuery<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let read = Query::<T>::from_request_parts(parts, state).await;
        let Query(query) = read.map_err(|refused| ApiError::new(refused.status(), refused.body_text()))?;
        Ok(Self(query))
    }
}

/// A run's id in the path.
pub(super) struct RunId(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for RunId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let read = Path::<String>::from_request_parts(parts, state).await;
        let Path(id) = read.map_err(|refused| ApiError::new(refused.status(), refused.body_text()))?;
        Ok(Self(id))
    }
}
