use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use cambist_engine::execution::{Execution, ExecutionError};
use cambist_engine::table::TableKind;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::context::{RunContext, Unobserved};
use crate::error::{ErrorKind, JobError, Result};
use crate::registry::Job;
use crate::sql_file::{SqlFileJob, SqlJobReport, SqlJobStatus};
use crate::table_reader::TableReader;
use crate::{InProcess, RunProgress, Stores};

const BY_DAY: &str = "SELECT day AS dt, currency, count(*) AS sales, sum(amount) AS amount
    FROM sales WHERE day >= $since GROUP BY day, currency";
const EACH: &str = "SELECT day AS dt, currency AS \"Currency\", amount FROM sales WHERE day >= $since";

/// Runs plans in this process as a cluster does: tasks may run again, and share objects only.
#[derive(Debug)]
struct LikeACluster(InProcess);

#[async_trait]
impl Execution for LikeACluster {
    async fn slots(&self) -> Result<usize, ExecutionError> {
        self.0.slots().await
    }

    fn is_remote(&self) -> bool {
        true
    }

    async fn collect(
        &self,
        name: &str,
        plan: Arc<dyn ExecutionPlan>,
        session: &SessionContext,
        progress: &RunProgress,
    ) -> Result<Vec<RecordBatch>, ExecutionError> {
        self.0.collect(name, plan, session, progress).await
    }
}

/// Sales in two files.
struct Scene(TempDir);

impl Scene {
    fn new() -> Self {
        let scene = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(scene.0.path().join("sales")).unwrap();
        scene.write("a", "2024-05-01,EUR,1.10\n2024-05-01,EUR,2.20\n2024-05-02,EUR,3.30\n");
        scene.write("b", "2024-05-01,GBP,4.00\n2024-05-03,EUR,5.05\n");
        scene
    }

    fn write(&self, name: &str, rows: &str) {
        let text = format!("day,currency,amount\n{rows}");
        std::fs::write(self.0.path().join(format!("sales/{name}.csv")), text).unwrap();
    }

    fn job(&self, sql: &str) -> SqlFileJob {
        self.job_with("", sql)
    }

    fn job_with(&self, parameters: &str, sql: &str) -> SqlFileJob {
        let text = format!(
            "/*---\n[parameters.since]\ntype = \"date\"\n{parameters}[tables.sales]\nurl = \"sales\"\nformat = \"csv\"\n\
             [tables.sales.types]\nday = \"date\"\namount = \"decimal(18,2)\"\n\
             [output]\nurl = \"totals\"\npartition_by = \"dt\"\n---*/\n{sql}"
        );
        SqlFileJob::from_text(&text, "by_day", self.0.path()).unwrap()
    }

    async fn run_as(&self, run: &str, sql: &str, options: Value, is_remote: bool) -> Result<SqlJobReport> {
        self.run_job(&self.job(sql), run, options, is_remote).await
    }

    async fn run_job(
        &self,
        job: &SqlFileJob,
        run: &str,
        options: Value,
        is_remote: bool,
    ) -> Result<SqlJobReport> {
        let here = InProcess { cores: 2 };
        let execution: Arc<dyn Execution> =
            if is_remote { Arc::new(LikeACluster(here)) } else { Arc::new(here) };
        let context = RunContext {
            run_id: run.to_owned(),
            attempt: 1,
            now: "2024-06-01T00:00:00Z".parse().unwrap(),
            stores: Stores::new(),
            execution,
            progress: RunProgress::default(),
            observer: Arc::new(Unobserved),
        };
        let report = job.prepare(options)?.run(&context).await?;
        Ok(serde_json::from_value(report).unwrap())
    }

    async fn run(&self, run: &str, sql: &str, since: &str) -> Result<SqlJobReport> {
        self.run_as(run, sql, json!({"since": since}), false).await
    }

    /// The rows of each partition.
    async fn rows(&self) -> BTreeMap<String, u64> {
        let totals = self.0.path().join("totals");
        let table = TableReader::open(&Stores::new(), totals.to_str().unwrap()).await.unwrap();
        let mut rows = BTreeMap::new();
        for file in table.live_files(TableKind::Main) {
            *rows.entry(file.partition().to_owned()).or_default() += file.rows;
        }
        rows
    }
}

fn partitions(rows: &[(&str, u64)]) -> BTreeMap<String, u64> {
    rows.iter().map(|(partition, rows)| ((*partition).to_owned(), *rows)).collect()
}

#[tokio::test]
async fn a_run_is_done_once_and_replaces_its_own_batch() {
    let scene = Scene::new();
    let first = scene.run("r1", BY_DAY, "2024-05-01").await.unwrap();
    assert_eq!((first.status, first.rows, first.partitions), (SqlJobStatus::Committed, 4, 3));
    assert_eq!(first.batch, "by_day/since=2024-05-01");
    let all = partitions(&[("dt=2024-05-01", 2), ("dt=2024-05-02", 1), ("dt=2024-05-03", 1)]);
    assert_eq!(scene.rows().await, all);

    let again = scene.run("r2", BY_DAY, "2024-05-01").await.unwrap();
    assert_eq!((again.status, again.run_id.as_str()), (SqlJobStatus::AlreadyDone, "r1"));
    // The same run, after its answer was lost.
    assert_eq!(scene.run("r1", BY_DAY, "2024-05-01").await.unwrap().status, SqlJobStatus::Committed);

    let other = scene.run("r3", BY_DAY, "2024-05-03").await.unwrap();
    assert_eq!((other.status, other.rows, other.superseded_files), (SqlJobStatus::Committed, 1, 0));

    scene.write("b", "2024-05-02,GBP,4.00\n");
    let changed = scene.run("r4", BY_DAY, "2024-05-01").await.unwrap();
    assert_eq!((changed.status, changed.superseded_files), (SqlJobStatus::Committed, first.files));
    let all = partitions(&[("dt=2024-05-01", 1), ("dt=2024-05-02", 2), ("dt=2024-05-03", 1)]);
    assert_eq!(scene.rows().await, all);
}

#[tokio::test]
async fn every_way_of_writing_gives_the_same_rows() {
    for (sql, rows) in [(BY_DAY, 4), (EACH, 5)] {
        let scene = Scene::new();
        let mut hashes = Vec::new();
        for is_remote in [false, true] {
            let output = scene.0.path().join(format!("out-{is_remote}"));
            let options = json!({"since": "2024-05-01", "output": {"url": output}});
            let report = scene.run_as("r1", sql, options, is_remote).await.unwrap();
            assert_eq!(report.rows, rows, "{sql}");
            hashes.push(report.content_hash);
        }
        assert_eq!(hashes[0], hashes[1], "{sql}");
    }
}

#[tokio::test]
async fn nothing_is_a_result_too() {
    for is_remote in [false, true] {
        for sql in [BY_DAY, EACH] {
            let scene = Scene::new();
            let report = scene.run_as("r1", sql, json!({"since": "2025-01-01"}), is_remote).await.unwrap();
            assert_eq!((report.status, report.rows, report.files), (SqlJobStatus::Committed, 0, 0));
        }
    }
}

async fn refused(scene: &Scene, sql: &str, kind: ErrorKind) -> JobError {
    let error = scene.run("r1", sql, "2024-05-01").await.unwrap_err();
    assert_eq!(error.kind, kind, "{sql}: {error}");
    error
}

#[tokio::test]
async fn what_cannot_be_written_is_refused_by_name() {
    let scene = Scene::new();
    for (sql, expected) in [
        (
            "SELECT currency FROM sales",
            "the result has no column `dt`, which output.partition_by names; it has currency",
        ),
        ("SELECT day AS dt, count(*) FROM sales GROUP BY day", "name it with AS"),
        ("SELECT day AS dt, 1 AS n, 2 AS \"N\" FROM sales", "two columns of the result are called `n`"),
        (
            "SELECT 5 AS dt FROM sales",
            "the column `dt` that the table is partitioned by is of type Int64, expected a date",
        ),
        ("SELECT day AS dt, [amount] AS amounts FROM sales", "cannot be written: select its parts"),
        ("SELECT day AS dt, price FROM sales", "the SELECT cannot be planned: "),
    ] {
        let error = refused(&scene, sql, ErrorKind::Usage).await.to_string();
        assert!(error.contains(expected), "{sql}: {error}");
    }
    let error = refused(&scene, "SELECT CAST(NULL AS DATE) AS dt, amount FROM sales", ErrorKind::Data).await;
    assert!(error.to_string().contains("`dt` is NULL in"), "{error}");
}

#[tokio::test]
async fn a_broken_record_fails_the_run_with_its_place() {
    let scene = Scene::new();
    scene.write("b", "2024-05-01,GBP,4.00\n2024-05-01,GBP,much\n");
    for sql in [BY_DAY, EACH] {
        let error = refused(&scene, sql, ErrorKind::Data).await.to_string();
        assert!(error.starts_with("1 broken records: 1 in table `sales`, the first in `"), "{error}");
        assert!(error.contains("b.csv`, record "), "{error}");
    }
    assert!(!scene.0.path().join("totals/dt=2024-05-01").exists());
}

#[tokio::test]
async fn a_job_does_not_read_what_it_writes() {
    let scene = Scene::new();
    let options = json!({"since": "2024-05-01", "output": {"url": scene.0.path().join("sales")}});
    let error = scene.run_as("r1", EACH, options, false).await.unwrap_err();
    assert!(error.to_string().contains("is also tables.sales, expected another folder"), "{error}");
    let options = json!({"since": "2024-05-01", "output": {"url": scene.0.path().join("sales/out")}});
    let error = scene.run_as("r1", EACH, options, false).await.unwrap_err();
    assert!(error.to_string().contains("would be read as tables.sales, which is `"), "{error}");
    assert!(!scene.0.path().join("sales/out").exists());
}

/// Rows that were written under the name of other parameters would stay, and be there twice.
#[tokio::test]
async fn a_job_with_other_parameters_does_not_write_beside_its_former_self() {
    let scene = Scene::new();
    scene.run("r1", EACH, "2024-05-01").await.unwrap();
    let before = scene.rows().await;
    let with = |batch: Value| json!({"since": "2024-05-01", "run": batch});
    let run = async |id: &str, options: Value| {
        let job = scene.job_with("[parameters.least]\ntype = \"int64\"\ndefault = 1\n", EACH);
        scene.run_job(&job, id, options, false).await
    };
    let error = run("r2", with(json!({}))).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Usage);
    let text = error.to_string();
    assert!(text.starts_with("the batch `by_day/since=2024-05-01` of `"), "{text}");
    assert!(text.contains("other parameters, `since`, than the job has now, `least`, `since`"), "{text}");
    let replaced = run("r3", with(json!({"batch": "by_day/since=2024-05-01"}))).await.unwrap();
    assert_eq!(replaced.status, SqlJobStatus::Committed);
    assert_eq!(scene.rows().await, before);
    // All that was named by the old parameters is replaced: nothing is in the way any more.
    run("r4", json!({"since": "2025-01-01"})).await.unwrap();
}
