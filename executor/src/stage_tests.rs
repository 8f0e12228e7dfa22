//! A task that was cancelled is over, whatever its writer has begun.

use std::sync::Arc;
use std::time::Duration;

use ballista_core::JobId;
use ballista_core::error::BallistaError;
use ballista_core::execution_plans::ShuffleWriterExec;
use ballista_core::execution_plans::sort_shuffle::{SortShuffleConfig, SortShuffleWriterExec};
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::serde::protobuf::ExecutorRegistration;
use ballista_core::serde::scheduler::TaskKey;
use ballista_executor::execution_engine::ExecutionEngine;
use ballista_executor::executor::Executor;
use ballista_executor::metrics::LoggingMetricsCollector;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::{ExecutionPlan, Partitioning};
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::stage::StageEngine;

/// Whoever has not come to an end by then does not end.
const PATIENCE: Duration = Duration::from_secs(60);

const ENDLESS: &str = "SELECT value FROM generate_series(1, 1000000000000000) WHERE value % 2 = 3";
const SHORT: &str = "SELECT value FROM generate_series(1, 10000) WHERE value % 2 = 1";

struct Lab {
    folder: tempfile::TempDir,
    session: SessionContext,
}

impl Lab {
    fn new() -> Self {
        let config = SessionConfig::new().with_target_partitions(1);
        Self { folder: tempfile::tempdir().unwrap(), session: SessionContext::new_with_config(config) }
    }

    fn work_dir(&self) -> String {
        self.folder.path().to_str().unwrap().to_owned()
    }

    fn executor(&self) -> Arc<Executor> {
        Arc::new(Executor::new(
            ExecutorRegistration::default(),
            &self.work_dir(),
            Arc::new(|_| Ok(Arc::new(RuntimeEnv::default()))),
            Arc::new(SessionConfig::new),
            Arc::new(BallistaFunctionRegistry::default()),
            Arc::new(LoggingMetricsCollector::default()),
            1,
            Arc::new(StageEngine::new()),
        ))
    }

    async fn writer(&self, sql: &str, is_sorting: bool) -> Arc<dyn ExecutionPlan> {
        let rows = self.session.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let (job, work_dir) = (JobId::new("job"), self.work_dir());
        if !is_sorting {
            return Arc::new(ShuffleWriterExec::try_new(job, 1, rows, work_dir).unwrap());
        }
        let partitioning = Partitioning::Hash(vec![Arc::new(Column::new("value", 0))], 2);
        let config = SortShuffleConfig::default();
        Arc::new(SortShuffleWriterExec::try_new(job, 1, rows, work_dir, partitioning, config).unwrap())
    }
}

fn key() -> TaskKey {
    TaskKey { job_id: JobId::new("job"), stage_id: 1, task_id: 0 }
}

// One thread, as of an executor with one vcore: the work must give way to the word that it is cancelled.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_work_of_a_cancelled_task_ends() {
    for is_sorting in [false, true] {
        let lab = Lab::new();
        let executor = lab.executor();
        let plan = lab.writer(ENDLESS, is_sorting).await;
        let config = SessionConfig::new();
        let stage = StageEngine::new()
            .create_query_stage_exec(JobId::new("job"), 1, 0, vec![0], plan, &lab.work_dir(), &config)
            .unwrap();
        // Whoever works holds the context.
        let context = lab.session.task_ctx();
        let work = Arc::downgrade(&context);
        let running = {
            let executor = Arc::clone(&executor);
            tokio::spawn(async move { executor.execute_query_stage(key(), stage, context).await })
        };
        let cancelled = async {
            // The context is held by the writer's tasks as well, once they have begun.
            while work.strong_count() < 2 {
                tokio::task::yield_now().await;
            }
            while !executor.cancel_task(JobId::new("job"), 1, 0).await.unwrap() {
                tokio::task::yield_now().await;
            }
            let ended = running.await.unwrap().unwrap_err();
            assert!(matches!(ended, BallistaError::Cancelled), "{ended}");
            while work.strong_count() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, cancelled).await.expect("the work goes on");
    }
}

#[tokio::test]
async fn a_task_that_nobody_cancels_writes_all_its_rows() {
    for is_sorting in [false, true] {
        let lab = Lab::new();
        let plan = lab.writer(SHORT, is_sorting).await;
        let config = SessionConfig::new();
        let stage = StageEngine::new()
            .create_query_stage_exec(JobId::new("job"), 1, 0, vec![0], plan, &lab.work_dir(), &config)
            .unwrap();
        let written = lab.executor().execute_query_stage(key(), stage, lab.session.task_ctx()).await.unwrap();
        assert_eq!(written.iter().map(|part| part.num_rows).sum::<u64>(), 5000);
    }
}
