use std::sync::atomic::Ordering;

use super::bench::{Bench, over, submit};
use crate::service::{RunState, ServiceError};

#[tokio::test]
async fn a_waiting_run_is_cancelled_at_once() {
    let mut bench = Bench::new();
    bench.settings.runs_at_once = 1;
    let service = bench.start().await;
    bench.world.hold("a", 1, "running");
    for id in ["a", "b", "c"] {
        submit(&service, id).await;
    }
    let view = service.cancel("b").await.unwrap();
    assert_eq!((view.state, view.attempt), (RunState::Cancelled, 0));
    assert_eq!(service.cancel("b").await.unwrap().state, RunState::Cancelled, "a second time");
    bench.world.let_go();
    assert_eq!(over(&service, "c").await.state, RunState::Published);
    assert!(bench.world.begun.lock().unwrap().iter().all(|(id, ..)| id != "b"));
}

#[tokio::test]
async fn a_run_at_work_is_dropped_and_the_next_one_begins() {
    let mut bench = Bench::new();
    bench.settings.runs_at_once = 1;
    let service = bench.start().await;
    bench.world.hold("a", 1, "running");
    submit(&service, "a").await;
    submit(&service, "b").await;
    bench.world.reached("a", 1, "running").await;
    assert_eq!(service.cancel("a").await.unwrap().state, RunState::Cancelled);
    assert_eq!(over(&service, "b").await.state, RunState::Published);
    assert_eq!(bench.world.alive.load(Ordering::SeqCst), 0, "the job's future is gone");
    assert_eq!(bench.world.table.lock().unwrap().keys().collect::<Vec<_>>(), ["b"]);
    let states: Vec<String> = bench.records("a").into_iter().map(|(state, _)| state).collect();
    assert_eq!(states, ["submitted", "submitted", "planned", "running", "cancelled"]);
}

#[tokio::test]
async fn a_commit_that_has_begun_is_not_cancelled() {
    let bench = Bench::new();
    let service = bench.start().await;
    for place in ["committing", "committed", "publishing"] {
        bench.world.hold(place, 1, place);
        submit(&service, place).await;
        bench.world.reached(place, 1, place).await;
        let late = service.cancel(place).await.unwrap_err();
        assert!(matches!(late, ServiceError::TooLate { .. }), "{place}: {late}");
        bench.world.let_go();
        assert_eq!(over(&service, place).await.state, RunState::Published);
        assert!(service.cancel(place).await.is_err());
    }
}

/// The commit of the first attempt may stand: only when the second has looked can it be cancelled.
#[tokio::test]
async fn a_commit_of_an_earlier_attempt_is_not_cancelled() {
    let bench = Bench::new();
    let service = bench.start().await;
    bench.world.hold("a", 1, "committed");
    bench.world.hold("a", 2, "planning");
    submit(&service, "a").await;
    bench.world.reached("a", 1, "committed").await;
    service.stop().await;
    let service = bench.start().await;
    bench.world.reached("a", 2, "planning").await;
    let late = service.cancel("a").await.unwrap_err();
    assert!(matches!(late, ServiceError::TooLate { .. }), "{late}");
    bench.world.let_go();
    assert_eq!(over(&service, "a").await.state, RunState::Published);
}
