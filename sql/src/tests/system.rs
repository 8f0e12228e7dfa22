//! Schema `system`, and the past of a table.

use super::bench::Bench;
use crate::access::Role;

#[tokio::test]
async fn every_table_can_be_read_and_has_the_columns_that_metadata_tell() {
    let bench = Bench::new().await;
    bench.normalise("x").await;
    let session = bench.session(Role::Reader);
    for table in bench.service.tables(&session, |_, _| true).await.unwrap() {
        if table.schema != "system" {
            continue;
        }
        let sql = format!("SELECT * FROM system.{}", table.name);
        let prepared = bench.service.prepare(&session, &sql).await.unwrap();
        assert_eq!(prepared.result_schema(), table.columns.as_ref().unwrap(), "{}", table.name);
        let rows = bench.rows(&session, &sql).await.unwrap();
        assert!(!rows.is_empty(), "{}", table.name);
    }
}

#[tokio::test]
async fn snapshots_commits_and_quarantine_tell_of_declared_tables() {
    let bench = Bench::new().await;
    // Nothing lies there yet: it is left out.
    assert_eq!(bench.read("SELECT * FROM system.commits").await.unwrap(), Vec::<String>::new());
    assert_eq!(bench.read("SELECT * FROM system.quarantine").await.unwrap(), Vec::<String>::new());
    bench.normalise("x").await;
    let snapshots = "SELECT \"table\", base, rate_date, currencies FROM system.snapshots ORDER BY rate_date";
    assert_eq!(bench.read(snapshots).await.unwrap(), ["usd|USD|2024-05-01|3", "usd|USD|2024-05-02|3"]);
    let commits =
        "SELECT \"table\", \"commit\", kind, batch, rows_added, rows_quarantined FROM system.commits";
    assert_eq!(bench.read(commits).await.unwrap(), ["normalised|1|normalize|all|3|1"]);
    let quarantine = "SELECT \"table\", reason, raw_record FROM system.quarantine";
    let rows = bench.read(quarantine).await.unwrap();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert!(rows[0].starts_with("normalised|") && rows[0].ends_with("|4,x,USD,2024-05-02"), "{rows:?}");
    let own = "SELECT count(*) FROM table_quarantine('normalised')";
    assert_eq!(bench.read(own).await.unwrap(), ["1"]);
}

#[tokio::test]
async fn a_table_is_read_as_it_is_and_as_it_was() {
    let bench = Bench::new().await;
    bench.normalise("x").await;
    assert_eq!(bench.read("SELECT count(*) FROM normalised").await.unwrap(), ["3"]);
    bench.normalise("99").await;
    assert_eq!(bench.read("SELECT count(*) FROM normalised").await.unwrap(), ["4"]);
    let now = super::bench::NOW;
    let joined = format!(
        "SELECT count(*) FROM normalised AS n, table_at('normalised', '{now}') AS past WHERE n.id = past.id"
    );
    assert_eq!(bench.read(&joined).await.unwrap(), ["4"]);
    let early = "SELECT * FROM table_at('normalised', '2001-01-01T00:00:00Z')";
    bench.read(early).await.unwrap_err();
}

#[tokio::test]
async fn users_see_their_own_queries_and_admins_all() {
    let bench = Bench::new().await;
    bench.read("SELECT 'of a reader'").await.unwrap();
    bench.rows(&bench.session(Role::Operator), "SELECT 'of an operator'").await.unwrap();
    let sql = "SELECT \"user\", state, rows FROM system.queries ORDER BY started_at, query_id";
    assert_eq!(bench.read(sql).await.unwrap(), ["reader|done|1"]);
    let all = bench.rows(&bench.session(Role::Admin), sql).await.unwrap();
    assert_eq!(all, ["reader|done|1", "operator|done|1", "reader|done|1"]);
}

#[tokio::test]
async fn readers_do_not_see_the_places_in_runs() {
    let bench = Bench::new().await;
    bench.normalise("x").await;
    let sql = "SELECT run_id, state, options IS NULL, report IS NULL FROM system.runs";
    assert_eq!(bench.read(sql).await.unwrap(), ["r1|published|true|true"]);
    let operator = bench.session(Role::Operator);
    assert_eq!(bench.rows(&operator, sql).await.unwrap(), ["r1|published|false|false"]);
}
