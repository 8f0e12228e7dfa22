//! The registered job itself, run by the service in this process.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::bench::{Bench, over};
use crate::service::{JobService, RunState, ServiceError};

fn demo(bench: &Bench) -> Map<String, Value> {
    let package = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let data = Path::new(&package).join("../cli/demo").canonicalize().unwrap();
    // Rates are received when their file is written: none are known before that.
    let rates = std::fs::metadata(data.join("ecb_2025.csv")).unwrap();
    bench.set_clock_after(rates.modified().unwrap());
    let options = json!({
        "source": {"url": data.join("transactions.csv"), "format": "csv", "time_zone": "Europe/Berlin"},
        "rates": {"url": data.join("ecb_2025.csv")},
        "target": {"currencies": ["EUR", "USD", "JPY"]},
        "output": {"url": bench.path("table")},
        "quality": {"max_quarantine_ratio": 0.05},
    });
    options.as_object().unwrap().clone()
}

async fn start(bench: &Bench) -> JobService {
    let execution = Arc::clone(&bench.execution);
    JobService::start(bench.settings.clone(), bench.stores.clone(), execution, bench.clock()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_is_converted_once_however_often_it_is_submitted() {
    let bench = Bench::new();
    let service = start(&bench).await;
    let first = service.submit("normalize", demo(&bench), Some("a".into())).await.unwrap();
    assert!(first.is_new);
    let view = over(&service, "a").await;
    assert_eq!(view.state, RunState::Published, "{:?}", view.error);
    let report = view.report.unwrap();
    assert_eq!(report["status"], "committed");
    assert_eq!(report["run_id"], "a");
    assert_eq!(report["records_in"], 2015);
    assert!(view.bytes_total > 0 && view.records_done == 2015, "{} {}", view.bytes_total, view.records_done);
    let states: Vec<String> = bench.records("a").into_iter().map(|(state, _)| state).collect();
    assert!(states.contains(&"committed".to_owned()), "{states:?}");

    service.submit("normalize", demo(&bench), Some("b".into())).await.unwrap();
    let again = over(&service, "b").await.report.unwrap();
    assert_eq!(again["status"], "already_done");
    assert_eq!(again["totals"], report["totals"]);
    service.stop().await;
}

#[tokio::test]
async fn options_are_checked_before_a_run_is_put_on_record() {
    let bench = Bench::new();
    let service = start(&bench).await;
    let mut options = demo(&bench);
    options.insert("sauce".to_owned(), json!({}));
    let refused = service.submit("normalize", options, None).await.unwrap_err();
    assert!(matches!(refused, ServiceError::Invalid(_)), "{refused}");
    assert!(refused.to_string().contains("`sauce`") && refused.to_string().contains("`source`"), "{refused}");
    let unknown = service.submit("normalise", demo(&bench), None).await.unwrap_err();
    assert!(unknown.to_string().contains("normalize"), "{unknown}");
}
