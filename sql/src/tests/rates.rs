//! Rates in SQL: which are bound, what EXPLAIN tells, and that a cluster gets the same pinned book.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::bench::{Bench, Elsewhere, now};
use crate::access::{Principal, Role};
use crate::error::SqlErrorKind;
use crate::service::SqlService;
use crate::session::{Session, SessionOptions};
use crate::settings::SqlSettings;

const CONVERTED: &str = "SELECT id, fx_convert(amount, currency, day, 'INR') FROM sales ORDER BY id";

#[tokio::test]
async fn functions_use_the_rates_of_the_settings() {
    let bench = Bench::new().await;
    // 10 USD at 80; 20.50 EUR at 80 / 0.5; 7 USD at 90.
    assert_eq!(bench.read(CONVERTED).await.unwrap(), ["1|800.00", "2|3280.00", "3|630.00"]);
}

#[tokio::test]
async fn a_function_in_quotes_has_rates_too() {
    let bench = Bench::new().await;
    let quoted = CONVERTED.replace("fx_convert", "\"fx_convert\"");
    assert_eq!(bench.read(&quoted).await.unwrap(), ["1|800.00", "2|3280.00", "3|630.00"]);
}

#[tokio::test]
async fn the_plan_tells_of_the_rates() {
    let bench = Bench::new().await;
    for analyze in ["", "ANALYZE "] {
        let plan = bench.read(&format!("EXPLAIN {analyze}{CONVERTED}")).await.unwrap();
        let rates = plan.last().unwrap();
        assert!(rates.starts_with("rates|table=usd digest="), "{plan:?}");
        let told = " snapshots=2 mode=date max_age_days=7 known_as_of=2030-01-01T00:00:00Z";
        assert!(rates.ends_with(told), "{rates}");
    }
    // Who may name places is told where they lie; of two instants at which the same was known, one's own.
    let operator = bench.session(Role::Operator);
    bench.rows(&operator, "SET cambist.rates_known_as_of = '2029-02-03T00:00:00Z'").await.unwrap();
    let plan = bench.rows(&operator, &format!("EXPLAIN {CONVERTED}")).await.unwrap();
    let rates = plan.last().unwrap();
    assert!(rates.contains(&format!(" url={} ", bench.path("rates"))), "{rates}");
    assert!(rates.ends_with(" known_as_of=2029-02-03T00:00:00Z"), "{rates}");
    let plan = bench.read("EXPLAIN SELECT * FROM sales").await.unwrap();
    assert!(!plan.iter().any(|row| row.starts_with("rates|")), "{plan:?}");
}

#[tokio::test]
async fn options_of_the_session_change_what_is_bound() {
    let bench = Bench::new().await;
    let session = bench.session(Role::Reader);
    bench.rows(&session, "SET cambist.rates_known_as_of = '2000-01-01T00:00:00Z'").await.unwrap();
    let shown = bench.rows(&session, "SHOW cambist.rates_known_as_of").await.unwrap();
    assert!(
        shown[0].starts_with("cambist.rates_known_as_of|2000-01-01T00:00:00Z|only snapshots"),
        "{shown:?}"
    );
    assert!(bench.rows(&session, CONVERTED).await.is_err(), "nothing was known then");
    bench.rows(&session, "RESET cambist.rates_known_as_of").await.unwrap();
    assert_eq!(bench.rows(&session, CONVERTED).await.unwrap().len(), 3);
    assert_eq!(bench.rows(&session, "SHOW ALL").await.unwrap().len(), 4);

    for (sql, said) in [
        ("SET cambist.rates = 'us'", "cambist.rates is `us`, which is not declared"),
        ("SET cambist.rates = 'sales'", "cambist.rates is `sales`, which holds no rates"),
        ("SET cambist.rates_mode = 'never'", "cambist.rates_mode is `never`, expected `date` or `instant`"),
    ] {
        assert_eq!(bench.rows(&session, sql).await.unwrap_err().message, said);
    }
    assert_eq!(session.options(), SessionOptions::default(), "what is refused is not set");

    let options = SessionOptions { rates_max_age_days: Some(-1), ..SessionOptions::default() };
    let once = Arc::new(Session::of_request(Principal::new("ann", Role::Reader), options));
    assert!(bench.rows(&once, CONVERTED).await.unwrap_err().message.contains("expected days from 0"));
    let error = bench.rows(&once, "SET cambist.rates = 'usd'").await.unwrap_err();
    assert!(error.message.contains("no session that lasts"), "{error}");
}

#[tokio::test]
async fn without_rates_the_functions_that_need_some_say_what_to_do() {
    let bench = Bench::with(|settings| settings.rates.default = None, Arc::new(Elsewhere::default())).await;
    let error = bench.read(CONVERTED).await.unwrap_err();
    assert_eq!(error.kind, SqlErrorKind::Invalid);
    assert_eq!(error.message, "fx_convert needs rates, and neither the session nor the settings name any");
    assert_eq!(error.hint.unwrap(), "SET cambist.rates = 'usd'; the tables of rates are `usd`");
    assert_eq!(bench.read("SELECT currency_minor_units('JPY')").await.unwrap(), ["0"]);
}

#[tokio::test]
async fn rates_are_pinned_once_where_plans_run_elsewhere() {
    let elsewhere = Arc::new(Elsewhere::default());
    let bench = Bench::with(|_| {}, Arc::clone(&elsewhere) as _).await;
    for _ in 0..3 {
        assert_eq!(bench.read(CONVERTED).await.unwrap(), ["1|800.00", "2|3280.00", "3|630.00"]);
    }
    assert_eq!(elsewhere.ran(), 3);
    let found = pinned(&bench);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].ends_with("rates.json.zst"));
}

fn pinned(bench: &Bench) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![bench.folder.path().join("state/rates")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}

#[tokio::test]
async fn what_killed_processes_have_pinned_goes_at_the_next_start() {
    let bench = Bench::with(|_| {}, Arc::new(Elsewhere::default())).await;
    bench.read(CONVERTED).await.unwrap();
    let [kept] = &pinned(&bench)[..] else { panic!("{:?}", pinned(&bench)) };
    let text = kept.to_str().unwrap();
    let of_now = format!("-{:x}-", now().as_microsecond());
    assert!(text.contains(&of_now), "{text}");
    let days_ago = |days: i64| now() - jiff::SignedDuration::from_hours(24 * days);
    let earlier =
        |days: i64| PathBuf::from(text.replace(&of_now, &format!("-{:x}-", days_ago(days).as_microsecond())));
    for days in [1, 3] {
        std::fs::create_dir_all(earlier(days).parent().unwrap()).unwrap();
        std::fs::copy(kept, earlier(days)).unwrap();
    }
    SqlService::start(SqlSettings::default(), bench.service.environment().clone()).await.unwrap();
    // A statement of an hour may have begun one day ago, and what is a day older than that is nobody's.
    assert_eq!(BTreeSet::from_iter(pinned(&bench)), BTreeSet::from([kept.clone(), earlier(1)]));
}
