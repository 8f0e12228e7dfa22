use super::bench::{Bench, PATIENCE, over, submit};
use crate::service::{RunState, ServiceSettings};

/// Whatever a run was doing when its scheduler died, the next one brings it to its end, once.
#[tokio::test]
async fn a_restart_finishes_what_was_begun() {
    for place in ["planning", "running", "committing", "committed", "publishing"] {
        let bench = Bench::new();
        let service = bench.start().await;
        bench.world.hold("a", 1, place);
        let submitted = submit(&service, "a").await;
        bench.world.reached("a", 1, place).await;
        // Without grace a stop leaves the records as a kill does.
        service.stop().await;
        let before = bench.records("a");
        let service = bench.start().await;
        let view = over(&service, "a").await;
        assert_eq!((view.state, view.attempt), (RunState::Published, 2), "{place}");
        assert_eq!(view.submitted_at, submitted.submitted_at);
        assert_eq!(view.report.unwrap()["rows"], 3);
        let committer = if ["committed", "publishing"].contains(&place) { 1 } else { 2 };
        assert_eq!(bench.world.table.lock().unwrap()["a"], committer, "{place}");
        let begun = bench.world.begun.lock().unwrap().clone();
        assert_eq!(begun.iter().map(|(_, attempt, _)| *attempt).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(begun[0].2, begun[1].2, "what the run takes for now is the same in all attempts");
        let after = bench.records("a");
        assert_eq!(after[..before.len()], before, "no record is ever changed");
        let last = before.last().unwrap();
        assert_eq!(after[before.len()], (last.0.clone(), 2), "the claim keeps the state");
    }
}

#[tokio::test]
async fn waiting_runs_keep_their_order() {
    let mut bench = Bench::new();
    bench.settings.runs_at_once = 1;
    let service = bench.start().await;
    bench.world.hold("z", 1, "running");
    for id in ["z", "y", "x"] {
        submit(&service, id).await;
    }
    bench.world.reached("z", 1, "running").await;
    service.stop().await;
    let service = bench.start().await;
    over(&service, "x").await;
    let begun = bench.world.begun.lock().unwrap().clone();
    assert_eq!(begun.iter().map(|(id, ..)| id.as_str()).collect::<Vec<_>>(), ["z", "z", "y", "x"]);
}

/// Killed between the last record and the marks that lists and starts look at.
#[tokio::test]
async fn marks_that_were_not_made_are_made_up_for() {
    let mut bench = Bench::new();
    // The marks go after the last record, which is what is waited for.
    bench.settings.stop_grace = PATIENCE;
    let service = bench.start().await;
    submit(&service, "a").await;
    over(&service, "a").await;
    service.stop().await;
    std::fs::remove_dir_all(bench.path("state/done")).unwrap();
    std::fs::create_dir_all(bench.path("state/open")).unwrap();
    std::fs::write(bench.path("state/open/a"), "").unwrap();
    std::fs::write(bench.path("state/open/never-written"), "").unwrap();
    let service = bench.start().await;
    assert_eq!(service.get("a").await.unwrap().state, RunState::Published);
    assert_eq!(std::fs::read_dir(bench.path("state/done")).unwrap().count(), 1);
    assert!(!bench.path("state/open/a").exists());
    assert_eq!(bench.world.begun.lock().unwrap().len(), 1, "it is not run again");
}

#[tokio::test]
async fn a_run_that_takes_its_schedulers_down_fails_in_the_end() {
    let mut bench = Bench::new();
    bench.settings = ServiceSettings { attempts_max: 2, ..bench.settings };
    for attempt in 1..=2 {
        let service = bench.start().await;
        bench.world.hold("a", attempt, "running");
        submit(&service, "a").await;
        bench.world.reached("a", attempt, "running").await;
        service.stop().await;
    }
    let service = bench.start().await;
    let view = over(&service, "a").await;
    assert_eq!(view.state, RunState::Failed);
    assert!(view.error.unwrap().message.starts_with("given up after 2 attempts"));
}

/// A damaged record stops its run, and no other.
#[tokio::test]
async fn a_damaged_record_is_left_alone() {
    let bench = Bench::new();
    let service = bench.start().await;
    for id in ["a", "b"] {
        bench.world.hold(id, 1, "running");
        submit(&service, id).await;
        bench.world.reached(id, 1, "running").await;
    }
    service.stop().await;
    std::fs::write(bench.path("state/runs/a/0003.json"), "{").unwrap();
    let service = bench.start().await;
    assert_eq!(over(&service, "b").await.state, RunState::Published);
    assert!(service.get("a").await.unwrap_err().to_string().contains("0003.json"));
}
