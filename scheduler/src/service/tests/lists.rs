use super::bench::{Bench, options, over, submit};
use crate::service::{JobService, RunFilter, RunState};

async fn ids(service: &JobService, filter: &RunFilter) -> (Vec<String>, Option<String>) {
    let listed = service.list(filter).await.unwrap();
    (listed.runs.into_iter().map(|run| run.id).collect(), listed.next)
}

#[tokio::test]
async fn lists_go_back_in_time_page_by_page_also_after_a_restart() {
    let bench = Bench::new();
    let service = bench.start().await;
    for id in ["c", "a", "e", "b", "d"] {
        let then = if id == "e" { "fail" } else { "" };
        service.submit("test", options(then), Some(id.to_owned())).await.unwrap();
        over(&service, id).await;
    }
    service.stop().await;
    for service in [bench.start().await, bench.start().await] {
        let page = RunFilter { limit: 2, ..RunFilter::default() };
        let (first, next) = ids(&service, &page).await;
        assert_eq!(first, ["d", "b"]);
        let (second, next) = ids(&service, &RunFilter { after: next, ..page.clone() }).await;
        assert_eq!(second, ["e", "a"]);
        let (third, next) = ids(&service, &RunFilter { after: next, ..page.clone() }).await;
        assert_eq!((third, next), (vec!["c".to_owned()], None));
        let failed = RunFilter { state: Some(RunState::Failed), limit: 9, ..RunFilter::default() };
        assert_eq!(ids(&service, &failed).await.0, ["e"]);
        let none = RunFilter { job: Some("other".into()), limit: 9, ..RunFilter::default() };
        assert!(ids(&service, &none).await.0.is_empty());
        assert!(service.list(&RunFilter { after: Some("x".into()), ..page }).await.is_err());
    }
}

#[tokio::test]
async fn old_runs_leave_memory_but_not_the_store() {
    let mut bench = Bench::new();
    bench.settings.history_max = 2;
    let service = bench.start().await;
    for id in ["a", "b", "c"] {
        submit(&service, id).await;
        over(&service, id).await;
    }
    let all = RunFilter { limit: 9, ..RunFilter::default() };
    // The last one is forgotten by its driver, a moment after its end is known.
    while ids(&service, &all).await.0.len() > 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(ids(&service, &all).await.0, ["c", "b"]);
    let old = service.get("a").await.unwrap();
    assert_eq!((old.state, old.attempt, old.records_done), (RunState::Published, 1, 3));
    assert_eq!(old.report.unwrap()["run_id"], "a");
}
