//! Limits of users, on plans that really run.

use std::sync::Arc;

use cambist_engine::execution::InProcess;
use futures::StreamExt;

use super::bench::Bench;
use crate::access::Role;
use crate::error::SqlErrorKind;
use crate::settings::{Limits, SqlSettings};

/// Counts for hours.
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 9000000000000) WHERE value % 7 = 3";

async fn limited(limits: Limits) -> Bench {
    let change = move |settings: &mut SqlSettings| {
        settings.limits.insert(Role::Reader, limits);
    };
    Bench::with(change, Arc::new(InProcess { cores: 2 })).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_runs_for_ever_is_stopped() {
    let bench = limited(Limits { run_seconds: 1, ..Limits::default() }).await;
    let error = bench.read(ENDLESS).await.unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (SqlErrorKind::TimedOut, "the statement took more than 1 s, the transfer of its rows included")
    );
    assert_eq!(bench.noted.last().outcome, "timed_out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_runs_for_ever_is_cancelled() {
    let bench = limited(Limits { concurrent_queries: 1, ..Limits::default() }).await;
    let session = bench.session(Role::Reader);
    let prepared = bench.service.prepare(&session, ENDLESS).await.unwrap();
    let mut executed = bench.service.execute(&prepared, None).await.unwrap();
    let refused = bench.read("SELECT 1").await.unwrap_err();
    assert_eq!(refused.kind, SqlErrorKind::Exhausted);
    let refused = bench.service.tables(&session, |_, _| false).await.unwrap_err();
    assert_eq!(refused.kind, SqlErrorKind::Exhausted);
    assert!(bench.service.cancel(session.principal(), &executed.query_id).await.unwrap());
    assert_eq!(executed.rows.next().await.unwrap().unwrap_err().kind, SqlErrorKind::Cancelled);
    assert!(executed.rows.next().await.is_none());
    // Its place is free again.
    assert_eq!(bench.read("SELECT 1").await.unwrap(), ["1"]);
}

#[tokio::test]
async fn a_result_beyond_its_limit_is_refused() {
    let bench = limited(Limits { result_bytes: 20_000, ..Limits::default() }).await;
    assert_eq!(bench.read("SELECT * FROM generate_series(1, 2000)").await.unwrap().len(), 2000);
    let error = bench.read("SELECT * FROM generate_series(1, 200000)").await.unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (SqlErrorKind::Exhausted, "the result has more than 20000 bytes")
    );
}

/// The rows come as they are read: a client that stops has no more made for it.
#[tokio::test]
async fn a_client_that_reads_slowly_is_waited_for() {
    let bench = Bench::new().await;
    let session = bench.session(Role::Reader);
    let prepared =
        bench.service.prepare(&session, "SELECT * FROM generate_series(1, 9000000000000)").await.unwrap();
    let mut executed = bench.service.execute(&prepared, None).await.unwrap();
    executed.rows.next().await.unwrap().unwrap();
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    let made = bench.service.queries()[0].rows;
    assert!(made <= 8192 * 8, "{made} rows were made for a client that has read one batch");
}

/// What the threads of the program have, see its `start`.
const STACK_BYTES: usize = 16 << 20;

/// What is written in a row is a tree as deep as it is long, for which a stack must be enough.
#[test]
fn a_statement_is_as_deep_as_a_stack_allows() {
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(statements_of_any_depth());
    };
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work).unwrap().join().unwrap();
}

async fn statements_of_any_depth() {
    let bench = Bench::new().await;
    let sum = |operators: usize| format!("SELECT 1{}", "+1".repeat(operators));
    assert_eq!(bench.read(&sum(900)).await.unwrap(), ["901"]);
    let union = format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(300));
    assert_eq!(bench.read(&union).await.unwrap().len(), 301);
    for sql in [
        sum(500_000),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(50_000)),
        format!("SELECT 1 WHERE true{}", " OR true".repeat(100_000)),
        format!("{}SELECT 1", "EXPLAIN ".repeat(100_000)),
    ] {
        let error = bench.read(&sql).await.unwrap_err();
        assert_eq!(error.kind, SqlErrorKind::Invalid);
        assert!(error.message.contains("operators and keywords in a row"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_do_not_fit_into_the_memory_end_their_statement() {
    let change = |settings: &mut SqlSettings| settings.memory_bytes = Some(4 << 20);
    let bench = Bench::with(change, Arc::new(InProcess { cores: 2 })).await;
    let sql = "SELECT count(*) FROM generate_series(1, 1000000) a(v) JOIN generate_series(1, 1000000) b(w) ON v = w";
    let error = bench.read(sql).await.unwrap_err();
    assert_eq!(error.kind, SqlErrorKind::Exhausted, "{error}");
    // What it held is free again.
    assert_eq!(bench.read("SELECT count(*) FROM sales a JOIN sales b USING (id)").await.unwrap(), ["3"]);
}

#[tokio::test]
async fn a_long_message_is_cut_where_it_is_kept() {
    let bench = Bench::new().await;
    let error = bench.read(&format!("SELECT CAST('{}' AS INT)", "x".repeat(100_000))).await.unwrap_err();
    assert!(error.message.len() > 50_000, "{}", error.message.len());
    let noted = bench.noted.last().error.unwrap();
    assert_eq!(noted.chars().count(), 4097);
    for query in bench.service.queries() {
        assert!(query.error.unwrap_or_default().len() < 5000);
    }
}
