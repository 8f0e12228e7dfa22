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
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

/// The format that every version of Prometheus reads, and promtool checks.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

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
        let store = store_metrics();
        let books = self.parts.books().counts();
        let samples = [
            ("tasks_started_total", "Tasks that have begun", tasks.tasks_started.get()),
            ("tasks_finished_total", "Tasks that have reported", tasks.tasks_finished.get()),
            ("tasks_failed_total", "Tasks that have failed", tasks.tasks_failed.get()),
            ("tasks_cancelled_total", "Tasks that were cancelled at work", tasks.tasks_cancelled.get()),
            ("tasks_running", "Tasks that run", tasks.running()),
            ("manifests_reused_total", "Tasks whose work was done before", tasks.manifests_reused.get()),
            ("records_read_total", "Records read", tasks.records_read.get()),
            ("records_quarantined_total", "Records set aside", tasks.records_quarantined.get()),
            ("rows_written_total", "Rows written to staged files", tasks.rows_written.get()),
            ("read_bytes_total", "Raw bytes read, as stored", tasks.bytes_read.get()),
            ("staged_bytes_total", "Bytes of the staged files", tasks.bytes_staged.get()),
            ("staged_files_total", "Files staged", tasks.files_staged.get()),
            (
                "buffers_cut_short_total",
                "Times that rows were written early for want of memory",
                tasks.buffers_cut_short.get(),
            ),
            ("spilled_bytes", "What running tasks have on the local disk", self.spills.bytes()),
            ("memory_pool_limit_bytes", "What the rows of all tasks may take", self.memory_bytes),
            ("vcores", "Tasks that may run at once", self.vcores as u64),
            ("store_requests_total", "Requests to stores, retries among them", store.requests.get()),
            ("store_retries_total", "Requests to stores that were sent again", store.retries.get()),
            (
                "store_resumed_reads_total",
                "Reads from stores that broke off and went on from there",
                store.resumed_reads.get(),
            ),
            ("store_gave_up_total", "Requests that failed after all their retries", store.gave_up.get()),
            ("store_refused_total", "Requests that a store refused for good", store.refused.get()),
            ("rate_book_loads_total", "Rate books loaded from a store", books.loads),
            ("rate_book_hits_total", "Uses of a rate book that was loaded before", books.hits),
            ("rate_book_failures_total", "Rate books that could not be loaded", books.failures),
            ("rate_books_kept", "Rate books in memory", books.kept as u64),
        ];
        for (name, help, value) in samples {
            let sample = Sample { value, is_total: name.ends_with("_total") };
            sample.encode(encoder.encode_descriptor(name, help, None, sample.metric_type())?)?;
        }
        Ok(())
    }
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
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_gauge(&self.value)
    }

    fn metric_type(&self) -> MetricType {
        if self.is_total { MetricType::Counter } else { MetricType::Gauge }
    }
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
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use cambist_engine::store::Stores;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(address: std::net::SocketAddr, page: &str) -> String {
        let asking = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(format!("GET {page} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        tokio::time::timeout(Duration::from_secs(30), asking).await.unwrap()
    }

    #[tokio::test]
    async fn the_pages_tell_what_the_process_has_done() {
        let status = Status {
            health: ExecutorHealth::new(),
            parts: ClusterParts::new(Stores::new()),
            spills: Spills::default(),
            vcores: 3,
            memory_bytes: 1 << 30,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(serve(listener, status.clone()));
        assert!(ask(address, "/healthz").await.starts_with("HTTP/1.0 200"));
        assert!(ask(address, "/readyz").await.starts_with("HTTP/1.0 503"));
        status.health.mark_heartbeat_ok();
        assert!(ask(address, "/readyz").await.starts_with("HTTP/1.0 200"));

        let answer = ask(address, "/metrics").await;
        let (head, page) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(CONTENT_TYPE), "{head}");
        for line in [
            "# TYPE cambist_executor_tasks_started_total counter",
            "# TYPE cambist_executor_rows_written_total counter",
            "# TYPE cambist_executor_read_bytes_total counter",
            "# TYPE cambist_executor_store_retries_total counter",
            "# TYPE cambist_executor_rate_book_loads_total counter",
            "# TYPE cambist_executor_spilled_bytes gauge",
            "cambist_executor_vcores 3",
            "cambist_executor_memory_pool_limit_bytes 1073741824",
        ] {
            assert!(page.lines().any(|found| found == line), "no `{line}` in:\n{page}");
        }
        promtool(page);
        serving.abort();
    }

    /// Lets Prometheus' own tool look, where it is installed.
    fn promtool(page: &str) {
        let tool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        let Ok(mut tool) = tool else {
            println!("skipped: promtool is not installed");
            return;
        };
        tool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let output = tool.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "promtool: {said}");
    }
}
