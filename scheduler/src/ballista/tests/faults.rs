//! Executors die at known points: the rows stay the same.

use std::sync::Arc;
use std::time::Duration;

use cambist_engine::execution::ExecutionError;
use cambist_engine::failure::FailureKind;
use cambist_engine::progress::RunProgress;
use datafusion::arrow::record_batch::RecordBatch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::ClusterSettings;
use super::{Lab, PATIENCE, settings, sorted, until};

type Run = JoinHandle<Result<Vec<RecordBatch>, ExecutionError>>;

async fn begin(lab: &Lab, sql: &str) -> Run {
    let plan = lab.plan(sql).await;
    let (execution, session) = (lab.cluster.execution(), lab.session.clone());
    tokio::spawn(async move { execution.collect("test", plan, &session, &RunProgress::default()).await })
}

async fn ended(run: Run) -> Result<Vec<RecordBatch>, ExecutionError> {
    timeout(PATIENCE, run).await.expect("the plan ends").unwrap()
}

async fn all_free(lab: &Lab) -> bool {
    let metrics = lab.cluster.metrics().await;
    metrics.vcores_total > 0 && metrics.vcores_free == metrics.vcores_total
}

/// Ballista runs the lost tasks of a single stage again by itself.
#[tokio::test(flavor = "multi_thread")]
async fn an_executor_dies_under_a_plan_of_one_stage() {
    let lab = Lab::start(settings()).await;
    let (dying, _staying) = (lab.executor(1).await, lab.executor(1).await);
    let sql = "SELECT gate(v) AS v FROM t";
    let run = begin(&lab, sql).await;
    lab.gate.arrivals(2).await;
    dying.kill();
    until("the executor is lost", async || lab.cluster.executors().await.len() == 1).await;
    lab.gate.open();
    assert_eq!(sorted(&ended(run).await.unwrap()), lab.expected(sql).await);
    let metrics = lab.cluster.metrics().await;
    assert_eq!((metrics.submissions, metrics.resubmissions), (1, 0));
}

/// Rows that a lost executor had handed to the next stage would be counted twice: the plan begins anew.
#[tokio::test(flavor = "multi_thread")]
async fn an_executor_dies_between_the_stages() {
    let lab = Lab::start(settings()).await;
    let (dying, _staying) = (lab.executor(2).await, lab.executor(2).await);
    let sql = "SELECT gate(total) AS v FROM (SELECT k, sum(v) AS total FROM t GROUP BY k)";
    let run = begin(&lab, sql).await;
    lab.gate.arrivals(4).await;
    dying.kill();
    until("the plan begins anew", async || lab.cluster.metrics().await.resubmissions == 1).await;
    lab.gate.open();
    assert_eq!(sorted(&ended(run).await.unwrap()), lab.expected(sql).await);
    // No vcore of the other executor has leaked: the next plan gets them, and nothing is restarted.
    until("all vcores are free", async || all_free(&lab).await).await;
    assert_eq!(lab.cluster.metrics().await.restarts, 0);
    let next = "SELECT sum(v) AS v FROM t GROUP BY k";
    assert_eq!(lab.numbers(next).await.unwrap(), lab.expected(next).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_dies_in_the_first_of_two_stages() {
    let lab = Lab::start(settings()).await;
    let (dying, _staying) = (lab.executor(1).await, lab.executor(1).await);
    let sql = "SELECT sum(gate(v)) AS v FROM t GROUP BY k";
    let run = begin(&lab, sql).await;
    lab.gate.arrivals(2).await;
    dying.kill();
    until("the plan begins anew", async || lab.cluster.metrics().await.resubmissions == 1).await;
    lab.gate.open();
    assert_eq!(sorted(&ended(run).await.unwrap()), lab.expected(sql).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_executors_die_and_a_new_one_comes() {
    let lab = Lab::start(settings()).await;
    let dying = [lab.executor(1).await, lab.executor(1).await];
    let sql = "SELECT gate(v) AS v FROM t";
    let run = begin(&lab, sql).await;
    lab.gate.arrivals(2).await;
    dying.into_iter().for_each(super::Worker::kill);
    until("they are lost", async || lab.cluster.executors().await.is_empty()).await;
    lab.gate.open();
    let _new = lab.executor(2).await;
    assert_eq!(sorted(&ended(run).await.unwrap()), lab.expected(sql).await);
}

/// Nothing moves: the plan is cancelled and given up after its last submission.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_hangs_is_given_up() {
    let stall_timeout = Duration::from_secs(1);
    let lab = Lab::start(ClusterSettings { stall_timeout, resubmissions_max: 0, ..settings() }).await;
    let _executor = lab.executor(1).await;
    let run = begin(&lab, "SELECT gate(v) AS v FROM t").await;
    let error = ended(run).await.unwrap_err();
    assert_eq!(error.to_string(), "given up after 1 attempts: no task got on for 1 s");
    assert!(error.is_retryable());
    let metrics = lab.cluster.metrics().await;
    assert_eq!((metrics.stalls, metrics.restarts), (1, 1));
    lab.gate.open();
}

/// An error that will come again is told at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_defect_is_not_tried_again() {
    let lab = Lab::start(settings()).await;
    let _executor = lab.executor(1).await;
    let error = lab.numbers("SELECT 1 / (v - v) AS v FROM t").await.unwrap_err();
    let ExecutionError::Task(failure) = &error else { panic!("{error:?}") };
    assert_eq!(failure.kind, FailureKind::Internal);
    // A plan without a writer brings back the text that Ballista makes of the error.
    assert!(failure.message.contains("DivideByZero"), "{}", failure.message);
    assert_eq!(lab.cluster.metrics().await.submissions, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_executors_says_so() {
    let executor_wait = Duration::from_secs(1);
    let lab = Lab::start(ClusterSettings { executor_wait, ..settings() }).await;
    let error = lab.numbers("SELECT v FROM t").await.unwrap_err();
    assert!(matches!(error, ExecutionError::NoExecutors { waited_seconds: 1 }), "{error}");
    let joining = Arc::clone(&lab.cluster);
    assert!(joining.execution().slots().await.is_err());
}
