//! Which path leads where, and the server.

use std::io;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRef};
use axum::http::{StatusCode, Uri};
use axum::routing::get;
use axum::serve::ListenerExt;
use axum::{Json, Router, middleware};
use tokio::net::TcpListener;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::cluster::{self, ClusterView};
use super::error::ApiError;
use super::limits::{BODY_BYTES_MAX, Limits, bounded};
use super::{metrics, runs};
use crate::service::JobService;

/// The description's own part; paths and schemas come from the handlers.
#[derive(OpenApi)]
#[openapi(info(
    title = "Cambist scheduler",
    description = "Runs Cambist's jobs on a cluster. Every refusal is JSON of one form, `ErrorBody`."
))]
struct Description;

/// What handlers ask.
#[derive(Clone)]
struct Shared {
    service: JobService,
    cluster: Arc<dyn ClusterView>,
}

impl FromRef<Shared> for JobService {
    fn from_ref(shared: &Shared) -> Self {
        shared.service.clone()
    }
}

impl FromRef<Shared> for Arc<dyn ClusterView> {
    fn from_ref(shared: &Shared) -> Self {
        Arc::clone(&shared.cluster)
    }
}

/// Makes the interface of `service` on `cluster`.
pub fn router(service: JobService, cluster: Arc<dyn ClusterView>) -> Router {
    let (router, description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(runs::submit_run, runs::list_runs))
        .routes(routes!(runs::get_run, runs::cancel_run))
        .routes(routes!(runs::list_jobs))
        .routes(routes!(cluster::get_cluster))
        .routes(routes!(cluster::list_executors))
        .routes(routes!(cluster::healthz))
        .routes(routes!(cluster::readyz))
        .routes(routes!(metrics::metrics))
        .split_for_parts();
    router
        .route("/v1/openapi.json", get(|| async { Json(description) }))
        .fallback(|uri: Uri| async move {
            ApiError::new(StatusCode::NOT_FOUND, format!("no page `{}`, see `/v1/openapi.json`", uri.path()))
        })
        .method_not_allowed_fallback(|uri: Uri| async move {
            let message = format!("`{}` does not take this method, see `/v1/openapi.json`", uri.path());
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message)
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(Limits::new(), bounded))
        .with_state(Shared { service, cluster })
}

/// Serves the interface until `shutdown`, then until the requests at work are answered.
///
/// # Errors
/// Where the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    // Small answers go out at once.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}
