//! `/v1/cluster`, `/v1/executors`, `/healthz` and `/readyz`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use cambist_engine::executor_id::VERSION;

use super::error::ApiError;
use super::metrics::Measure;
use super::types::{ClusterInfo, ErrorBody, ExecutorList, Health};
use crate::ballista::ExecutorView;
use crate::service::JobService;

/// The store that the readiness check asks has this long to answer.
const READY_TIMEOUT: Duration = Duration::from_secs(5);

/// What the HTTP interface tells of the cluster.
#[async_trait]
pub trait ClusterView: fmt::Debug + Send + Sync {
    /// Returns what an executor has to know before it joins; none where the work is done in this process.
    fn info(&self) -> Option<ClusterInfo>;

    /// Returns the registered executors.
    async fn executors(&self) -> Vec<ExecutorView>;

    /// Returns what the cluster counts.
    async fn measures(&self) -> Vec<Measure>;
}

/// Tells executors where to register, and which versions fit.
#[utoipa::path(
    get,
    path = "/v1/cluster",
    responses(
        (status = OK, body = ClusterInfo, description = "The cluster"),
        (status = NOT_FOUND, body = ErrorBody, description = "This server has no cluster: it does the work itself"),
        (status = SERVICE_UNAVAILABLE, body = ErrorBody, description = "Too many requests at once"),
    )
)]
pub(super) async fn get_cluster(
    State(cluster): State<Arc<dyn ClusterView>>,
) -> Result<Json<ClusterInfo>, ApiError> {
    let without = || {
        let message = "this server does the work itself, executors join a `cambist scheduler`";
        ApiError::new(StatusCode::NOT_FOUND, message.to_owned())
    };
    cluster.info().map(Json).ok_or_else(without)
}

/// Lists the registered executors.
#[utoipa::path(
    get,
    path = "/v1/executors",
    responses(
        (status = OK, body = ExecutorList, description = "The executors"),
        (status = SERVICE_UNAVAILABLE, body = ErrorBody, description = "Too many requests at once"),
    )
)]
pub(super) async fn list_executors(State(cluster): State<Arc<dyn ClusterView>>) -> Json<ExecutorList> {
    Json(ExecutorList { executors: cluster.executors().await })
}

/// Tells that the process answers.
#[utoipa::path(
    get,
    path = "/healthz",
    responses(
        (status = OK, body = Health, description = "It answers"),
        (status = SERVICE_UNAVAILABLE, body = ErrorBody, description = "Too many requests at once"),
    )
)]
pub(super) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok".to_owned(), version: VERSION.to_owned() })
}

/// Tells whether runs can be submitted: the records' store answers, and the service is not being stopped.
#[utoipa::path(
    get,
    path = "/readyz",
    responses(
        (status = OK, body = Health, description = "Runs can be submitted"),
        (status = SERVICE_UNAVAILABLE, body = ErrorBody, description = "What is missing"),
    )
)]
pub(super) async fn readyz(State(service): State<JobService>) -> Result<Json<Health>, ApiError> {
    match tokio::time::timeout(READY_TIMEOUT, service.check()).await {
        Ok(Ok(())) => Ok(Json(Health { status: "ok".to_owned(), version: VERSION.to_owned() })),
        Ok(Err(error)) => Err(ApiError::unavailable(crate::chain(&error))),
        Err(_) => Err(ApiError::unavailable(format!(
            "the records' store has not answered within {} s",
            READY_TIMEOUT.as_secs()
        ))),
    }
}
