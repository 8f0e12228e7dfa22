//! Whatever a task fails with, it says so in a form that the driver understands.

use futures::FutureExt;

use super::*;
use crate::execution::{Execution, ExecutionError, InProcess};
use crate::failure::{FailureKind, TaskFailure};
use crate::progress::RunProgress;

async fn failing(what: fn() -> Result<()>) -> (Scene, DataFusionError) {
    let scene = Scene::on_disk();
    scene.write("a.csv", 10);
    let plan = scene.converted(scene.groups(1).await).await;
    let plan = Happens::above(plan, move || async move { what() }.boxed());
    let failed = run(&scene.writer(plan, true), 0).await.unwrap_err();
    (scene, failed)
}

fn is_retried(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::IoError(_))
}

#[tokio::test]
async fn a_panic_is_told_and_tried_again() {
    let (scene, error) = failing(|| panic!("no such luck")).await;
    assert!(is_retried(&error));
    let failure = TaskFailure::in_text(&format!("{error:?}")).unwrap();
    assert_eq!(failure.kind, FailureKind::Panic);
    assert_eq!(failure.message, "a task panicked: no such luck");
    // The next attempt is not in the way of the first.
    let plan = scene.converted(scene.groups(1).await).await;
    assert_eq!(manifest(&scene.writer(plan, true), 0).await.counts.records_in, 10);
}

#[tokio::test]
async fn every_kind_of_error_leaves_classified() {
    type Case = (fn() -> Result<()>, FailureKind, bool);
    let cases: [Case; 4] = [
        (|| Err(DataFusionError::IoError(std::io::Error::other("reset"))), FailureKind::Transient, true),
        (|| Err(std::io::Error::from(std::io::ErrorKind::StorageFull).into()), FailureKind::Resources, true),
        (|| Err(DataFusionError::Execution("division by zero".to_owned())), FailureKind::Data, false),
        (|| Err(DataFusionError::Internal("odd".to_owned())), FailureKind::Internal, false),
    ];
    for (what, kind, retried) in cases {
        let (_scene, error) = failing(what).await;
        let failure = TaskFailure::in_text(&error.to_string()).unwrap();
        assert_eq!((failure.kind, is_retried(&error)), (kind, retried), "{error}");
    }
}

#[tokio::test]
async fn a_failed_task_takes_back_what_it_had_staged() {
    for scene in [Scene::on_disk(), Scene::in_memory()] {
        scene.write("a.csv", 20_000);
        let plan = scene.converted(scene.groups(1).await).await;
        let files = FailsAtEnd::above(plan);
        let mut spec = (**scene.writer(Arc::clone(&files), true).spec()).clone();
        // Every batch is written at once, and most files are finished before the end.
        spec.limits = WriterLimits { buffer_bytes: 1, file_bytes: 1, open_files: 1 };
        let writer = Arc::new(PartitionWriter::new(files, Arc::new(spec), scene.staging()));
        let failed = run(&writer, 0).await.unwrap_err();
        assert_eq!(TaskFailure::of(&failed).kind, FailureKind::Transient);
        let left: Vec<_> = scene.staged().await.into_iter().filter(|path| path.starts_with("dt=")).collect();
        assert_eq!(left, Vec::<String>::new());
    }
}

#[tokio::test]
async fn in_process_a_failure_keeps_its_kind_and_a_run_its_progress() {
    let scene = Scene::on_disk();
    scene.write("a.csv", 80_000);
    let groups = scene.groups(2).await;
    let books = Arc::new(RateBooks::default());
    books.add(&RateBookRef::of("book", &book()), book());
    let session = crate::session::session(session_config(2, books), &Stores::new()).unwrap();
    let progress = RunProgress::default();
    let executor = InProcess { cores: 2 };
    let plan = scene.writer(scene.converted(groups.clone()).await, false);
    let rows = executor.collect("run", plan.clone(), &session, &progress).await.unwrap();
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
    let counts = progress.counts();
    assert_eq!((counts.tasks_done, counts.records_done), (2, 80_000));

    let metrics = plan.metrics().unwrap();
    let bytes = scene.files().await[0].size as usize;
    assert_eq!(metrics.sum_by_name(RECORDS_IN).unwrap().as_usize(), 80_000);
    assert_eq!(metrics.sum_by_name(BYTES_IN).unwrap().as_usize(), bytes);
    let gate = plan.children()[0].children()[0].metrics().unwrap();
    assert_eq!(gate.output_rows(), Some(80_000));
    assert_eq!(gate.sum_by_name("bytes_scanned").unwrap().as_usize(), bytes);

    let broken = Happens::above(scene.converted(groups).await, || async { panic!("oh") }.boxed());
    let failed = executor.collect("run", scene.writer(broken, false), &session, &progress).await;
    let Err(ExecutionError::Task(failure)) = failed else { panic!("expected a failed task") };
    assert_eq!(
        failure,
        TaskFailure {
            hint: failure.hint.clone(),
            ..TaskFailure::new(FailureKind::Panic, "a task panicked: oh")
        }
    );
}

/// Yields all rows, then an I/O error.
#[derive(Debug)]
struct FailsAtEnd {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl FailsAtEnd {
    fn above(input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { properties: properties_over(&input, input.schema()), input })
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self { input, properties: Arc::clone(&self.properties) })
    }
}

impl DisplayAs for FailsAtEnd {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FailsAtEnd")
    }
}

impl ExecutionPlan for FailsAtEnd {
    single_child_plan!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let end = stream::once(async { Err(DataFusionError::IoError(std::io::Error::other("reset"))) });
        let rows = self.input.execute(partition, context)?.chain(end).boxed();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}
