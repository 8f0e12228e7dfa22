//! Limits, cancellation and the end of statements, with work that never ends by itself.

use std::sync::{Arc, Mutex};

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use futures::{StreamExt, stream};

use super::*;
use crate::access::{Principal, Role};
use crate::audit::{AuditEntry, AuditLog};
use crate::error::{Result, SqlError, SqlErrorKind};
use crate::settings::Limits;
use crate::stream::Rows;

#[derive(Debug, Default)]
struct Noted(Mutex<Vec<AuditEntry>>);

impl AuditLog for Noted {
    fn note(&self, entry: &AuditEntry) {
        self.0.lock().unwrap().push(entry.clone());
    }
}

impl Noted {
    fn outcomes(&self) -> Vec<(String, u64)> {
        let entries = self.0.lock().unwrap();
        entries.iter().map(|entry| (entry.outcome.clone(), entry.rows)).collect()
    }
}

struct Bench {
    queries: Queries,
    noted: Arc<Noted>,
}

impl Bench {
    fn new() -> Self {
        let noted = Arc::new(Noted::default());
        let clock = Arc::new(|| jiff::Timestamp::UNIX_EPOCH);
        Self { queries: Queries::new(clock, Arc::clone(&noted) as _, 3), noted }
    }

    fn begin(&self, user: &str, limits: Limits) -> Result<Running> {
        self.queries.begin(&Principal::new(user, Role::Reader), "select", "SELECT 1".to_owned(), limits)
    }

    fn states(&self) -> Vec<QueryState> {
        self.queries.list().into_iter().map(|query| query.state).collect()
    }
}

fn batch() -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    RecordBatch::try_from_iter([("a", column)]).unwrap()
}

/// Tells when it is dropped.
struct Dropped(Option<tokio::sync::oneshot::Sender<()>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            let _ = sender.send(());
        }
    }
}

/// Two rows, then nothing for ever; and what tells that the work was dropped.
fn endless() -> (Rows, tokio::sync::oneshot::Receiver<()>) {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let dropped = Dropped(Some(sender));
    let rows = stream::iter([Ok(batch())]).chain(stream::pending()).map(move |batch| {
        let _ = &dropped;
        batch
    });
    (Box::pin(rows), receiver)
}

async fn collect(rows: impl futures::Stream<Item = Result<RecordBatch>>) -> (usize, Option<SqlError>) {
    let mut rows = std::pin::pin!(rows);
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        match batch {
            Ok(batch) => count += batch.num_rows(),
            Err(error) => {
                assert!(rows.next().await.is_none(), "nothing follows an error");
                return (count, Some(error));
            }
        }
    }
    (count, None)
}

#[tokio::test]
async fn rows_are_counted_and_the_end_is_noted_before_the_reader_sees_it() {
    let bench = Bench::new();
    let running = bench.begin("ann", Limits::default()).unwrap();
    let rows: Rows = Box::pin(stream::iter((0..50).map(|_| Ok(batch()))));
    let (count, error) = collect(forward(running, async { Ok(rows) })).await;
    assert!(error.is_none());
    assert_eq!(count, 100);
    let query = &bench.queries.list()[0];
    assert_eq!((query.state, query.rows, query.bytes), (QueryState::Done, 100, 800));
    assert_eq!(bench.noted.outcomes(), [("ok".to_owned(), 100)]);
}

#[tokio::test]
async fn a_cancelled_statement_ends_and_its_work_is_dropped() {
    let bench = Bench::new();
    let (ann, bob, root) = (
        Principal::new("ann", Role::Operator),
        Principal::new("bob", Role::Operator),
        Principal::new("root", Role::Admin),
    );
    for by in [&ann, &root] {
        let running = bench.begin("ann", Limits::default()).unwrap();
        let id = running.id().to_owned();
        let (rows, dropped) = endless();
        let mut rows = Box::pin(forward(running, async { Ok(rows) }));
        assert_eq!(rows.next().await.unwrap().unwrap().num_rows(), 2);
        assert_eq!(bench.queries.cancel(&bob, &id).unwrap_err().kind, SqlErrorKind::Denied);
        assert!(bench.queries.cancel(by, &id).unwrap());
        // Nobody reads meanwhile.
        dropped.await.unwrap();
        assert_eq!(rows.next().await.unwrap().unwrap_err().kind, SqlErrorKind::Cancelled);
        assert!(rows.next().await.is_none());
        assert!(!bench.queries.cancel(by, &id).unwrap(), "it is over");
    }
    assert_eq!(bench.states(), [QueryState::Cancelled, QueryState::Cancelled]);
    assert_eq!(bench.noted.outcomes(), [("cancelled".to_owned(), 2), ("cancelled".to_owned(), 2)]);
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_the_work() {
    let bench = Bench::new();
    let (rows, dropped) = endless();
    let running = bench.begin("ann", Limits::default()).unwrap();
    let mut rows = Box::pin(forward(running, async { Ok(rows) }));
    rows.next().await.unwrap().unwrap();
    drop(rows);
    dropped.await.unwrap();
    // A statement that is not executed to the end of its planning is one, too.
    drop(bench.begin("bob", Limits::default()).unwrap());
    while bench.states().contains(&QueryState::Running) {
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.states(), [QueryState::Cancelled, QueryState::Cancelled]);
}

#[tokio::test]
async fn what_takes_too_long_ends_though_nobody_reads() {
    let bench = Bench::new();
    let (rows, dropped) = endless();
    let running = bench.begin("ann", Limits { run_seconds: 0, ..Limits::default() }).unwrap();
    let rows = forward(running, async { Ok(rows) });
    // The work is dropped before it began.
    dropped.await.unwrap();
    let (count, error) = collect(rows).await;
    let error = error.unwrap();
    assert_eq!((count, error.kind), (0, SqlErrorKind::TimedOut));
    assert!(error.message.starts_with("the statement took more than 0 s"));
    assert_eq!(bench.noted.outcomes(), [("timed_out".to_owned(), 0)]);
    assert_eq!(bench.states(), [QueryState::Failed]);
}

#[tokio::test]
async fn a_result_that_is_too_large_ends_with_what_was_allowed() {
    let bench = Bench::new();
    let running = bench.begin("ann", Limits { result_bytes: 40, ..Limits::default() }).unwrap();
    let rows: Rows = Box::pin(stream::iter((0..50).map(|_| Ok(batch()))));
    let (count, error) = collect(forward(running, async { Ok(rows) })).await;
    let error = error.unwrap();
    assert_eq!((count, error.kind), (4, SqlErrorKind::Exhausted));
    assert_eq!(error.message, "the result has more than 40 bytes");
    assert_eq!(bench.queries.list()[0].bytes, 32);
}

#[tokio::test]
async fn failures_reach_the_reader_and_a_panic_is_no_end_of_rows() {
    let bench = Bench::new();
    let failed = || SqlError::new(SqlErrorKind::Data, "a bad record");
    let rows: Rows = Box::pin(stream::iter([Ok(batch()), Err(failed())]));
    let running = bench.begin("ann", Limits::default()).unwrap();
    let (count, error) = collect(forward(running, async { Ok(rows) })).await;
    assert_eq!((count, error.unwrap().kind), (2, SqlErrorKind::Data));
    let running = bench.begin("ann", Limits::default()).unwrap();
    let (count, error) = collect(forward(running, async move { Err(failed()) })).await;
    assert_eq!((count, error.unwrap().kind), (0, SqlErrorKind::Data));
    let running = bench.begin("ann", Limits::default()).unwrap();
    let (count, error) = collect(forward(running, async { panic!("a defect") })).await;
    assert_eq!((count, error.unwrap().kind), (0, SqlErrorKind::Internal));
    assert_eq!(bench.states(), [QueryState::Failed; 3]);
}

#[tokio::test]
async fn one_more_than_may_be_at_once_is_refused() {
    let bench = Bench::new();
    let limits = Limits { concurrent_queries: 2, ..Limits::default() };
    let first = bench.begin("ann", limits).unwrap();
    let _second = bench.begin("ann", limits).unwrap();
    let refused = bench.begin("ann", limits).err().unwrap();
    assert_eq!(refused.kind, SqlErrorKind::Exhausted);
    assert!(refused.message.starts_with("2 statements of `ann` are at work"));
    let _other = bench.begin("bob", limits).unwrap();
    let refused = bench.begin("cid", limits).err().unwrap();
    assert!(refused.message.starts_with("3 statements are at work"), "of all users");
    first.end(&Ok(()));
    bench.begin("ann", limits).unwrap().end(&Ok(()));
    let outcomes: Vec<String> = bench.noted.outcomes().into_iter().map(|(outcome, _)| outcome).collect();
    assert_eq!(outcomes, ["refused", "refused", "ok", "ok"]);
}

#[tokio::test]
async fn the_last_thousand_are_told_and_ids_differ() {
    let bench = Bench::new();
    for _ in 0..1001 {
        bench.begin("ann", Limits::default()).unwrap().end(&Ok(()));
    }
    let told = bench.queries.list();
    assert_eq!(told.len(), 1000);
    let ids: std::collections::BTreeSet<String> = told.into_iter().map(|query| query.query_id).collect();
    assert_eq!(ids.len(), 1000);
}
