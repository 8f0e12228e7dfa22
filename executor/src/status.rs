//! The status pages of an executor: whether it lives, whether it may be given tasks, what it has done.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use ballista_executor::health::ExecutorHealth;
use cambist_engine::distributed::ClusterParts;
use cambist_engine::metrics::task_metrics;
use cambist_engine::store::store_metrics;
use datafusion::execution::disk_manager::DiskManager;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

/// What is shown.
#[derive(Clone)]
pub(crate) struct Status {
    pub(crate) health: ExecutorHealth,
    pub(crate) parts: ClusterParts,
    pub(crate) spills: Spills,
    pub(crate) vcores: usize,
    pub(crate) memory_bytes: u64,
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status").field("vcores", &self.vcores).finish_non_exhaustive()
    }
}

/// The temporary files of the tasks that live.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spills(Arc<Mutex<Vec<Weak<DiskManager>>>>);

impl Spills {
    pub(crate) fn watch(&self, disk: &Arc<DiskManager>) {
        let mut disks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        disks.retain(|disk| disk.strong_count() > 0);
        disks.push(Arc::downgrade(disk));
    }

    fn bytes(&self) -> u64 {
        let disks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        disks.iter().filter_map(Weak::upgrade).map(|disk| disk.used_disk_space()).sum()
    }
}

impl Collector for Status {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let tasks = task_metrics();
        let ended = tasks.tasks_finished.get() + tasks.tasks_failed.get();
        let counters = [
            ("tasks_started", "Tasks that have begun", tasks.tasks_started.get()),
            ("tasks_finished", "Tasks that have reported", tasks.tasks_finished.get()),
            ("tasks_failed", "Tasks that have failed", tasks.tasks_failed.get()),
            ("manifests_reused", "Tasks whose work was done before", tasks.manifests_reused.get()),
            ("records_read", "Records read", tasks.records_read.get()),
            ("input_bytes_read", "Raw bytes read, as stored", tasks.bytes_read.get()),
            ("rows_written", "Rows written to staged files", tasks.rows_written.get()),
            ("records_quarantined", "Records set aside", tasks.records_quarantined.get()),
            ("files_staged", "Files staged", tasks.files_staged.get()),
            ("staged_bytes", "Bytes of the staged files", tasks.bytes_staged.get()),
            (
                "buffers_cut_short",
                "Times that rows were written early for want of memory",
                tasks.buffers_cut_short.get(),
            ),
        ];
        let store = store_metrics();
        let books = self.parts.books().counts();
        let others = [
            ("store_requests", "Requests to object stores, retries included", store.requests.get()),
            ("store_retries", "Requests to object stores that were tried again", store.retries.get()),
            ("store_resumed_reads", "Reads that broke off and were taken up", store.resumed_reads.get()),
            ("store_gave_up", "Requests that failed after all their retries", store.gave_up.get()),
            ("store_refused", "Requests that a store refused for good", store.refused.get()),
            ("rate_book_loads", "Rate books loaded from a store", books.loads),
            ("rate_book_hits", "Uses of a rate book that was loaded already", books.hits),
            ("rate_book_failures", "Rate books that could not be loaded", books.failures),
        ];
        for (name, help, value) in counters.into_iter().chain(others) {
            write(&mut encoder, name, help, &ConstCounter::new(value))?;
        }
        let gauges = [
            ("tasks_running", "Tasks that run", tasks.tasks_started.get().saturating_sub(ended)),
            ("vcores", "Tasks that may run at once", self.vcores as u64),
            ("memory_pool_limit_bytes", "What the rows of all tasks may take", self.memory_bytes),
            ("rate_books", "Rate books that are kept", books.kept as u64),
            ("spilled_bytes", "What running tasks have on the local disk", self.spills.bytes()),
        ];
        for (name, help, value) in gauges {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            write(&mut encoder, name, help, &ConstGauge::new(value))?;
        }
        Ok(())
    }
}

fn write(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

/// Serves the pages for as long as the future is polled.
pub(crate) async fn serve(listener: TcpListener, status: Status) -> std::io::Result<()> {
    let mut registry = Registry::with_prefix("cambist_executor");
    registry.register_collector(Box::new(status.clone()));
    let pages = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state((status, Arc::new(registry)));
    axum::serve(listener, pages).await
}

type Pages = State<(Status, Arc<Registry>)>;

/// Ready is who has told the scheduler of late that it lives.
async fn ready(State((status, _)): Pages) -> impl IntoResponse {
    match status.health.is_ready() {
        true => (StatusCode::OK, "ready\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the scheduler has not been reached\n"),
    }
}

async fn metrics(State((_, registry)): Pages) -> impl IntoResponse {
    let mut page = String::new();
    match text::encode(&mut page, &registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], page).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
