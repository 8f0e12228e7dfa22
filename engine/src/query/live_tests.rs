//! Tables of ours in queries: which files a query opens, and that it gets its snapshot's rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::util::pretty::pretty_format_batches;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionContext;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use object_store::memory::InMemory;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use super::LiveTable;
use crate::location::Location;
use crate::rates::RateBooks;
use crate::record::GroupPlan;
use crate::session::{query_session_config, session};
use crate::store::watched::Watched;
use crate::store::{StoreHandle, Stores};
use crate::table::{Column, CommitDraft, DataFile, Table, TableKind, TableSchema, TableSnapshots};

const TASKS: usize = 3;
const ROWS_OF_FILE: i64 = 100;
const ROWS_OF_GROUP: usize = 10;

/// A table in a bucket that notes what is read of it.
struct Lake {
    root: Location,
    /// Where it is written, without a note.
    writing: Stores,
    reading: Stores,
    watched: Watched,
    snapshots: TableSnapshots,
}

impl Lake {
    fn new() -> Self {
        let memory = Arc::new(InMemory::new());
        let root = Location::parse("s3://lake/processed data").unwrap();
        let (writing, reading) = (Stores::new(), Stores::new());
        writing.register(root.place().clone(), StoreHandle::with_multipart(Arc::clone(&memory)));
        let watched = Watched::new(memory);
        let handle = StoreHandle::without_multipart(Arc::new(watched.clone()));
        reading.register(root.place().clone(), handle);
        let snapshots = TableSnapshots::new(reading.clone());
        Self { root, writing, reading, watched, snapshots }
    }

    /// Commits a file of a hundred rows for each of the days, `id` counting from `first`, in place of what the
    /// batch had.
    async fn commit(&self, run: &str, batch: &str, days: &[&str], first: i64) {
        let mut table = Table::open_or_create(&self.writing, &self.root).await.unwrap();
        let staging = table.staging(run);
        let mut files = Vec::new();
        for (day, start) in days.iter().zip((first..).step_by(ROWS_OF_FILE as usize)) {
            let name = format!("part-00000-{run}.zstd.parquet");
            let mut writer = staging.create(TableKind::Main, &format!("dt={day}"), &name).unwrap();
            writer.write(parquet(start).into()).await.unwrap();
            files.push(DataFile {
                file: writer.finish().await.unwrap(),
                rows: ROWS_OF_FILE as u64,
                content_hash: "00".to_owned(),
                source_totals: BTreeMap::new(),
                totals: BTreeMap::new(),
                batch: None,
            });
        }
        let schema = |columns: &[(&str, &str)]| TableSchema {
            columns: columns
                .iter()
                .map(|(name, kind)| Column { name: (*name).to_owned(), hive_type: (*kind).to_owned() })
                .collect(),
            partition_column: Some("dt".to_owned()),
        };
        let draft = CommitDraft {
            run_id: run.to_owned(),
            staging: run.to_owned(),
            batch: batch.to_owned(),
            kind: "normalize".to_owned(),
            committed_at: "2024-06-01T00:00:00Z".parse().unwrap(),
            input_digest: format!("digest of {run}"),
            rules_version: "1".to_owned(),
            schema: schema(&[("id", "bigint"), ("tens", "bigint")]),
            quarantine_schema: schema(&[("reason", "string")]),
            files,
            partitions: BTreeMap::new(),
            quarantine_partitions: BTreeMap::new(),
            ready: Vec::new(),
            retain_superseded_seconds: 0,
            details: serde_json::Value::Null,
        };
        table.commit(draft).await.unwrap();
    }

    /// A session with the table as it is now under the name `t`, its quarantine as `q`.
    async fn session(&self) -> SessionContext {
        let session =
            session(query_session_config(TASKS, Arc::new(RateBooks::default())), &self.reading).unwrap();
        let snapshot = self.snapshots.latest(&self.root).await.unwrap();
        let plan = GroupPlan::per_slot(TASKS);
        for (name, kind) in [("t", TableKind::Main), ("q", TableKind::Quarantine)] {
            let table = LiveTable::open(&snapshot, kind, &plan).await.unwrap();
            session.register_table(name, Arc::new(table)).unwrap();
        }
        self.watched.take();
        session
    }

    /// The partitions whose files were opened since the last time.
    fn opened(&self) -> Vec<String> {
        let partition = |path: String| path.rsplit('/').nth(1).unwrap().to_owned();
        self.watched.take_read(".parquet").into_iter().map(partition).collect()
    }
}

/// A hundred rows in ten row groups: `id` counts from `first`, `tens` is its tenth.
fn parquet(first: i64) -> Vec<u8> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("tens", DataType::Int64, false),
    ]));
    let ids = Int64Array::from_iter_values(first..first + ROWS_OF_FILE);
    let tens = Int64Array::from_iter_values((first..first + ROWS_OF_FILE).map(|id| id / 10));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(ids), Arc::new(tens)]).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(ROWS_OF_GROUP)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

const DAYS: [&str; 5] = ["2024-05-01", "2024-05-02", "2024-05-03", "2024-05-04", "2024-05-05"];

async fn five_days() -> Lake {
    let lake = Lake::new();
    lake.commit("r1", "b1", &DAYS, 0).await;
    lake
}

async fn plan(session: &SessionContext, sql: &str) -> Arc<dyn ExecutionPlan> {
    session.sql(sql).await.unwrap().create_physical_plan().await.unwrap()
}

async fn run(session: &SessionContext, plan: &Arc<dyn ExecutionPlan>) -> Vec<RecordBatch> {
    collect(Arc::clone(plan), session.task_ctx()).await.unwrap()
}

fn numbers(batches: &[RecordBatch]) -> Vec<i64> {
    let columns = batches.iter().map(|batch| batch.column(0).as_primitive::<Int64Type>().values());
    columns.flatten().copied().collect()
}

fn indented(plan: &Arc<dyn ExecutionPlan>) -> String {
    DisplayableExecutionPlan::with_metrics(plan.as_ref()).indent(true).to_string()
}

#[tokio::test]
async fn conditions_on_the_partition_leave_only_its_files() {
    let lake = five_days().await;
    let session = lake.session().await;
    for (condition, days, count) in [
        ("dt = '2024-05-02'", &DAYS[1..2], 100),
        ("dt IN ('2024-05-01', '2024-05-05', '2030-01-01')", &[DAYS[0], DAYS[4]], 200),
        ("dt >= '2024-05-04'", &DAYS[3..], 200),
        ("CAST(dt AS DATE) BETWEEN DATE '2024-05-02' AND DATE '2024-05-03'", &DAYS[1..3], 200),
        ("substr(dt, 9) = '03'", &DAYS[2..3], 100),
        ("dt = '2024-05-02' AND tens >= 15", &DAYS[1..2], 50),
        ("dt = '2031-01-01'", &[], 0),
    ] {
        let plan = plan(&session, &format!("SELECT id FROM t WHERE {condition}")).await;
        let is_of_partition_alone = !condition.contains("tens");
        let text = indented(&plan);
        assert_eq!(!text.contains("FilterExec"), is_of_partition_alone, "{condition}: {text}");
        assert_eq!(lake.opened(), [""; 0], "{condition}: nothing is opened to plan");
        assert_eq!(numbers(&run(&session, &plan).await).len(), count, "{condition}");
        let expected: Vec<String> = days.iter().map(|day| format!("dt={day}")).collect();
        assert_eq!(lake.opened(), expected, "{condition}");
    }
}

#[tokio::test]
async fn a_condition_on_a_partition_that_another_one_leaves_out_does_not_fail() {
    let lake = Lake::new();
    lake.commit("r1", "b1", &["2024-05-01", "unknown"], 0).await;
    let session = lake.session().await;
    let sql = "SELECT id FROM t WHERE dt <> 'unknown' AND CAST(dt AS DATE) = DATE '2024-05-01'";
    assert_eq!(numbers(&run(&session, &plan(&session, sql).await).await).len(), 100);
}

#[tokio::test]
async fn other_conditions_skip_row_groups_by_their_statistics() {
    let lake = five_days().await;
    let session = lake.session().await;
    // 237 is in the third file, in the fourth of its ten row groups.
    let plan = plan(&session, "SELECT id FROM t WHERE id = 237").await;
    assert_eq!(numbers(&run(&session, &plan).await), [237]);
    let text = indented(&plan);
    assert!(text.contains("row_groups_pruned_statistics=50 total → 1 matched"), "{text}");
}

#[tokio::test]
async fn a_limit_opens_no_more_files_than_it_needs() {
    let lake = five_days().await;
    let session = lake.session().await;
    for (sql, count, files) in [
        ("SELECT * FROM t LIMIT 10", 10, 1),
        ("SELECT id FROM t LIMIT 100", 100, 1),
        ("SELECT id FROM t LIMIT 101", 101, 2),
        ("SELECT id FROM t WHERE dt > '2024-05-03' LIMIT 10", 10, 1),
        ("SELECT id FROM t LIMIT 10 OFFSET 95", 10, 2),
        ("SELECT id FROM t LIMIT 1000", 500, 5),
        ("SELECT id FROM t LIMIT 0", 0, 0),
    ] {
        let plan = plan(&session, sql).await;
        let rows: usize = run(&session, &plan).await.iter().map(RecordBatch::num_rows).sum();
        assert_eq!((rows, lake.opened().len()), (count, files), "{sql}");
    }
    // Where a condition is open, nobody knows which files have the rows.
    let plan = plan(&session, "SELECT id FROM t WHERE id >= 450 LIMIT 3").await;
    assert_eq!(numbers(&run(&session, &plan).await).len(), 3);
}

#[tokio::test]
async fn counts_and_the_bounds_of_partitions_come_from_the_log() {
    let lake = five_days().await;
    let session = lake.session().await;
    for (sql, expected) in [
        ("SELECT count(*) AS n FROM t", "500"),
        ("SELECT count(*) AS n FROM t WHERE dt < '2024-05-03'", "200"),
        ("SELECT min(dt) AS n FROM t", "2024-05-01"),
        ("SELECT max(dt) AS n FROM t", "2024-05-05"),
        ("SELECT count(*) AS n FROM (SELECT * FROM t LIMIT 7)", "7"),
        ("SELECT count(*) AS n FROM t WHERE id < 250", "250"),
        ("SELECT count(*) AS n FROM q", "0"),
    ] {
        let plan = plan(&session, sql).await;
        let shown = pretty_format_batches(&run(&session, &plan).await).unwrap().to_string();
        assert!(shown.contains(&format!("| {expected} ")), "{sql}: {shown}");
        let reads = sql.contains("LIMIT") || sql.contains("id <");
        assert_eq!(!lake.opened().is_empty(), reads, "{sql}");
    }
}

#[tokio::test]
async fn a_query_gets_the_rows_of_its_snapshot_whatever_is_committed_meanwhile() {
    let lake = five_days().await;
    let session = lake.session().await;
    let plan = plan(&session, "SELECT id FROM t WHERE dt < '2024-05-04' ORDER BY id").await;
    lake.commit("r2", "b1", &["2024-05-01"], 1000).await;
    assert_eq!(numbers(&run(&session, &plan).await), (0..300).collect::<Vec<_>>());
    let histories = lake.watched.take().into_iter().filter(|request| request.starts_with("list "));
    assert_eq!(histories.count(), 1, "one look finds all files that were moved");

    let newer = lake.session().await;
    let plan = self::plan(&newer, "SELECT id FROM t ORDER BY id").await;
    assert_eq!(numbers(&run(&newer, &plan).await), (1000..1100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_scan_that_travels_finds_its_files_too() {
    let lake = five_days().await;
    let session = lake.session().await;
    let sql = "SELECT id FROM t WHERE dt >= '2024-05-02' AND id < 210";
    let plan = plan(&session, sql).await;
    lake.commit("r2", "b1", &["2024-05-01"], 1000).await;
    let codec = crate::distributed::physical_codec(Arc::new(RateBooks::default()), lake.reading.clone());
    let node = PhysicalPlanNode::try_from_physical_plan(plan, codec.as_ref()).unwrap();
    let mut bytes = Vec::new();
    node.try_encode(&mut bytes).unwrap();
    let read = PhysicalPlanNode::try_decode(&bytes).unwrap();
    let read = read.try_into_physical_plan(&session.task_ctx(), codec.as_ref()).unwrap();
    let mut found = numbers(&run(&session, &read).await);
    found.sort_unstable();
    assert_eq!(found, (100..210).collect::<Vec<_>>());
}

#[tokio::test]
async fn columns_are_asked_of_one_file_once() {
    let lake = five_days().await;
    lake.session().await;
    let snapshot = lake.snapshots.latest(&lake.root).await.unwrap();
    lake.watched.take();
    snapshot.file_columns(TableKind::Main).await.unwrap().unwrap();
    lake.commit("r2", "b2", &["2024-05-01"], 1000).await;
    let newer = lake.snapshots.latest(&lake.root).await.unwrap();
    let columns = newer.file_columns(TableKind::Main).await.unwrap().unwrap();
    assert_eq!(columns.fields().len(), 2);
    assert_eq!(lake.opened(), [""; 0]);
}
