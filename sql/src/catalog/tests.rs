//! Declarations and their keeping, and what opening a table gives.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cambist_engine::location::Location;
use cambist_engine::rates::RateBooks;
use cambist_engine::record::GroupPlan;
use cambist_engine::session::{query_session_config, session};
use cambist_engine::store::Stores;
use cambist_engine::table::{Column, CommitDraft, DataFile, Table, TableKind as LogTable, TableSchema};
use cambist_udfs::rate::{AsOfMode, BookOptions, InstantMicros};
use datafusion::arrow::array::{AsArray, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::parquet::arrow::ArrowWriter;
use tempfile::TempDir;

use super::{Catalog, Opening, TableKind, TableSettings};
use crate::error::{Result, SqlErrorKind};

struct Deployment {
    folder: TempDir,
}

impl Deployment {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn place(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn settings(&self, kind: TableKind, name: &str) -> TableSettings {
        TableSettings {
            url: self.place(name),
            kind,
            format: None,
            encoding: None,
            delimiter: None,
            types: BTreeMap::new(),
        }
    }

    async fn try_start(&self, tables: &[(&str, TableSettings)]) -> Result<Catalog> {
        let tables = tables.iter().map(|(name, settings)| ((*name).to_owned(), settings.clone())).collect();
        Catalog::start(&tables, Stores::new(), &self.place("state")).await
    }

    async fn start(&self, tables: &[(&str, TableSettings)]) -> Catalog {
        self.try_start(tables).await.unwrap()
    }
}

fn opening() -> Opening {
    Opening { groups: GroupPlan::per_slot(2), now: "2030-01-01T00:00:00Z".parse().unwrap() }
}

/// The rows of a table, as text.
async fn shown(catalog: &Catalog, name: &str, sql: &str) -> String {
    let table = catalog.open(name, &opening()).await.unwrap().unwrap();
    let session = session(query_session_config(2, Arc::new(RateBooks::default())), catalog.stores()).unwrap();
    session.register_table("t", table).unwrap();
    let batches = session.sql(sql).await.unwrap().collect().await.unwrap();
    pretty_format_batches(&batches).unwrap().to_string()
}

async fn ids(catalog: &Catalog, name: &str) -> Vec<i64> {
    let table = catalog.open(name, &opening()).await.unwrap().unwrap();
    let session = session(query_session_config(2, Arc::new(RateBooks::default())), catalog.stores()).unwrap();
    session.register_table("t", table).unwrap();
    let batches = session.sql("SELECT id FROM t ORDER BY id").await.unwrap().collect().await.unwrap();
    let columns = batches.iter().map(|batch| batch.column(0).as_primitive::<Int64Type>().values());
    columns.flatten().copied().collect()
}

/// Commits `ids` in place of the batch's rows, and ids below zero to the quarantine.
async fn commit(root: &str, run: &str, committed_at: &str, ids: &[i64]) {
    let root = Location::parse(root).unwrap();
    let mut table = Table::open_or_create(&Stores::new(), &root).await.unwrap();
    let staging = table.staging(run);
    let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]));
    let (aside, kept): (Vec<i64>, Vec<i64>) = ids.iter().partition(|id| **id < 0);
    let mut files = Vec::new();
    for (kind, ids) in [(LogTable::Main, kept), (LogTable::Quarantine, aside)] {
        let rows = ids.len() as u64;
        let column = Arc::new(Int64Array::from(ids));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap();
        let mut parquet = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), None).unwrap();
        parquet.write(&batch).unwrap();
        let mut writer = staging.create(kind, "dt=2024-05-01", &format!("part-{run}.parquet")).unwrap();
        writer.write(parquet.into_inner().unwrap().into()).await.unwrap();
        files.push(DataFile {
            file: writer.finish().await.unwrap(),
            rows,
            content_hash: "00".to_owned(),
            source_totals: BTreeMap::new(),
            totals: BTreeMap::new(),
            batch: None,
        });
    }
    let columns = TableSchema {
        columns: vec![Column { name: "id".to_owned(), hive_type: "bigint".to_owned() }],
        partition_column: Some("dt".to_owned()),
    };
    let draft = CommitDraft {
        run_id: run.to_owned(),
        staging: run.to_owned(),
        batch: "b".to_owned(),
        kind: "normalize".to_owned(),
        committed_at: committed_at.parse().unwrap(),
        input_digest: run.to_owned(),
        rules_version: "1".to_owned(),
        schema: columns.clone(),
        quarantine_schema: columns,
        files,
        partitions: BTreeMap::new(),
        quarantine_partitions: BTreeMap::new(),
        ready: Vec::new(),
        retain_superseded_seconds: 0,
        details: serde_json::Value::Null,
    };
    table.commit(draft).await.unwrap();
}

fn write(path: &str, text: &str) {
    std::fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn rates(day: &str, rate: &str) -> String {
    format!(r#"{{"base": "EUR", "date": "{day}", "rates": {{"USD": {rate}, "INR": 90.5}}}}"#)
}

#[tokio::test]
async fn what_statements_declare_is_kept() {
    let deployment = Deployment::new();
    let own = deployment.settings(TableKind::Rates, "rates");
    let catalog = deployment.start(&[("own", own.clone())]).await;
    let mut csv = deployment.settings(TableKind::Raw, "raw/*.csv");
    csv.types.insert("id".to_owned(), "int64".to_owned());
    catalog.declare("added", csv).await.unwrap();
    catalog.declare("gone", deployment.settings(TableKind::Cambist, "gone")).await.unwrap();
    assert!(catalog.remove("gone").await.unwrap());
    assert!(!catalog.remove("gone").await.unwrap());
    assert!(!catalog.remove("never").await.unwrap());

    let again = deployment.start(&[("own", own.clone())]).await;
    let declared = again.declared();
    let names: Vec<_> = declared.iter().map(|(name, one)| (name.as_str(), one.is_by_statement)).collect();
    assert_eq!(names, [("added", true), ("own", false)]);
    assert_eq!(declared["added"].settings.types["id"], "int64");

    for taken in ["added", "own"] {
        let refused = again.declare(taken, own.clone()).await.unwrap_err();
        assert_eq!(refused.kind, SqlErrorKind::Conflict, "{refused}");
    }
    let refused = again.remove("own").await.unwrap_err();
    assert_eq!(refused.message, "the table `own` is declared in the settings");

    // Another process of the same deployment has declared it meanwhile.
    catalog.declare("raced", own.clone()).await.unwrap();
    assert_eq!(again.declare("raced", own.clone()).await.unwrap_err().kind, SqlErrorKind::Conflict);

    let hidden = deployment.start(&[("added", own.clone())]).await;
    let declared = &hidden.declared()["added"];
    assert_eq!((declared.is_by_statement, declared.settings.kind), (false, TableKind::Rates));
}

#[tokio::test]
async fn a_kept_declaration_that_is_damaged_does_not_stop_the_others() {
    let deployment = Deployment::new();
    let catalog = deployment.start(&[]).await;
    catalog.declare("good", deployment.settings(TableKind::Rates, "rates")).await.unwrap();
    let good = std::fs::read_to_string(deployment.place("state/catalog/good.json")).unwrap();
    write(&deployment.place("state/catalog/half.json"), &good[..good.len() / 2]);
    write(&deployment.place("state/catalog/no name@.json"), &good);
    write(&deployment.place("state/catalog/odd.json"), r#"{"url": "a", "kind": "rates", "format": "csv"}"#);
    let again = deployment.start(&[]).await;
    assert_eq!(again.declared().into_keys().collect::<Vec<_>>(), ["good"]);
}

#[tokio::test]
async fn declarations_that_make_no_sense_are_refused() {
    let deployment = Deployment::new();
    let catalog = deployment.start(&[]).await;
    let cambist = deployment.settings(TableKind::Cambist, "t");
    let raw = deployment.settings(TableKind::Raw, "t");
    for (name, settings, expected) in [
        ("system", cambist.clone(), "`system` is the name of the schema of our own tables"),
        ("../up", cambist.clone(), "`../up` is no name for a table"),
        (
            "t",
            TableSettings { format: Some("csv".to_owned()), ..cambist.clone() },
            "the table `t` is of kind cambist, which has no format",
        ),
        ("t", TableSettings { url: String::new(), ..cambist.clone() }, "tables.t.url: an empty location"),
        (
            "t",
            TableSettings { format: Some("xls".to_owned()), ..raw.clone() },
            "tables.t.format: invalid format `xls`",
        ),
        (
            "t",
            TableSettings { format: Some("cambist".to_owned()), ..raw.clone() },
            "tables.t.format is not one of raw files",
        ),
        (
            "t",
            TableSettings {
                format: Some("csv".to_owned()),
                types: BTreeMap::from([("a".to_owned(), "money".to_owned())]),
                ..raw.clone()
            },
            "tables.t.types.a: unknown column type `money`",
        ),
    ] {
        let refused = catalog.declare(name, settings.clone()).await.unwrap_err();
        assert!(refused.message.starts_with(expected), "{refused}");
        let refused = deployment.try_start(&[(name, settings)]).await.unwrap_err();
        assert!(refused.message.starts_with(expected), "{refused}");
    }
    assert!(catalog.declared().is_empty());
}

#[tokio::test]
async fn a_declaration_that_cannot_be_read_keeps_nobody_from_the_others() {
    let deployment = Deployment::new();
    let settings = deployment.settings(TableKind::Cambist, "t");
    deployment.start(&[]).await.declare("t", settings).await.unwrap();
    write(&deployment.place("state/catalog/broken.json"), "{");
    let catalog = deployment.start(&[]).await;
    assert_eq!(catalog.declared().into_keys().collect::<Vec<_>>(), ["t"]);
}

#[tokio::test]
async fn raw_files_are_read_as_they_are_now() {
    let deployment = Deployment::new();
    write(&deployment.place("raw/1.csv"), "id,amount\n1,1.50\n");
    let mut settings = deployment.settings(TableKind::Raw, "raw");
    settings.format = Some("csv".to_owned());
    settings.types.insert("id".to_owned(), "int64".to_owned());
    let catalog = deployment.start(&[("raw", settings)]).await;
    assert!(catalog.open("other", &opening()).await.unwrap().is_none());
    assert!(catalog.open("other@quarantine", &opening()).await.unwrap().is_none());
    assert_eq!(ids(&catalog, "raw").await, [1]);
    assert_eq!(ids(&catalog, "raw").await, [1]);
    write(&deployment.place("raw/2.csv"), "id,amount\n2,1.50\n");
    assert_eq!(ids(&catalog, "raw").await, [1, 2]);
    // Other columns: what is remembered is of other files.
    write(&deployment.place("raw/1.csv"), "id,amount,note\n1,1.50,x\n");
    write(&deployment.place("raw/2.csv"), "id,amount,note\n2,1.50,y\n");
    let expected = "| x    |\n| y    |";
    let found = shown(&catalog, "raw", "SELECT note FROM t ORDER BY note").await;
    assert!(found.contains(expected), "{found}");
    let refused = catalog.open("raw@quarantine", &opening()).await.unwrap_err();
    assert_eq!(refused.kind, SqlErrorKind::Invalid, "{refused}");
}

#[tokio::test]
async fn tables_have_a_past_and_a_quarantine() {
    let deployment = Deployment::new();
    let catalog = deployment.start(&[("t", deployment.settings(TableKind::Cambist, "lake"))]).await;
    let missing = catalog.open("t", &opening()).await.unwrap_err();
    assert_eq!(missing.kind, SqlErrorKind::NotFound, "{missing}");
    let lake = deployment.place("lake");
    commit(&lake, "r1", "2024-05-01T10:00:00Z", &[1, 2, -1]).await;
    assert_eq!(ids(&catalog, "t").await, [1, 2]);
    commit(&lake, "r2", "2024-05-01T11:00:00Z", &[3, -2]).await;
    for (name, expected) in [
        ("t", vec![3]),
        ("t@quarantine", vec![-2]),
        ("t@2024-05-01T10:30:00Z", vec![1, 2]),
        ("t@2024-05-01T12:30:00+02:00@quarantine", vec![-1]),
        ("t@2024-05-01T11:00:00Z", vec![3]),
    ] {
        assert_eq!(ids(&catalog, name).await, expected, "{name}");
    }
    let early = catalog.open("t@2024-05-01T09:00:00Z", &opening()).await.unwrap_err();
    assert_eq!(early.kind, SqlErrorKind::Invalid);
    assert!(early.message.contains("expected an instant from 2024-05-01T10:00:00Z on"), "{early}");

    let commits = catalog.commits("t", 100, |record| record).await.unwrap();
    let runs: Vec<_> = commits.iter().map(|record| record.run_id.as_str()).collect();
    assert_eq!(runs, ["r2", "r1"]);
    assert_eq!(catalog.commits("u", 1, |record| record).await.unwrap_err().kind, SqlErrorKind::NotFound);
    let options =
        BookOptions { mode: AsOfMode::Date, max_age_days: None, known_as_of: InstantMicros(i64::MAX) };
    let refused = catalog.book("t", &options, Duration::ZERO).await.unwrap_err();
    assert_eq!(refused.message, "the table `t` is of kind cambist, expected rates");
}

#[tokio::test]
async fn rates_are_a_table_and_a_book_that_is_made_once() {
    let deployment = Deployment::new();
    write(&deployment.place("rates/2024-05-01.json"), &rates("2024-05-01", "1.07"));
    let catalog = deployment.start(&[("fx", deployment.settings(TableKind::Rates, "rates"))]).await;
    let sql = "SELECT rate_date, base, rate FROM t WHERE currency = 'USD' ORDER BY rate_date";
    let found = shown(&catalog, "fx", sql).await;
    assert!(found.contains("| 2024-05-01 | EUR  | 1.070000000000000000 |"), "{found}");

    let at = |micros| BookOptions {
        mode: AsOfMode::Date,
        max_age_days: Some(7),
        known_as_of: InstantMicros(micros),
    };
    let now = i64::MAX / 2;
    let hour = Duration::from_secs(3600);
    let book = catalog.book("fx", &at(now), hour).await.unwrap();
    let later = catalog.book("fx", &at(now + 1), hour).await.unwrap();
    assert!(Arc::ptr_eq(&book, &later), "nothing became known in between");
    let other = BookOptions { max_age_days: None, ..at(now) };
    assert!(!Arc::ptr_eq(&book, &catalog.book("fx", &other, hour).await.unwrap()));

    write(&deployment.place("rates/2024-05-02.json"), &rates("2024-05-02", "1.08"));
    let before = catalog.book("fx", &at(now), hour).await.unwrap();
    assert_eq!(before.book.snapshots().len(), 1, "it was listed not long ago");
    let after = catalog.book("fx", &at(now), Duration::ZERO).await.unwrap();
    assert_eq!(after.book.snapshots().len(), 2);
    let same = catalog.book("fx", &at(now), Duration::ZERO).await.unwrap();
    assert!(Arc::ptr_eq(&after, &same), "it was listed, and nothing has changed");

    let early = catalog.open("fx@2000-01-01T00:00:00Z", &opening()).await.unwrap_err();
    assert_eq!(early.kind, SqlErrorKind::Data, "{early}");
}
