//! The status pages of a sink: `/metrics`, `/healthz`, `/readyz`.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use super::status::SinkStatus;

/// The format that every version of Prometheus reads, and promtool checks.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves the pages for as long as the future is polled.
///
/// # Errors
/// Where the listener fails.
pub async fn serve(listener: TcpListener, status: Arc<SinkStatus>) -> std::io::Result<()> {
    let mut registry = Registry::with_prefix("cambist_sink");
    registry.register_collector(Box::new(Shown(Arc::clone(&status))));
    let pages = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state((status, Arc::new(registry)));
    axum::serve(listener, pages).await
}

type Pages = State<(Arc<SinkStatus>, Arc<Registry>)>;

/// Ready is who is in the group, reaches a broker and can store.
async fn ready(State((status, _)): Pages) -> impl IntoResponse {
    let state = status.state();
    let missing = match (state.is_member, state.are_brokers_up, state.is_store_failing) {
        (_, false, _) => "no broker can be reached\n",
        (false, ..) => "the group has not told which partitions to read\n",
        (_, _, true) => "messages cannot be stored at the moment\n",
        _ => return (StatusCode::OK, "ready\n"),
    };
    (StatusCode::SERVICE_UNAVAILABLE, missing)
}

async fn metrics(State((_, registry)): Pages) -> impl IntoResponse {
    let mut page = String::new();
    match text::encode(&mut page, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[derive(Debug)]
struct Shown(Arc<SinkStatus>);

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let state = self.0.state().clone();
        let counts = state.counts;
        let last_commit = state.last_commit.map_or(0, |at| u64::try_from(at.as_second()).unwrap_or(0));
        for (name, help, value) in [
            ("messages_read_total", "Messages that were read and dealt with", counts.read),
            ("messages_stored_total", "Messages whose object is new", counts.stored),
            ("messages_unchanged_total", "Messages whose payload was there", counts.unchanged),
            ("messages_held_total", "Stored messages of which something is held back", counts.held),
            ("read_bytes_total", "Bytes of the payloads that were read", counts.read_bytes),
            ("batches_total", "Batches that were stored", counts.batches),
            ("commits_total", "Commits of offsets", counts.commits),
            ("commit_failures_total", "Commits that failed", counts.commit_failures),
            ("store_failures_total", "Attempts to store a batch that failed", counts.store_failures),
            ("broker_errors_total", "Errors that brokers or the way to them gave", counts.broker_errors),
            ("rebalances_total", "Times that partitions were assigned or given up", counts.rebalances),
            ("offsets_skipped_total", "Offsets that no message was found for", counts.offsets_skipped),
            ("last_commit_timestamp_seconds", "When offsets were committed last", last_commit),
            ("partitions", "Partitions that are this sink's", state.partitions.len() as u64),
            ("brokers_up", "Whether any broker can be reached", u64::from(state.are_brokers_up)),
            (
                "store_failing",
                "Whether the last batch could not be stored yet",
                u64::from(state.is_store_failing),
            ),
        ] {
            let sample = Sample(value);
            sample.encode(encoder.encode_descriptor(name, help, None, kind_of(name))?)?;
        }
        let reasons: Vec<_> = state
            .dead_by_reason
            .iter()
            .map(|(reason, count)| (("reason", (*reason).to_owned()), *count))
            .collect();
        write(&mut encoder, "dead_letters_total", "Messages that went to the dead letters", &reasons)?;
        let of_partitions = |value: fn(&super::status::PartitionState) -> u64| -> Vec<_> {
            let partitions = state.partitions.iter();
            partitions.map(|(name, state)| (("partition", name.to_string()), value(state))).collect()
        };
        let lag = of_partitions(|state| state.lag());
        write(&mut encoder, "lag", "Messages that are not committed", &lag)?;
        let committed = of_partitions(|state| u64::try_from(state.committed).unwrap_or(0));
        write(&mut encoder, "committed_offset", "The offset that is read next", &committed)
    }
}

type Labelled = ((&'static str, String), u64);

/// Writes the samples of one metric; one without samples is left out.
fn write(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, samples: &[Labelled]) -> fmt::Result {
    if samples.is_empty() {
        return Ok(());
    }
    let mut encoder = encoder.encode_descriptor(name, help, None, kind_of(name))?;
    for ((label, value), sample) in samples {
        Sample(*sample).encode(encoder.encode_family(&[(*label, value.as_str())])?)?;
    }
    Ok(())
}

/// The library's own counter writes `_total` behind its samples only, as OpenMetrics has it.
fn kind_of(name: &str) -> MetricType {
    if name.ends_with("_total") { MetricType::Counter } else { MetricType::Gauge }
}

#[derive(Debug)]
struct Sample(u64);

impl EncodeMetric for Sample {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_gauge(&self.0)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_page_tells_the_lag_of_each_partition_and_is_what_prometheus_reads() {
        let status = Arc::new(SinkStatus::default());
        let offsets = BTreeMap::from([(0, (0, 9, 4)), (3, (0, 7, 7))]);
        status.brokers_seen(true, &BTreeSet::from([0, 3]), &offsets);
        status.count(|counts| counts.stored = 11);
        status.state().dead_by_reason.insert("MESSAGE_EMPTY", 2);
        let mut registry = Registry::with_prefix("cambist_sink");
        registry.register_collector(Box::new(Shown(status)));
        let mut page = String::new();
        text::encode(&mut page, &registry).unwrap();
        for line in [
            "# TYPE cambist_sink_messages_stored_total counter",
            "cambist_sink_messages_stored_total 11",
            "cambist_sink_dead_letters_total{reason=\"MESSAGE_EMPTY\"} 2",
            "# TYPE cambist_sink_lag gauge",
            "cambist_sink_lag{partition=\"0\"} 5",
            "cambist_sink_lag{partition=\"3\"} 0",
            "cambist_sink_brokers_up 1",
        ] {
            assert!(page.lines().any(|found| found == line), "no `{line}` in:\n{page}");
        }
        promtool(&page);
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
