//! Attempts at a run: whatever driver died before it, an attempt neither conflicts with itself nor changes
//! what was created.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use cambist_engine::execution::{Execution, ExecutionError, InProcess};
use cambist_engine::progress::RunProgress;
use cambist_engine::store::Stores;
use datafusion::arrow::array::RecordBatch;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use serde_json::json;

use super::{QueryConfig, QueryReport, QuerySpec, QueryStatus, query};
use crate::context::{RunContext, RunObserver, RunPhase, Unobserved};
use crate::error::{ErrorKind, JobError, Result};

/// What a second attempt would find otherwise.
const UNSTABLE: &str = "SELECT random() AS number, x FROM (VALUES (1), (2), (3)) AS t(x)";

/// Runs in this process what believes that it runs elsewhere.
#[derive(Debug)]
struct Elsewhere;

#[async_trait]
impl Execution for Elsewhere {
    async fn slots(&self) -> Result<usize, ExecutionError> {
        Ok(2)
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
        InProcess { cores: 2 }.collect(name, plan, session, progress).await
    }
}

/// A driver that does not live to see the end of a phase.
#[derive(Debug)]
struct DiesAt(fn(RunPhase) -> bool);

#[async_trait]
impl RunObserver for DiesAt {
    async fn reached(&self, phase: RunPhase) -> Result<()> {
        if (self.0)(phase) {
            return Err(JobError::new(ErrorKind::Infrastructure, "the driver died"));
        }
        Ok(())
    }
}

async fn attempt(
    output: &Path,
    run_id: &str,
    attempt: u32,
    observer: Arc<dyn RunObserver>,
) -> Result<QueryReport> {
    let spec = json!({"query": {"sql": UNSTABLE}, "output": {"url": output.to_str().unwrap()}});
    let spec: QuerySpec = serde_json::from_value(spec).unwrap();
    let context = RunContext {
        run_id: run_id.to_owned(),
        attempt,
        now: jiff::Timestamp::UNIX_EPOCH,
        stores: Stores::new(),
        execution: Arc::new(Elsewhere),
        progress: RunProgress::default(),
        observer,
    };
    query(&QueryConfig::try_from(spec).unwrap(), &context).await
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn an_attempt_takes_over_the_file_of_one_that_died_after_it() {
    for name in ["r.csv", "r.ndjson", "r.parquet"] {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join(name);
        let dies = Arc::new(DiesAt(|phase| matches!(phase, RunPhase::Committed { .. })));
        attempt(&output, "r1", 1, dies).await.unwrap_err();
        let created = std::fs::read(&output).unwrap();
        assert_eq!(names(folder.path()), ["_query", name]);
        // A third finds what the first has left, though the second left nothing.
        let report = attempt(&output, "r1", 3, Arc::new(Unobserved)).await.unwrap();
        assert_eq!((report.status, report.rows), (QueryStatus::Committed, 3));
        assert_eq!(report.bytes, created.len() as u64);
        assert_eq!(std::fs::read(&output).unwrap(), created);
        assert_eq!(names(folder.path()), [name]);
    }
}

#[tokio::test]
async fn an_attempt_begins_anew_after_one_that_died_before_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("r.csv");
    let dies = Arc::new(DiesAt(|phase| phase == RunPhase::Executed));
    attempt(&output, "r1", 1, dies).await.unwrap_err();
    assert_eq!(names(folder.path()), ["_query"]);
    let report = attempt(&output, "r1", 2, Arc::new(Unobserved)).await.unwrap();
    assert_eq!((report.status, report.rows), (QueryStatus::Committed, 3));
    assert_eq!(names(folder.path()), ["r.csv"]);
}

#[tokio::test]
async fn another_run_does_not_take_a_file_for_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("r.csv");
    attempt(&output, "r1", 1, Arc::new(Unobserved)).await.unwrap();
    let created = std::fs::read(&output).unwrap();
    for number in 1..3 {
        let refused = attempt(&output, "r2", number, Arc::new(Unobserved)).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Conflict);
    }
    assert_eq!(std::fs::read(&output).unwrap(), created);
    assert_eq!(names(folder.path()), ["r.csv"]);
}
