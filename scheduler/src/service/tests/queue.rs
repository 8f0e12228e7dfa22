use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cambist_engine::execution::{Execution, ExecutionError};
use cambist_engine::progress::RunProgress;
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::prelude::SessionContext;
use tokio::sync::{Notify, Semaphore};

use super::bench::{Bench, PATIENCE, in_time, options, over, submit, until};
use crate::service::observe::ObservedExecution;
use crate::service::run::{Place, Run};
use crate::service::{RunState, ServiceError};

#[tokio::test]
async fn runs_begin_in_the_order_of_their_submission_so_many_at_once() {
    let mut bench = Bench::new();
    bench.settings.runs_at_once = 2;
    let service = bench.start().await;
    let ids = ["a", "b", "c", "d", "e"];
    for id in ids {
        bench.world.hold(id, 1, "running");
    }
    for id in &ids[..2] {
        submit(&service, id).await;
        bench.world.reached(id, 1, "running").await;
    }
    for id in &ids[2..] {
        submit(&service, id).await;
    }
    assert_eq!(service.get("c").await.unwrap().waiting.as_deref(), Some("2 runs ahead"));
    assert_eq!(service.get("e").await.unwrap().waiting.as_deref(), Some("4 runs ahead"));
    assert_eq!(bench.world.begun.lock().unwrap().len(), 2);
    // One place becomes free at a time, so that who takes it is no race between two runs.
    for (nth, id) in ids.iter().enumerate() {
        bench.world.let_go_of(id);
        assert_eq!(over(&service, id).await.state, RunState::Published);
        if let Some(next) = ids.get(nth + 2) {
            bench.world.reached(next, 1, "running").await;
        }
        let begun: Vec<String> =
            bench.world.begun.lock().unwrap().iter().map(|(id, ..)| id.clone()).collect();
        assert_eq!(begun, ids[..ids.len().min(nth + 3)]);
    }
}

#[tokio::test]
async fn a_full_queue_refuses_and_takes_again_later() {
    let mut bench = Bench::new();
    bench.settings.runs_at_once = 1;
    bench.settings.queue_length_max = 2;
    let service = bench.start().await;
    bench.world.hold("a", 1, "running");
    for id in ["a", "b", "c"] {
        submit(&service, id).await;
    }
    bench.world.reached("a", 1, "running").await;
    let full = service.submit("test", options(""), Some("d".into())).await.unwrap_err();
    assert!(matches!(full, ServiceError::QueueFull { length: 2, .. }), "{full}");
    assert!(full.is_retryable());
    assert!(!bench.path("state/runs/d").exists());
    bench.world.let_go();
    over(&service, "c").await;
    submit(&service, "d").await;
    assert_eq!(over(&service, "d").await.state, RunState::Published);
}

/// A cluster whose first executor comes late, or never.
#[derive(Debug)]
struct Late {
    executors: Semaphore,
    patience: Duration,
}

#[async_trait]
impl Execution for Late {
    async fn slots(&self) -> Result<usize, ExecutionError> {
        match tokio::time::timeout(self.patience, self.executors.acquire()).await {
            Ok(_) => Ok(1),
            Err(_) => Err(ExecutionError::NoExecutors { waited_seconds: self.patience.as_secs() }),
        }
    }

    fn is_remote(&self) -> bool {
        true
    }

    async fn collect(
        &self,
        _name: &str,
        _plan: Arc<dyn ExecutionPlan>,
        _session: &SessionContext,
        _progress: &RunProgress,
    ) -> Result<Vec<RecordBatch>, ExecutionError> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn a_run_without_executors_says_so_and_goes_on_when_one_joins() {
    let mut bench = Bench::new();
    let cluster = Arc::new(Late { executors: Semaphore::new(0), patience: Duration::from_secs(60) });
    bench.execution = Arc::clone(&cluster) as Arc<dyn Execution>;
    let service = bench.start().await;
    submit(&service, "a").await;
    let view = until(&service, "a", |view| view.waiting.as_deref() == Some("no executors")).await;
    assert_eq!(view.state, RunState::Submitted);
    cluster.executors.add_permits(1);
    let view = over(&service, "a").await;
    assert_eq!((view.state, view.waiting), (RunState::Published, None));
}

#[tokio::test]
async fn a_run_without_executors_fails_in_the_end() {
    let mut bench = Bench::new();
    bench.execution = Arc::new(Late { executors: Semaphore::new(0), patience: Duration::from_millis(100) });
    let service = bench.start().await;
    submit(&service, "a").await;
    let view = over(&service, "a").await;
    assert_eq!(view.state, RunState::Failed);
    assert!(view.error.unwrap().message.contains("no executor has joined"));
}

/// A cluster that has lost its executors under a plan.
#[derive(Debug, Default)]
struct Bereft {
    joined: Notify,
    done: Notify,
}

#[async_trait]
impl Execution for Bereft {
    async fn slots(&self) -> Result<usize, ExecutionError> {
        self.joined.notified().await;
        Ok(1)
    }

    fn is_remote(&self) -> bool {
        true
    }

    async fn collect(
        &self,
        _name: &str,
        _plan: Arc<dyn ExecutionPlan>,
        _session: &SessionContext,
        _progress: &RunProgress,
    ) -> Result<Vec<RecordBatch>, ExecutionError> {
        self.done.notified().await;
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn a_run_that_has_lost_all_executors_says_so_until_one_joins() {
    let at = jiff::Timestamp::from_second(1_800_000_000).unwrap();
    let run = Run::new("a".into(), "test".into(), options(""), at, Place::Driven, 1);
    let (run, cluster) = (Arc::new(run), Arc::new(Bereft::default()));
    let execution = ObservedExecution::new(Arc::clone(&cluster) as _, Arc::clone(&run));
    let work = tokio::spawn(async move {
        let plan = Arc::new(EmptyExec::new(Arc::new(Schema::empty())));
        execution.collect("a", plan, &SessionContext::new(), &RunProgress::default()).await
    });
    let waiting = || run.live().waiting.clone();
    let becomes = async |text: Option<&str>| {
        let mut versions = run.versions();
        in_time("the view tells", versions.wait_for(|_| waiting().as_deref() == text)).await.unwrap();
    };
    becomes(Some("no executors")).await;
    cluster.joined.notify_one();
    becomes(None).await;
    becomes(Some("no executors")).await;
    cluster.done.notify_one();
    in_time("the plan ends", work).await.unwrap().unwrap();
    assert_eq!(waiting(), None);
}

#[tokio::test]
async fn a_stopping_service_takes_no_runs_and_lets_those_at_work_finish() {
    let mut bench = Bench::new();
    bench.settings.runs_at_once = 1;
    bench.settings.stop_grace = Duration::from_secs(30);
    let service = bench.start().await;
    bench.world.hold("a", 1, "running");
    submit(&service, "a").await;
    submit(&service, "b").await;
    bench.world.reached("a", 1, "running").await;
    let stopping = tokio::spawn({
        let service = service.clone();
        async move { service.stop().await }
    });
    let refused = in_time("submissions are refused", async {
        loop {
            match service.submit("test", options(""), None).await {
                Ok(_) => tokio::task::yield_now().await,
                Err(refused) => return refused,
            }
        }
    });
    let refused = refused.await;
    assert!(matches!(refused, ServiceError::Stopping), "{refused}");
    assert!(service.check().await.is_err());
    bench.world.let_go();
    in_time("the service stops", stopping).await.unwrap();
    assert_eq!(service.get("a").await.unwrap().state, RunState::Published);
    assert_eq!(service.get("b").await.unwrap().state, RunState::Submitted);

    let service = bench.start().await;
    assert_eq!(over(&service, "b").await.state, RunState::Published);
}

/// A process that ends without a stop, such as after a failed listener, drops its runs at work while others
/// wait: that must neither begin those nor wait for itself.
#[test]
fn a_runtime_that_ends_with_waiting_runs_ends() {
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut bench = Bench::new();
        bench.settings.runs_at_once = 1;
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let service = bench.start().await;
            bench.world.hold("a", 1, "running");
            for id in ["a", "b", "c"] {
                submit(&service, id).await;
            }
            bench.world.reached("a", 1, "running").await;
        });
        drop(runtime);
        let begun = bench.world.begun.lock().unwrap().len();
        ended.send(begun).unwrap();
    });
    assert_eq!(end.recv_timeout(PATIENCE), Ok(1));
}
