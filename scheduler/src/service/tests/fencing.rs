//! Two schedulers on one folder of records, by mistake.

use super::bench::{Bench, in_state, options, over, submit, until};
use crate::service::{RunState, ServiceError};

#[tokio::test]
async fn a_driver_that_was_replaced_stops_and_follows() {
    // Before the commit begins the first one is refused its next step; after, its commit is found.
    for (place, committer) in [("running", 2), ("committing", 2), ("committed", 1), ("publishing", 1)] {
        let bench = Bench::new();
        let first = bench.start().await;
        bench.world.hold("a", 1, place);
        submit(&first, "a").await;
        bench.world.reached("a", 1, place).await;
        let second = bench.start().await;
        let view = over(&second, "a").await;
        assert_eq!((view.state, view.attempt), (RunState::Published, 2), "{place}");
        bench.world.let_go();
        let followed = over(&first, "a").await;
        assert_eq!((followed.state, followed.attempt), (RunState::Published, 2), "{place}");
        assert_eq!(followed.report, view.report);
        assert_eq!(bench.world.table.lock().unwrap()["a"], committer, "{place}");
        assert_eq!(first.metrics().fenced.get(), 1, "{place}");
        assert_eq!(second.metrics().fenced.get(), 0, "{place}");
    }
}

#[tokio::test]
async fn a_run_that_waits_in_both_is_driven_by_one() {
    let mut bench = Bench::new();
    bench.settings.runs_at_once = 1;
    let first = bench.start().await;
    bench.world.hold("a", 1, "running");
    submit(&first, "a").await;
    submit(&first, "b").await;
    bench.world.reached("a", 1, "running").await;
    let second = bench.start().await;
    assert_eq!(over(&second, "b").await.state, RunState::Published);
    bench.world.let_go();
    assert_eq!(over(&first, "b").await.state, RunState::Published);
    let begun = bench.world.begun.lock().unwrap().clone();
    assert_eq!(begun.iter().filter(|(id, ..)| id == "b").count(), 1);
}

#[tokio::test]
async fn another_schedulers_run_can_be_watched_and_cancelled() {
    let bench = Bench::new();
    let first = bench.start().await;
    let second = bench.start().await;
    bench.world.hold("a", 1, "running");
    submit(&first, "a").await;
    bench.world.reached("a", 1, "running").await;
    let seen = in_state(&second, "a", RunState::Running).await;
    assert_eq!(seen.stage.as_deref(), Some("driven by another scheduler"));
    // The same submission through the other scheduler is the same run.
    let again = second.submit("test", options(""), Some("a".into())).await.unwrap();
    assert!(!again.is_new);
    let view = second.cancel("a").await.unwrap();
    assert_eq!(view.state, RunState::Cancelled);
    bench.world.let_go();
    assert_eq!(over(&first, "a").await.state, RunState::Cancelled);
    assert!(bench.world.table.lock().unwrap().is_empty(), "the first one did not commit");
}

#[tokio::test]
async fn another_schedulers_commit_is_not_cancelled() {
    let bench = Bench::new();
    let first = bench.start().await;
    let second = bench.start().await;
    bench.world.hold("a", 1, "committing");
    submit(&first, "a").await;
    bench.world.reached("a", 1, "committing").await;
    let late = second.cancel("a").await.unwrap_err();
    assert!(matches!(late, ServiceError::TooLate { .. }), "{late}");
    bench.world.let_go();
    until(&second, "a", |view| view.state == RunState::Published).await;
    assert_eq!(bench.world.table.lock().unwrap()["a"], 1);
}
