//! Over real sockets, with the client and with bare requests.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cambist_jobs::error::ErrorKind;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::ballista::{ExecutorStatus, ExecutorView};
use crate::client::Client;
use crate::service::RunView;
use crate::service::tests::bench::{Bench, PATIENCE, in_time, options};
use crate::service::{JobService, RunState};

#[derive(Debug)]
struct TwoExecutors;

#[async_trait]
impl ClusterView for TwoExecutors {
    fn info(&self) -> Option<ClusterInfo> {
        let (version, rpc_host) = ("1.2.3".into(), "scheduler".into());
        Some(ClusterInfo { version, plan_version: 4, rpc_host, rpc_port: 8091 })
    }

    async fn executors(&self) -> Vec<ExecutorView> {
        let executor = |id: &str| ExecutorView {
            id: id.to_owned(),
            host: "10.0.0.1".into(),
            port: 1,
            vcores_total: 2,
            vcores_free: 1,
            last_heartbeat_seconds_ago: 3,
            status: ExecutorStatus::Active,
        };
        vec![executor("e1"), executor("e2")]
    }

    async fn measures(&self) -> Vec<Measure> {
        vec![Measure { name: "cambist_executors", help: "Executors that take tasks", value: 2 }]
    }
}

struct Served {
    service: JobService,
    url: String,
    close: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Served {
    async fn start(bench: &Bench, address: &str) -> Self {
        let service = bench.start().await;
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = router(service.clone(), Arc::new(TwoExecutors));
        let (close, closed) = oneshot::channel();
        let serving = tokio::spawn(async move {
            let closed = async {
                let _ = closed.await;
            };
            serve(listener, router, closed).await.unwrap();
        });
        Self { service, url, close, serving }
    }

    /// Closes the listener and every connection.
    async fn stop(self) {
        in_time("the service stops", self.service.stop()).await;
        drop(self.close);
        in_time("the listener closes", self.serving).await.unwrap();
    }

    fn client(&self) -> Client {
        Client::new(&self.url).unwrap()
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&str>,
    ) -> (StatusCode, reqwest::header::HeaderMap, Value) {
        let mut request = reqwest::Client::new().request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        let answer = request.timeout(PATIENCE).send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        (status, headers, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

fn request(then: &str, id: &str) -> SubmitRequest {
    SubmitRequest { job: "test".into(), options: options(then), id: Some(id.into()) }
}

#[tokio::test]
async fn a_run_is_submitted_followed_and_reported() {
    let bench = Bench::new();
    let served = Served::start(&bench, "127.0.0.1:0").await;
    let client = served.client();
    bench.world.hold("a", 1, "running");
    let submitted = client.submit(&request("", "a")).await.unwrap();
    assert_eq!(submitted.state, RunState::Submitted);
    bench.world.reached("a", 1, "running").await;
    let running = client.run("a").await.unwrap();
    assert_eq!((running.state, running.tasks_total), (RunState::Running, 4));
    assert_eq!(running.stage.as_deref(), Some("running"));
    let same = client.watch("a", running.version, Duration::from_secs(1)).await.unwrap();
    assert_eq!(same.version, running.version, "nothing has changed");
    bench.world.let_go();
    let states = Mutex::new(Vec::new());
    let view = client.follow("a", |view| states.lock().unwrap().push(view.state));
    let view = in_time("the run ends", view).await.unwrap();
    assert_eq!(view.state, RunState::Published);
    assert_eq!(view.report.unwrap(), json!({"run_id": "a", "rows": 3}));
    let states = states.into_inner().unwrap();
    assert!(states.is_sorted(), "{states:?}");
    let page =
        client.runs(&RunQuery { state: Some(RunState::Published), ..RunQuery::default() }).await.unwrap();
    assert_eq!(page.runs.len(), 1);
    assert_eq!(client.cluster().await.unwrap().plan_version, 4);
    assert_eq!(client.executors().await.unwrap().len(), 2);
    assert_eq!(client.jobs().await.unwrap()[0].name, "normalize");
    client.ready().await.unwrap();
    served.stop().await;
}

#[tokio::test]
async fn refusals_keep_their_kind_on_the_way() {
    let mut bench = Bench::new();
    bench.settings.runs_at_once = 1;
    bench.settings.queue_length_max = 0;
    let served = Served::start(&bench, "127.0.0.1:0").await;
    let client = served.client().with_patience(Duration::ZERO);
    let unknown = SubmitRequest { job: "none".into(), options: options(""), id: None };
    let unknown = client.submit(&unknown).await.unwrap_err();
    assert_eq!(
        (unknown.kind, unknown.message.as_str()),
        (ErrorKind::Usage, "no job `none`, expected one of test")
    );
    let missing = client.run("none").await.unwrap_err();
    assert_eq!((missing.kind, missing.message.contains("no run `none`")), (ErrorKind::Usage, true));
    bench.world.hold("a", 1, "committing");
    client.submit(&request("", "a")).await.unwrap();
    bench.world.reached("a", 1, "committing").await;
    let taken = client.submit(&request("other", "a")).await.unwrap_err();
    assert_eq!(taken.kind, ErrorKind::Conflict);
    let late = client.cancel("a").await.unwrap_err();
    assert_eq!(late.kind, ErrorKind::Conflict, "{late}");
    let full = client.submit(&request("", "b")).await.unwrap_err();
    assert_eq!(full.kind, ErrorKind::Infrastructure, "{full}");
    assert!(Client::new("https://host").is_err() && Client::new("host:8090").is_err());
    bench.world.let_go();
    in_time("the run ends", client.follow("a", |_| {})).await.unwrap();
    // A run is seen to have ended a moment before its place is free.
    let failed = served.client().submit(&request("fail", "c")).await.unwrap();
    let failed = in_time("the run ends", client.follow(&failed.id, |_| {})).await.unwrap();
    assert_eq!(failed.error.unwrap().hint.unwrap(), "mend row 7");
    served.stop().await;
}

#[tokio::test]
async fn every_refusal_is_json_of_one_form() {
    let mut bench = Bench::new();
    bench.settings.runs_at_once = 0;
    bench.settings.queue_length_max = 0;
    let served = Served::start(&bench, "127.0.0.1:0").await;
    let large = format!("{{\"job\": \"{}\"}}", "x".repeat(2 << 20));
    let deep = format!("{{\"job\": \"test\", \"options\": {}1{}}}", "{\"a\":".repeat(500), "}".repeat(500));
    let cases = [
        (Method::GET, "/none", None, 404),
        (Method::GET, "/v1/runs/none", None, 404),
        (Method::GET, "/v1/runs/a%00b", None, 404),
        (Method::GET, "/v1/runs/%ff", None, 400),
        (Method::GET, "/v1/runs/..%2f..%2fa", None, 404),
        (Method::DELETE, "/v1/runs/none", None, 404),
        (Method::PUT, "/v1/runs", None, 405),
        (Method::TRACE, "/v1/jobs", None, 405),
        (Method::GET, "/v1/runs?limit=0", None, 400),
        (Method::GET, "/v1/runs?limit=99999999", None, 400),
        (Method::GET, "/v1/runs?state=gone", None, 400),
        (Method::GET, "/v1/runs?after=x", None, 400),
        (Method::GET, "/v1/runs?none=1", None, 400),
        (Method::GET, "/v1/runs/a?since=x", None, 400),
        (Method::GET, "/v1/runs/a?since=1&wait=61", None, 400),
        (Method::POST, "/v1/runs", None, 415),
        (Method::POST, "/v1/runs", Some("{"), 400),
        (Method::POST, "/v1/runs", Some("[]"), 422),
        (Method::POST, "/v1/runs", Some("{\"job\": \"test\", \"more\": 1}"), 422),
        (Method::POST, "/v1/runs", Some("{\"job\": \"test\", \"options\": 1}"), 422),
        (Method::POST, "/v1/runs", Some("{\"job\": \"none\"}"), 400),
        (Method::POST, "/v1/runs", Some("{\"job\": \"test\", \"id\": \"../x\"}"), 400),
        (Method::POST, "/v1/runs", Some(deep.as_str()), 400),
        (Method::POST, "/v1/runs", Some(large.as_str()), 413),
        (Method::POST, "/v1/runs", Some("{\"job\": \"test\"}"), 429),
    ];
    for (method, path, body, expected) in cases {
        let (status, headers, answer) = served.send(method.clone(), path, body).await;
        assert_eq!(status.as_u16(), expected, "{method} {path}: {answer}");
        assert_eq!(headers["content-type"], "application/json", "{method} {path}");
        let error: ErrorBody = serde_json::from_value(answer).unwrap();
        assert!(!error.message.is_empty(), "{method} {path}");
        assert_eq!(headers.contains_key("allow"), expected == 405, "{method} {path}");
        assert_eq!(headers.contains_key("retry-after"), expected == 429, "{method} {path}");
    }
    served.stop().await;
}

#[tokio::test]
async fn answers_say_where_the_run_is_and_whether_it_is_new() {
    let bench = Bench::new();
    let served = Served::start(&bench, "127.0.0.1:0").await;
    let body = json!({"job": "test", "options": {}, "id": "a"}).to_string();
    for expected in [202, 200] {
        let (status, headers, _) = served.send(Method::POST, "/v1/runs", Some(&body)).await;
        assert_eq!(status.as_u16(), expected);
        assert_eq!(headers["location"], "/v1/runs/a");
    }
    let (_, _, view) = served.send(Method::GET, "/v1/runs/a", None).await;
    let view: RunView = serde_json::from_value(view).unwrap();
    assert_eq!(view.job, "test");
    served.stop().await;
}

#[tokio::test]
async fn a_client_outlives_a_restart_of_the_scheduler() {
    let bench = Bench::new();
    let served = Served::start(&bench, "127.0.0.1:0").await;
    let address = served.url.trim_start_matches("http://").to_owned();
    bench.world.hold("a", 1, "running");
    let troubles = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&troubles);
    let client = served.client().with_patience(PATIENCE).with_on_trouble(Arc::new(move |trouble: &str| {
        heard.lock().unwrap().push(trouble.to_owned());
    }));
    client.submit(&request("", "a")).await.unwrap();
    bench.world.reached("a", 1, "running").await;
    let following = tokio::spawn(async move { client.follow("a", |_| {}).await });
    served.stop().await;
    // The client is refused before the next scheduler listens.
    in_time("the client is refused", async {
        while troubles.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let served = Served::start(&bench, &address).await;
    let view = in_time("the run ends", following).await.unwrap().unwrap();
    assert_eq!((view.state, view.attempt), (RunState::Published, 2));
    served.stop().await;
}

#[tokio::test]
async fn a_scheduler_that_stays_away_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::new(&url).unwrap().with_patience(Duration::from_millis(200));
    let error = client.run("a").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Infrastructure);
    assert!(error.message.contains(&url), "{error}");
}

#[tokio::test]
async fn the_description_has_every_page_and_every_answer() {
    let bench = Bench::new();
    let served = Served::start(&bench, "127.0.0.1:0").await;
    let (status, _, description) = served.send(Method::GET, "/v1/openapi.json", None).await;
    assert_eq!(status, StatusCode::OK);
    let mut paths: Vec<&str> = description["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    paths.sort_unstable();
    let expected = [
        "/healthz",
        "/metrics",
        "/readyz",
        "/v1/cluster",
        "/v1/executors",
        "/v1/jobs",
        "/v1/runs",
        "/v1/runs/{id}",
    ];
    assert_eq!(paths, expected);
    let post = &description["paths"]["/v1/runs"]["post"]["responses"];
    let codes: Vec<&str> = post.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(codes, ["200", "202", "400", "409", "413", "415", "422", "429", "503"]);
    let error = &description["components"]["schemas"]["ErrorBody"]["properties"];
    assert!(error["kind"].is_object(), "{error}");
    served.stop().await;
}

#[tokio::test]
async fn the_numbers_are_as_prometheus_wants_them() {
    let bench = Bench::new();
    let served = Served::start(&bench, "127.0.0.1:0").await;
    let client = served.client();
    client.submit(&request("", "a")).await.unwrap();
    in_time("the run ends", client.follow("a", |_| {})).await.unwrap();
    // The driver counts a moment after the run's end is known.
    in_time("the run is counted", async {
        while served.service.metrics().published.get() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let (_, headers, text) = served.send(Method::GET, "/metrics", None).await;
    assert_eq!(headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = text.as_str().unwrap();
    for line in [
        "# TYPE cambist_runs_published_total counter",
        "cambist_runs_published_total 1",
        "cambist_runs{state=\"published\"} 1",
        "cambist_run_records_total 3",
        "cambist_run_seconds_count 1",
        "cambist_executors 2",
    ] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in:\n{text}");
    }
    promtool(text);
    served.stop().await;
}

/// Lets Prometheus' own tool look, where it is installed.
fn promtool(text: &str) {
    let tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut tool) = tool else {
        println!("skipped: promtool is not installed");
        return;
    };
    std::io::Write::write_all(&mut tool.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "promtool: {said}");
}
