//! Plans of one stage and of several, in quiet.

use std::time::Duration;

use cambist_engine::failure::{FailureKind, TaskFailure};
use cambist_engine::progress::RunProgress;
use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use futures::TryStreamExt;

use super::{FILES, Lab, PATIENCE, ROWS_PER_FILE, settings, sorted, until};

const ONE_STAGE: &str = "SELECT v * 2 AS v FROM t WHERE v % 3 = 0";
const TWO_STAGES: &str = "SELECT sum(v) AS v FROM t GROUP BY k";

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_gives_the_same_rows_as_in_one_process() {
    let lab = Lab::start(settings()).await;
    let _executors = [lab.executor(1).await, lab.executor(2).await];
    assert_eq!(lab.cluster.execution().slots().await.unwrap(), 3);
    for sql in [ONE_STAGE, TWO_STAGES] {
        assert_eq!(lab.numbers(sql).await.unwrap(), lab.expected(sql).await, "{sql}");
    }
    let metrics = lab.cluster.metrics().await;
    assert_eq!((metrics.submissions, metrics.resubmissions, metrics.stalls), (2, 0, 0));
}

/// Every task's end is heard, whatever the leaves of the branches that it does not read.
#[tokio::test(flavor = "multi_thread")]
async fn a_union_with_constants_or_with_nothing_ends() {
    let lab = Lab::start(settings()).await;
    let _executors = [lab.executor(1).await, lab.executor(2).await];
    for sql in [
        "SELECT v FROM t WHERE v < 3 UNION ALL SELECT 0 AS v",
        "SELECT v FROM t UNION ALL SELECT v FROM t WHERE 1 = 2",
        "SELECT k AS v FROM t UNION SELECT 0 UNION SELECT 1000",
        "SELECT count(*) AS v FROM t UNION ALL SELECT v FROM t",
    ] {
        assert_eq!(lab.numbers(sql).await.unwrap(), lab.expected(sql).await, "{sql}");
    }
    assert_eq!(lab.cluster.metrics().await.resubmissions, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_count_whose_columns_nobody_asks_for() {
    let lab = Lab::start(settings()).await;
    let _executor = lab.executor(2).await;
    for sql in [
        "SELECT count(*) AS v FROM t CROSS JOIN generate_series(1, 1000)",
        "SELECT v FROM t CROSS JOIN generate_series(1, 3)",
    ] {
        assert_eq!(lab.numbers(sql).await.unwrap(), lab.expected(sql).await, "{sql}");
    }
}

/// Rows that are read while they come are the same rows, in the plan's order where it has one.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_gives_the_rows_in_their_order_and_cleans_up() {
    let lab = Lab::start(settings()).await;
    let _executors = [lab.executor(1).await, lab.executor(1).await];
    let plan = lab.plan("SELECT v FROM t ORDER BY v DESC").await;
    let execution = lab.cluster.execution();
    let rows = execution.stream("test", plan, &lab.session, &RunProgress::default()).await.unwrap();
    let batches: Vec<_> = tokio::time::timeout(PATIENCE, rows.try_collect()).await.unwrap().unwrap();
    let columns = batches.iter().map(|batch| batch.column(0).as_primitive::<Int64Type>().values());
    let found: Vec<i64> = columns.flatten().copied().collect();
    assert_eq!(found, (0..FILES * ROWS_PER_FILE).rev().collect::<Vec<_>>());
    for sql in [ONE_STAGE, TWO_STAGES] {
        let plan = lab.plan(sql).await;
        let rows = execution.stream("test", plan, &lab.session, &RunProgress::default()).await.unwrap();
        let batches: Vec<_> = tokio::time::timeout(PATIENCE, rows.try_collect()).await.unwrap().unwrap();
        assert_eq!(sorted(&batches), lab.expected(sql).await, "{sql}");
    }
}

/// A reader that goes away in the middle leaves nothing behind: the vcores serve the next plan.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_dropped_ends() {
    let lab = Lab::start(settings()).await;
    let _executor = lab.executor(1).await;
    let plan = lab.plan("SELECT v FROM t").await;
    let execution = lab.cluster.execution();
    let mut rows = execution.stream("test", plan, &lab.session, &RunProgress::default()).await.unwrap();
    assert!(rows.try_next().await.unwrap().is_some());
    drop(rows);
    assert_eq!(lab.numbers(TWO_STAGES).await.unwrap(), lab.expected(TWO_STAGES).await);
}

/// However slowly rows are read: they lie there until they are, no clock removes them, and then they go at once.
#[tokio::test(flavor = "multi_thread")]
async fn rows_wait_for_their_reader_and_then_go() {
    let lab = Lab::start(settings()).await;
    let _executor = lab.executor(1).await;
    let ballista = &lab.cluster.server.state.config;
    assert_eq!(ballista.finished_job_data_clean_up_interval_seconds, 0);
    let plan = lab.plan("SELECT v FROM t").await;
    let execution = lab.cluster.execution();
    let mut rows = execution.stream("test", plan, &lab.session, &RunProgress::default()).await.unwrap();
    let mut batches = vec![rows.try_next().await.unwrap().expect("the first rows")];
    assert_eq!(lab.plans_kept().len(), 1, "{:?}", lab.plans_kept());
    // Another plan's rows come and go meanwhile.
    assert_eq!(lab.numbers(ONE_STAGE).await.unwrap(), lab.expected(ONE_STAGE).await);
    until("the other rows are gone", async || lab.plans_kept().len() == 1).await;
    while let Some(batch) = rows.try_next().await.unwrap() {
        batches.push(batch);
    }
    assert_eq!(sorted(&batches), lab.expected("SELECT v FROM t").await);
    drop(rows);
    until("nothing is left", async || lab.plans_kept().is_empty()).await;
}

/// Who holds none of the rows may go while they are read: the plan has succeeded, and they are whole.
#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_holds_nothing_may_be_lost_under_a_reader() {
    let lab = Lab::start(settings()).await;
    let _holding = lab.executor(1).await;
    let plan = lab.plan(TWO_STAGES).await;
    let execution = lab.cluster.execution();
    let rows = execution.stream("test", plan, &lab.session, &RunProgress::default()).await.unwrap();
    lab.executor(1).await.kill();
    until("the executor is lost", async || lab.cluster.executors().await.len() == 1).await;
    let batches: Vec<_> = tokio::time::timeout(PATIENCE, rows.try_collect()).await.unwrap().unwrap();
    assert_eq!(sorted(&batches), lab.expected(TWO_STAGES).await);
}

/// Once rows were read the plan is not run again behind the reader's back: what is lost is told.
#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_dies_under_a_reader_is_told_as_worth_another_try() {
    let lab =
        Lab::start(super::ClusterSettings { fetch_timeout: Duration::from_secs(3), ..settings() }).await;
    let executors = [lab.executor(1).await, lab.executor(1).await];
    let plan = lab.plan("SELECT v FROM t").await;
    let execution = lab.cluster.execution();
    let rows = execution.stream("test", plan, &lab.session, &RunProgress::default()).await.unwrap();
    executors.into_iter().for_each(super::Worker::kill);
    let read = tokio::time::timeout(PATIENCE, rows.try_collect::<Vec<_>>()).await.expect("it ends");
    let failure = TaskFailure::of(&read.unwrap_err());
    assert_eq!(failure.kind, FailureKind::Transient, "{failure}");
    assert_eq!(failure.hint.as_deref(), Some("send the query again"));
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_counts_finished_tasks() {
    let lab = Lab::start(settings()).await;
    let _executor = lab.executor(1).await;
    let plan = lab.plan("SELECT CASE WHEN v < 100 THEN v ELSE gate(v) END AS v FROM t").await;
    let progress = RunProgress::default();
    progress.begin(600, FILES as u64);
    let (execution, session, shown) = (lab.cluster.execution(), lab.session.clone(), progress.clone());
    let run = tokio::spawn(async move { execution.collect("test", plan, &session, &shown).await });
    // The first file's task passes; the others wait.
    until("one task is shown as done", async || progress.counts().tasks_done == 1).await;
    assert_eq!(progress.counts().bytes_done, 100);
    lab.gate.open();
    let rows = tokio::time::timeout(PATIENCE, run).await.expect("the plan ends").unwrap().unwrap();
    let rows: usize = rows.iter().map(|batch| batch.num_rows()).sum();
    assert_eq!(rows as i64, FILES * ROWS_PER_FILE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_beyond_its_bound_is_refused() {
    let lab = Lab::start(super::ClusterSettings { result_bytes_max: 1000, ..settings() }).await;
    let _executor = lab.executor(2).await;
    let error = lab.numbers(ONE_STAGE).await.unwrap_err();
    assert_eq!(error.to_string(), "the result is larger than 1000 bytes");
    assert!(!error.is_retryable());
}

/// A dropped future cancels its plan, and the vcores serve the next one.
#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_future_frees_the_vcores() {
    let lab = Lab::start(settings()).await;
    let _executor = lab.executor(1).await;
    let plan = lab.plan("SELECT gate(v) AS v FROM t").await;
    let (execution, session) = (lab.cluster.execution(), lab.session.clone());
    let run =
        tokio::spawn(async move { execution.collect("test", plan, &session, &RunProgress::default()).await });
    lab.gate.arrivals(1).await;
    run.abort();
    until("the plan is gone", async || lab.cluster.metrics().await.plans_running == 0).await;
    lab.gate.open();
    assert_eq!(lab.numbers(TWO_STAGES).await.unwrap(), lab.expected(TWO_STAGES).await);
    until("all vcores are free", async || {
        let metrics = lab.cluster.metrics().await;
        metrics.vcores_free == metrics.vcores_total
    })
    .await;
}
