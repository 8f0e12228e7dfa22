//! Jobs and runs by SQL.

use super::bench::Bench;
use crate::access::Role;
use crate::error::SqlErrorKind;

/// The call of a query job that writes below the allowed folder, or elsewhere.
fn call(bench: &Bench, sql: &str, output: &str, wait: bool) -> String {
    let output = bench.path(output);
    format!("CALL query(sql => '{sql}', output => '{output}', wait => {wait})")
}

#[tokio::test]
async fn a_job_is_run_and_its_report_is_a_row() {
    let bench = Bench::new().await;
    let operator = bench.session(Role::Operator);
    for wait in [true, false] {
        let output = format!("raw/out-{wait}.csv");
        let rows = bench.rows(&operator, &call(&bench, "SELECT 1 AS a", &output, wait)).await.unwrap();
        assert_eq!(rows.len(), 1);
        assert!(rows[0].contains("|query|published|2030-01-01T00:00:00Z|"), "{rows:?}");
        assert_eq!(std::fs::read_to_string(bench.path(&output)).unwrap(), "a\n1\n");
    }
    let cancelled = bench.rows(&operator, "CALL cancel_run('r1')").await.unwrap();
    assert!(cancelled[0].starts_with("r1|query|cancelled|"), "{cancelled:?}");
    assert_eq!(
        bench.rows(&operator, "CALL cancel_run('r9')").await.unwrap_err().kind,
        SqlErrorKind::NotFound
    );
}

#[tokio::test]
async fn a_failed_run_is_an_error_with_its_message() {
    let bench = Bench::new().await;
    let operator = bench.session(Role::Operator);
    let sql = call(&bench, "SELECT nothing", "raw/out.csv", true);
    let error = bench.rows(&operator, &sql).await.unwrap_err();
    assert_eq!(error.kind, SqlErrorKind::Data);
    assert!(error.message.starts_with("the run `r1` has not succeeded: "), "{error}");
    assert_eq!(error.hint.unwrap(), "SELECT * FROM system.runs WHERE run_id = 'r1'");
}

#[tokio::test]
async fn a_job_may_not_touch_places_that_are_not_allowed() {
    let bench = Bench::new().await;
    for role in [Role::Operator, Role::Admin] {
        for output in ["secret/out.csv", "raw/../secret/out.csv"] {
            let error = bench.rows(&bench.session(role), &call(&bench, "SELECT 1 AS a", output, true)).await;
            assert_eq!(error.unwrap_err().kind, SqlErrorKind::Denied);
        }
    }
    assert!(!bench.folder.path().join("secret/out.csv").exists());
}
