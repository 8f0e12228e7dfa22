//! Every role and every kind of statement.

use super::bench::Bench;
use crate::access::Role;
use crate::error::SqlErrorKind;
use crate::prepared::StatementKind;

fn statements(bench: &Bench) -> Vec<(StatementKind, String)> {
    let place = bench.path("raw/sales.csv");
    vec![
        (StatementKind::Select, "SELECT 1".to_owned()),
        (StatementKind::Explain, "EXPLAIN SELECT 1".to_owned()),
        (StatementKind::Show, "SHOW TABLES".to_owned()),
        (StatementKind::Set, "SET cambist.rates = 'usd'".to_owned()),
        (StatementKind::Call, "CALL cancel_run('r1')".to_owned()),
        (
            StatementKind::CreateTable,
            format!("CREATE EXTERNAL TABLE IF NOT EXISTS t STORED AS CSV LOCATION '{place}'"),
        ),
        (StatementKind::DropTable, "DROP TABLE IF EXISTS t".to_owned()),
    ]
}

#[tokio::test]
async fn each_role_may_do_what_its_kind_of_statement_needs() {
    let bench = Bench::new().await;
    bench.normalise("x").await;
    let statements = statements(&bench);
    let kinds: Vec<StatementKind> = statements.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, StatementKind::ALL);
    let allowed = [(Role::Reader, 4), (Role::Operator, 5), (Role::Admin, 7)];
    for (role, allowed) in allowed {
        for (position, (kind, sql)) in statements.iter().enumerate() {
            let prepared = bench.service.prepare(&bench.session(role), sql).await;
            let ended = bench.rows(&bench.session(role), sql).await;
            if position < allowed {
                assert_eq!(prepared.unwrap().kind(), *kind);
                ended.unwrap();
                assert_eq!(bench.noted.last().outcome, "ok", "{role}: {sql}");
            } else {
                let error = prepared.unwrap_err();
                assert_eq!(error.kind, SqlErrorKind::Denied, "{role}: {sql}");
                assert_eq!(error.message, format!("a {role} may not {}", kind.as_str()));
                assert_eq!(ended.unwrap_err().kind, SqlErrorKind::Denied);
                let noted = bench.noted.last();
                assert_eq!((noted.outcome.as_str(), noted.action.as_str()), ("refused", kind.as_str()));
            }
        }
    }
}

/// Who may not do something learns nothing of what it would have met.
#[tokio::test]
async fn the_role_is_looked_at_before_anything_else() {
    let bench = Bench::new().await;
    let reader = bench.session(Role::Reader);
    for sql in [
        "CALL no_such_job(nothing => 1)",
        "CREATE EXTERNAL TABLE t STORED AS NOTHING LOCATION '/etc'",
        "DROP TABLE no_such_table",
    ] {
        assert_eq!(bench.rows(&reader, sql).await.unwrap_err().kind, SqlErrorKind::Denied, "{sql}");
    }
}

#[tokio::test]
async fn the_log_says_who_did_what_and_no_secret() {
    let bench = Bench::new().await;
    bench.read("SELECT * FROM sales").await.unwrap();
    let entry = bench.noted.last();
    assert_eq!(
        (entry.user.as_str(), entry.action.as_str(), entry.outcome.as_str()),
        ("reader", "select", "ok")
    );
    assert_eq!((entry.rows, entry.statement.as_deref()), (3, Some("SELECT * FROM sales")));
    assert!(entry.bytes > 0 && entry.query.is_some());

    let admin = bench.session(Role::Admin);
    for sql in [
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 's3://b/' OPTIONS ('aws.secret_access_key' 'hunter2')",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 's3://id:hunter2@b/x.csv'",
        "CREATE EXTERNAL TABLE t STORED AS CSV OPTIONS ('password' 'hunter2') LOCATON 'x'",
        "SELECT 1 WHERE password = 'hunter2'",
    ] {
        let error = bench.rows(&admin, sql).await.unwrap_err();
        let entry = bench.noted.last();
        assert_eq!(entry.outcome, "refused");
        assert!(!format!("{entry:?} {error:?}").contains("hunter2"), "{entry:?} {error:?}");
    }
    assert!(!format!("{:?}", bench.service.queries()).contains("hunter2"));
}
