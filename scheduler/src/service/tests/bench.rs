//! A service on a folder of its own, with a job that stops where a test tells it to.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use cambist_engine::execution::{Execution, InProcess};
use cambist_engine::store::Stores;
use cambist_jobs::context::{RunContext, RunPhase};
use cambist_jobs::error::{ErrorKind, JobError};
use cambist_jobs::registry::PreparedJob;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::service::job_service::lock;
use crate::service::{Clock, JobService, Prepare, RunState, RunView, ServiceSettings};

/// Longer than anything takes; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What the jobs of one test share: the table they commit to, and where they stop.
#[derive(Debug)]
pub(crate) struct World {
    /// Who has committed what: each run once, with the attempt that did.
    pub(crate) table: Mutex<BTreeMap<String, u32>>,
    /// Each attempt that has begun, with the `now` it was given.
    pub(crate) begun: Mutex<Vec<(String, u32, Timestamp)>>,
    /// The places that attempts have come to.
    places: Mutex<HashMap<(String, u32), watch::Sender<&'static str>>>,
    /// Where attempts wait until they are let go.
    held: watch::Sender<Vec<(String, u32, String)>>,
    /// Jobs whose futures live.
    pub(crate) alive: AtomicUsize,
}

impl Default for World {
    fn default() -> Self {
        Self {
            table: Mutex::default(),
            begun: Mutex::default(),
            places: Mutex::default(),
            held: watch::Sender::new(Vec::new()),
            alive: AtomicUsize::new(0),
        }
    }
}

impl World {
    /// Lets attempt `attempt` at `run` wait at `place` until it is let go.
    pub(crate) fn hold(&self, run: &str, attempt: u32, place: &str) {
        self.held.send_modify(|held| held.push((run.to_owned(), attempt, place.to_owned())));
    }

    pub(crate) fn let_go(&self) {
        self.held.send_replace(Vec::new());
    }

    pub(crate) fn let_go_of(&self, run: &str) {
        self.held.send_modify(|held| held.retain(|(id, ..)| id != run));
    }

    fn place(&self, run: &str, attempt: u32) -> watch::Sender<&'static str> {
        let mut places = lock(&self.places);
        places.entry((run.to_owned(), attempt)).or_insert_with(|| watch::Sender::new("")).clone()
    }

    /// Waits until attempt `attempt` at `run` has come to `place`.
    pub(crate) async fn reached(&self, run: &str, attempt: u32, place: &str) {
        let mut places = self.place(run, attempt).subscribe();
        let reached = places.wait_for(|at| *at == place);
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        assert!(reached.is_ok(), "attempt {attempt} at {run} has not come to `{place}`");
    }

    async fn pass(&self, context: &RunContext, place: &'static str) {
        self.place(&context.run_id, context.attempt).send_replace(place);
        let mine = (context.run_id.clone(), context.attempt, place.to_owned());
        let _ = self.held.subscribe().wait_for(|held| !held.contains(&mine)).await;
    }
}

/// Commits its run's id to the world's table, as a real job would commit a batch: once.
#[derive(Debug)]
struct TestJob {
    options: Value,
    world: Arc<World>,
}

struct Alive(Arc<World>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl PreparedJob for TestJob {
    fn name(&self) -> &'static str {
        "test"
    }

    fn options(&self) -> &Value {
        &self.options
    }

    async fn run(&self, context: &RunContext) -> Result<Value, JobError> {
        self.world.alive.fetch_add(1, Ordering::SeqCst);
        let _alive = Alive(Arc::clone(&self.world));
        let id = context.run_id.clone();
        lock(&self.world.begun).push((id.clone(), context.attempt, context.now));
        self.world.pass(context, "planning").await;
        context
            .execution
            .slots()
            .await
            .map_err(|error| JobError::new(ErrorKind::Infrastructure, error.to_string()))?;
        let report = json!({"run_id": id, "rows": 3});
        if lock(&self.world.table).contains_key(&id) {
            self.world.pass(context, "publishing").await;
            return Ok(report);
        }
        context.progress.begin(100, 4);
        context.observer.reached(RunPhase::Planned { input_bytes: 100, tasks: 4 }).await?;
        self.world.pass(context, "running").await;
        match self.options["then"].as_str() {
            Some("panic") => panic!("division by zero"),
            Some("fail") => return Err(JobError::data("row 7 is broken").with_hint("mend row 7")),
            _ => {}
        }
        context.progress.set_done(100, 3, 4);
        context.observer.reached(RunPhase::Executed).await?;
        self.world.pass(context, "committing").await;
        lock(&self.world.table).entry(id).or_insert(context.attempt);
        self.world.pass(context, "committed").await;
        context.observer.reached(RunPhase::Committed { commit: 1 }).await?;
        self.world.pass(context, "publishing").await;
        Ok(report)
    }
}

/// A folder of records and a world that outlive the services on them.
pub(crate) struct Bench {
    pub(crate) world: Arc<World>,
    pub(crate) settings: ServiceSettings,
    pub(crate) stores: Stores,
    pub(crate) execution: Arc<dyn Execution>,
    seconds: Arc<AtomicI64>,
    folder: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = format!("file://{}", folder.path().join("state").display());
        let settings = ServiceSettings {
            stop_grace: Duration::ZERO,
            record_timeout: Duration::from_millis(300),
            ..ServiceSettings::new(state)
        };
        Self {
            world: Arc::default(),
            settings,
            stores: Stores::new(),
            execution: Arc::new(InProcess { cores: 1 }),
            seconds: Arc::new(AtomicI64::new(1_700_000_000)),
            folder,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Sets the clock to an instant that lies after `time`.
    pub(crate) fn set_clock_after(&self, time: SystemTime) {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        self.seconds.store(i64::try_from(since).unwrap() + 1, Ordering::SeqCst);
    }

    /// A clock that goes on by a second with each look.
    pub(crate) fn clock(&self) -> Clock {
        let seconds = Arc::clone(&self.seconds);
        Arc::new(move || Timestamp::from_second(seconds.fetch_add(1, Ordering::SeqCst)).unwrap())
    }

    pub(crate) fn prepare(&self) -> Prepare {
        let world = Arc::clone(&self.world);
        Arc::new(move |job, options| {
            if job != "test" {
                return Err(JobError::usage(format!("no job `{job}`, expected one of test")));
            }
            Ok(Box::new(TestJob { options, world: Arc::clone(&world) }))
        })
    }

    pub(crate) async fn start(&self) -> JobService {
        JobService::start_with(
            self.settings.clone(),
            self.stores.clone(),
            Arc::clone(&self.execution),
            self.clock(),
            self.prepare(),
        )
        .await
        .unwrap()
    }

    /// The states of a run's records on disk, with their attempts.
    pub(crate) fn records(&self, id: &str) -> Vec<(String, u64)> {
        let folder = self.path("state/runs").join(id);
        let mut names: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        let read = |path: PathBuf| {
            let record: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            (record["state"].as_str().unwrap().to_owned(), record["attempt"].as_u64().unwrap())
        };
        names.into_iter().map(read).collect()
    }
}

pub(crate) fn options(then: &str) -> Map<String, Value> {
    json!({ "then": then }).as_object().unwrap().clone()
}

/// Waits for something for as long as a test may wait.
pub(crate) async fn in_time<T>(what: &str, waiting: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// Submits a run under an id.
pub(crate) async fn submit(service: &JobService, id: &str) -> RunView {
    service.submit("test", options(""), Some(id.to_owned())).await.unwrap().run
}

/// Waits until a run's view is as `wanted` says.
pub(crate) async fn until(
    service: &JobService,
    id: &str,
    wanted: impl Fn(&RunView) -> bool + Send,
) -> RunView {
    let waiting = async {
        let mut view = service.get(id).await.unwrap();
        while !wanted(&view) {
            view = service.watch(id, view.version, PATIENCE).await.unwrap();
        }
        view
    };
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(view) => view,
        Err(_) => panic!("run {id} is {:?}", service.get(id).await),
    }
}

pub(crate) async fn over(service: &JobService, id: &str) -> RunView {
    until(service, id, |view| view.state.is_terminal()).await
}

pub(crate) async fn in_state(service: &JobService, id: &str, state: RunState) -> RunView {
    until(service, id, |view| view.state == state).await
}
