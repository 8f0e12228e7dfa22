//! `/metrics` in Prometheus' text format.

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::cluster::ClusterView;
use super::error::ApiError;
use super::types::ErrorBody;
use crate::service::JobService;

/// The format that every version of Prometheus reads, and promtool checks.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A number for the metrics page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// Its name with its unit last; that of a number that only grows ends in `_total`.
    pub name: &'static str,
    /// What it says, without a full stop.
    pub help: &'static str,
    /// Its value.
    pub value: u64,
}

/// One number as it is now.
///
/// The library's own counter writes `_total` behind its samples only, as OpenMetrics has it; in the older format
/// they would be of no known metric.
#[derive(Debug)]
struct Sample {
    value: u64,
    is_total: bool,
}

impl EncodeMetric for Sample {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.encode_gauge(&self.value)
    }

    fn metric_type(&self) -> MetricType {
        if self.is_total { MetricType::Counter } else { MetricType::Gauge }
    }
}

/// Shows the service's and the cluster's numbers.
#[utoipa::path(
    get,
    path = "/metrics",
    responses(
        (status = OK, body = String, content_type = "text/plain", description = "The numbers"),
        (status = SERVICE_UNAVAILABLE, body = ErrorBody, description = "Too many requests at once"),
    )
)]
pub(super) async fn metrics(
    State(service): State<JobService>,
    State(cluster): State<Arc<dyn ClusterView>>,
) -> Result<Response, ApiError> {
    let mut measures = of_service(&service);
    measures.extend(cluster.measures().await);
    let mut registry = Registry::default();
    for Measure { name, help, value } in measures {
        registry.register(name, help, Sample { value, is_total: name.ends_with("_total") });
    }
    let by_state = Family::<[(&str, &str); 1], Gauge>::default();
    for (state, count) in service.counts().by_state {
        by_state.get_or_create(&[("state", state)]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    registry.register("cambist_runs", "Runs in memory by state", by_state);
    let seconds = service.metrics().seconds.clone();
    registry.register(
        "cambist_run_seconds",
        "Seconds from the begin of a run's last attempt to its end",
        seconds,
    );
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|_| ApiError::unavailable("the numbers cannot be written"))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

fn of_service(service: &JobService) -> Vec<Measure> {
    let counts = service.counts();
    let metrics = service.metrics();
    let measure = |name, help, value| Measure { name, help, value };
    vec![
        measure("cambist_runs_queued", "Runs that wait for their turn", counts.queued),
        measure("cambist_runs_at_work", "Runs that are driven at the moment", counts.at_work),
        measure("cambist_runs_submitted_total", "Runs put on record", metrics.submitted.get()),
        measure(
            "cambist_runs_refused_total",
            "Runs refused because the queue was full",
            metrics.refused.get(),
        ),
        measure(
            "cambist_runs_recovered_total",
            "Runs taken up after another process",
            metrics.recovered.get(),
        ),
        measure("cambist_runs_published_total", "Runs that ended well", metrics.published.get()),
        measure("cambist_runs_failed_total", "Runs that failed", metrics.failed.get()),
        measure("cambist_runs_cancelled_total", "Runs that were cancelled", metrics.cancelled.get()),
        measure("cambist_run_attempts_total", "Attempts at runs", metrics.attempts.get()),
        measure(
            "cambist_run_attempts_suspended_total",
            "Attempts that could not be brought to an end because a store failed",
            metrics.suspended.get(),
        ),
        measure(
            "cambist_run_steps_fenced_total",
            "Steps that another scheduler had taken already",
            metrics.fenced.get(),
        ),
        measure("cambist_run_records_total", "Records read by ended runs", metrics.records.get()),
        measure("cambist_run_read_bytes_total", "Raw bytes read by ended runs", metrics.bytes.get()),
    ]
}
