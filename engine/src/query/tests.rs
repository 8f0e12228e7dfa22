//! The edges of a query: what its tables give, and what its stages let pass.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use datafusion::common::Result;
use datafusion::datasource::physical_plan::FileSource;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::{ExecutionPlan, collect_partitioned};
use datafusion::prelude::SessionContext;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use tempfile::TempDir;

use super::{Broken, RawTable, Screening, end_stages, join_unmatched_once};
use crate::failure::{FailureKind, TaskFailure};
use crate::rates::RateBooks;
use crate::record::{Format, GroupPlan, RecordConfig, RecordSource, infer, plan_groups};
use crate::session::{query_session_config, session};
use crate::store::Stores;

const TASKS: usize = 3;
const UNBOUNDED: usize = usize::MAX;

struct Lab {
    _folder: TempDir,
    session: SessionContext,
    table: Arc<RawTable>,
}

/// Three files of ten records `id,amount`, of which the second and third have a broken one each.
async fn lab(screening: Screening) -> Lab {
    let folder = tempfile::tempdir().unwrap();
    for file in 0..3 {
        let record = |row: i64| match (file, row) {
            (1, 4) => "14,much\n".to_owned(),
            (2, 7) => "27\n".to_owned(),
            _ => format!("{},{}.50\n", file * 10 + row, row),
        };
        let records: String = (0..10).map(record).collect();
        std::fs::write(folder.path().join(format!("{file}.csv")), format!("id,amount\n{records}")).unwrap();
    }
    let stores = Stores::new();
    let mut config = RecordConfig::new(Format::Csv);
    config.types = [("id", "int64"), ("amount", "decimal(9,2)")]
        .map(|(name, column_type)| (name.to_owned(), column_type.parse().unwrap()))
        .into();
    let files = crate::files::list(&stores, folder.path().to_str().unwrap()).await.unwrap();
    let schema = infer(&files.store, &files.objects, &config).await.unwrap();
    let groups = plan_groups(&files.objects, &config, &GroupPlan::per_slot(TASKS));
    let source = RecordSource::new(Arc::new(config), schema);
    assert_eq!(source.file_type(), "csv");
    let store = ObjectStoreUrl::parse(files.root.store_url()).unwrap();
    let table = Arc::new(RawTable::new("t", source, store, groups, screening));
    let session = session(query_session_config(TASKS, Arc::new(RateBooks::default())), &stores).unwrap();
    session.register_table("t", Arc::clone(&table) as _).unwrap();
    Lab { _folder: folder, session, table }
}

impl Lab {
    async fn plan(&self, sql: &str, bytes_max: usize) -> (Arc<dyn ExecutionPlan>, usize) {
        let plan = self.session.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        end_stages(join_unmatched_once(plan).unwrap(), bytes_max).unwrap()
    }

    async fn run(&self, sql: &str, bytes_max: usize) -> Result<Vec<RecordBatch>> {
        let (plan, _) = self.plan(sql, bytes_max).await;
        let batches = collect_partitioned(plan, self.session.task_ctx()).await?;
        Ok(batches.into_iter().flatten().collect())
    }

    async fn numbers(&self, sql: &str) -> Vec<i64> {
        let batches = self.run(sql, UNBOUNDED).await.unwrap();
        let columns = batches.iter().map(|batch| batch.column(0).as_primitive::<Int64Type>().values());
        columns.flatten().copied().collect()
    }
}

fn indented(plan: &Arc<dyn ExecutionPlan>) -> String {
    DisplayableExecutionPlan::new(plan.as_ref()).indent(true).to_string()
}

#[tokio::test]
async fn broken_records_are_refused_whichever_columns_are_read() {
    let lab = lab(Screening::Refuse).await;
    for sql in ["SELECT count(*) FROM t", "SELECT id FROM t", "SELECT sum(amount) FROM t GROUP BY id"] {
        let failure = TaskFailure::of(&lab.run(sql, UNBOUNDED).await.unwrap_err());
        assert_eq!(failure.kind, FailureKind::Data, "{sql}");
        assert!(failure.message.starts_with("table `t` has a broken record: "), "{sql}: {failure}");
    }
}

#[tokio::test]
async fn broken_records_are_left_out_and_counted() {
    let lab = lab(Screening::Skip).await;
    assert_eq!(lab.numbers("SELECT count(*) FROM t").await, [28]);
    let expected: Vec<i64> = (0..30).filter(|id| ![14, 27].contains(id)).collect();
    assert_eq!(lab.numbers("SELECT id FROM t ORDER BY id").await, expected);
    let counting = lab.table.count_broken().unwrap();
    let batches = collect_partitioned(counting, lab.session.task_ctx()).await.unwrap();
    let broken = Broken::of(&batches.into_iter().flatten().collect::<Vec<_>>()).unwrap();
    let first = broken.first.unwrap();
    assert_eq!((broken.count, first.number), (2, Some(5)));
    assert!(first.file.ends_with("/1.csv"), "{}", first.file);
    assert!(first.detail.contains("`much`"), "{}", first.detail);
}

#[tokio::test]
async fn a_join_shuffles_both_its_sides_and_each_stage_has_an_end() {
    let lab = lab(Screening::Skip).await;
    let sql = "SELECT a.id, count(*) AS n FROM t a JOIN t b ON a.id = b.id GROUP BY a.id ORDER BY a.id";
    let (plan, tasks) = lab.plan(sql, 1000).await;
    let text = indented(&plan);
    assert!(text.starts_with("StageEnd: bytes_max=1000\n"), "{text}");
    assert!(text.contains("mode=Partitioned"), "{text}");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let exchanges: Vec<usize> = (0..lines.len())
        .filter(|&line| {
            lines[line].starts_with("RepartitionExec") || lines[line].starts_with("SortPreservingMergeExec")
        })
        .collect();
    assert!(exchanges.len() >= 3, "{text}");
    for line in &exchanges {
        assert_eq!(lines[line + 1], "StageEnd", "{text}");
    }
    assert_eq!(tasks, exchanges.len() * TASKS + 1, "{text}");
    assert_eq!(plan.properties().partitioning.partition_count(), 1);
    assert_eq!(lab.numbers(sql).await, (0..30).filter(|id| ![14, 27].contains(id)).collect::<Vec<i64>>());
}

#[tokio::test]
async fn only_joins_that_keep_track_of_the_build_side_run_in_one_task() {
    let lab = lab(Screening::Skip).await;
    let partitions = async |kind: &str| {
        let sql = format!("SELECT a.id, b.id AS other FROM t a {kind} JOIN t b ON a.amount > b.amount * 3");
        let plan = lab.session.sql(&sql).await.unwrap().create_physical_plan().await.unwrap();
        let text = indented(&plan);
        assert!(text.contains("NestedLoopJoinExec"), "{text}");
        join_unmatched_once(plan).unwrap().properties().partitioning.partition_count()
    };
    assert_eq!(partitions("INNER").await, TASKS);
    assert_eq!(partitions("FULL").await, 1);
    let sided = [partitions("LEFT").await, partitions("RIGHT").await];
    // The planner may change the sides; one of the two then keeps track of the build side.
    assert!(sided.contains(&1), "{sided:?}");
}

// One batch of each side, of which come thousands; with one thread a counting that keeps it lets nobody else in.
#[tokio::test]
async fn a_join_of_many_rows_gives_way_to_others() {
    let lab = lab(Screening::Skip).await;
    let many = "(SELECT value AS n FROM generate_series(1, 5000))";
    for on in ["ON a.n <> b.n", "ON a.n % 1 = b.n % 1"] {
        let sql = format!("SELECT count(*) FROM {many} AS a JOIN {many} AS b {on}");
        let (plan, _) = lab.plan(&sql, UNBOUNDED).await;
        let context = lab.session.task_ctx();
        let counting = tokio::spawn(collect_partitioned(plan, context));
        let mut turns = 0;
        while !counting.is_finished() {
            tokio::task::yield_now().await;
            turns += 1;
        }
        assert_eq!(counting.await.unwrap().unwrap().concat()[0].num_rows(), 1);
        // 25 million rows are 3000 batches, and a hundred are made at a time.
        assert!(turns > 20, "{turns} turns: {on}");
    }
}

#[tokio::test]
async fn a_result_beyond_its_bound_is_refused() {
    let lab = lab(Screening::Skip).await;
    let sql = "SELECT id FROM t";
    assert_eq!(lab.run(sql, 28 * 8).await.unwrap().iter().map(RecordBatch::num_rows).sum::<usize>(), 28);
    let failure = TaskFailure::of(&lab.run(sql, 28 * 8 - 1).await.unwrap_err());
    assert_eq!(failure.kind, FailureKind::Usage);
    assert_eq!(failure.message, "the result has more than 223 bytes");
}

#[tokio::test]
async fn a_failure_says_what_it_is_after_the_way_as_text() {
    let lab = lab(Screening::Skip).await;
    let error = lab.run("SELECT 1 / (id - id) AS n FROM t", UNBOUNDED).await.unwrap_err();
    let failure = TaskFailure::in_text(&format!("Job failed: {error:?}")).unwrap();
    assert_eq!(failure.kind, FailureKind::Data);
    assert!(failure.message.to_lowercase().contains("divide by zero"), "{failure}");
}

#[tokio::test]
async fn a_plan_is_the_same_in_another_process() {
    let lab = lab(Screening::Skip).await;
    let (plan, _) = lab.plan("SELECT id, sum(amount) AS total FROM t GROUP BY id ORDER BY id", 1000).await;
    let counting = lab.table.count_broken().unwrap();
    for plan in [plan, counting] {
        let codec = crate::distributed::physical_codec(Arc::new(RateBooks::default()), Stores::new());
        let node = PhysicalPlanNode::try_from_physical_plan(Arc::clone(&plan), codec.as_ref()).unwrap();
        let mut bytes = Vec::new();
        node.try_encode(&mut bytes).unwrap();
        let read = PhysicalPlanNode::try_decode(&bytes).unwrap();
        let read = read.try_into_physical_plan(&lab.session.task_ctx(), codec.as_ref()).unwrap();
        assert_eq!(indented(&read), indented(&plan));
    }
}
