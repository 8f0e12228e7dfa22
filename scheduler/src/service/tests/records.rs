use serde_json::{Map, Value, json};

use super::bench::{Bench, PATIENCE, in_state, options, over, submit};
use crate::service::{RunState, ServiceError};

#[tokio::test]
async fn every_step_is_on_record_before_the_next_one() {
    let mut bench = Bench::new();
    // The mark goes after the last step, which is what is waited for.
    bench.settings.stop_grace = PATIENCE;
    let service = bench.start().await;
    bench.world.hold("a", 1, "running");
    let view = submit(&service, "a").await;
    assert_eq!((view.state, view.attempt), (RunState::Submitted, 0));
    bench.world.reached("a", 1, "running").await;
    let on_disk = |count: usize| bench.records("a").into_iter().skip(count).collect::<Vec<_>>();
    let expected = [("submitted", 0), ("submitted", 1), ("planned", 1), ("running", 1)];
    let expected: Vec<(String, u64)> = expected.map(|(state, attempt)| (state.to_owned(), attempt)).into();
    assert_eq!(on_disk(0), expected);
    bench.world.let_go();
    let view = over(&service, "a").await;
    assert_eq!(view.state, RunState::Published);
    assert_eq!(view.report.unwrap()["rows"], 3);
    assert_eq!((view.tasks_done, view.bytes_done, view.records_done), (4, 100, 3));
    let expected = [("running", 1), ("committed", 1), ("published", 1)];
    let expected: Vec<(String, u64)> = expected.map(|(state, attempt)| (state.to_owned(), attempt)).into();
    assert_eq!(on_disk(4), expected);
    service.stop().await;
    assert_eq!(std::fs::read_dir(bench.path("state/open")).unwrap().count(), 0, "nothing is open");
}

#[tokio::test]
async fn an_id_names_one_run() {
    let bench = Bench::new();
    let service = bench.start().await;
    let first = service.submit("test", options("x"), Some("a".into())).await.unwrap();
    let again = service.submit("test", options("x"), Some("a".into())).await.unwrap();
    assert!(first.is_new && !again.is_new);
    assert_eq!(first.run.submitted_at, again.run.submitted_at);
    let other = service.submit("test", options("y"), Some("a".into())).await.unwrap_err();
    assert!(matches!(other, ServiceError::IdTaken { .. }), "{other}");
    over(&service, "a").await;
    service.stop().await;

    // The same answers after a restart, when the run is only in the store.
    let service = bench.start().await;
    let again = service.submit("test", options("x"), Some("a".into())).await.unwrap();
    assert!(!again.is_new);
    assert_eq!(again.run.state, RunState::Published);
    let other = service.submit("test", options("y"), Some("a".into())).await.unwrap_err();
    assert!(matches!(other, ServiceError::IdTaken { .. }), "{other}");
    assert_eq!(bench.world.begun.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn many_submissions_under_one_id_are_one_run() {
    let bench = Bench::new();
    let service = bench.start().await;
    let submissions = (0..20).map(|_| service.submit("test", options(""), Some("a".into())));
    let submitted = futures::future::try_join_all(submissions).await.unwrap();
    assert_eq!(submitted.iter().filter(|submitted| submitted.is_new).count(), 1);
    over(&service, "a").await;
    assert_eq!(bench.world.begun.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_not_valid_is_not_put_on_record() {
    let bench = Bench::new();
    let service = bench.start().await;
    let unknown = service.submit("none", Map::new(), None).await.unwrap_err();
    assert_eq!(unknown.to_string(), "no job `none`, expected one of test");
    let invalid = service.submit("test", Map::new(), Some("../a".into())).await.unwrap_err();
    assert!(matches!(invalid, ServiceError::InvalidId { .. }), "{invalid}");
    assert!(!bench.path("state/runs").exists());
    let missing = service.get("none").await.unwrap_err();
    assert!(matches!(missing, ServiceError::NotFound { .. }), "{missing}");
}

#[tokio::test]
async fn a_failure_keeps_what_the_job_said() {
    let bench = Bench::new();
    let service = bench.start().await;
    service.submit("test", options("fail"), Some("a".into())).await.unwrap();
    let view = over(&service, "a").await;
    assert_eq!(view.state, RunState::Failed);
    let expected = json!({"kind": "data", "message": "row 7 is broken", "hint": "mend row 7"});
    assert_eq!(serde_json::to_value(view.error.unwrap()).unwrap(), expected);
    assert_eq!(view.report, None::<Value>);
}

#[tokio::test]
async fn a_panic_fails_its_run_and_the_next_one_begins() {
    let mut bench = Bench::new();
    bench.settings.runs_at_once = 1;
    let service = bench.start().await;
    service.submit("test", options("panic"), Some("a".into())).await.unwrap();
    submit(&service, "b").await;
    let view = over(&service, "a").await;
    assert_eq!(view.state, RunState::Failed);
    assert_eq!(view.error.unwrap().message, "the job panicked: division by zero");
    in_state(&service, "b", RunState::Published).await;
}
