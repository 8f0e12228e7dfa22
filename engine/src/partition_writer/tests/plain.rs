//! Rows that are no conversion: no targets, tasks known by their places.

use arrow::array::{Int32Array, Int64Array};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::memory::MemorySourceConfig;

use super::*;
use crate::rate_join::EVENT_DATE_COLUMN;
use crate::task_input::inputs_of_places;

/// A plan that reads no files, with one task for each list of days.
fn writer(scene: &Scene, tasks: &[Vec<Option<i32>>]) -> Arc<PartitionWriter> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new(EVENT_DATE_COLUMN, DataType::Int32, true),
    ]));
    let rows = |days: &Vec<Option<i32>>| {
        let ids = Int64Array::from_iter_values(0..days.len() as i64);
        let days = Int32Array::from(days.clone());
        vec![RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(ids), Arc::new(days)]).unwrap()]
    };
    let tasks: Vec<Vec<RecordBatch>> = tasks.iter().map(rows).collect();
    let plan: Arc<dyn ExecutionPlan> =
        MemorySourceConfig::try_new_exec(&tasks, Arc::clone(&schema), None).unwrap();
    let with_targets = scene.writer(Arc::clone(&plan), false);
    let spec =
        PartitionWriterSpec { targets: Vec::new(), by_place: true, ..with_targets.spec().as_ref().clone() };
    Arc::new(PartitionWriter::new(plan, Arc::new(spec), scene.staging()))
}

#[tokio::test]
async fn tasks_that_read_no_files_are_told_apart_by_their_places() {
    for scene in [Scene::on_disk(), Scene::in_memory()] {
        let writer = writer(&scene, &[vec![Some(DAY_ZERO), Some(DAY_ZERO + 1)], vec![Some(DAY_ZERO)]]);
        let mut rows = run(&writer, 1).await.unwrap();
        rows.extend(run(&writer, 0).await.unwrap());
        let manifests = read_manifests(&rows, &inputs_of_places(2)).unwrap();
        let files: Vec<Vec<(&str, u64)>> = manifests
            .iter()
            .map(|manifest| manifest.files.iter().map(|file| (file.partition.as_str(), file.rows)).collect())
            .collect();
        assert_eq!(files, [vec![("dt=2024-05-01", 1), ("dt=2024-05-02", 1)], vec![("dt=2024-05-01", 1)]]);
        let all = manifests.iter().flat_map(|manifest| &manifest.files);
        assert!(all.clone().all(|file| file.totals.is_empty() && file.source_totals.is_empty()));
        // Both rows of the first day are the same row.
        assert_eq!(manifests[0].files[0].content_hash, manifests[1].files[0].content_hash);
        assert!(read_manifests(&rows, &inputs_of_places(3)).is_err(), "a task is missing");
    }
}

#[tokio::test]
async fn a_row_without_a_date_fails_the_task_and_leaves_nothing() {
    let scene = Scene::on_disk();
    let writer = writer(&scene, &[vec![Some(DAY_ZERO), None, None]]);
    let failure = crate::failure::TaskFailure::of(&run(&writer, 0).await.unwrap_err());
    assert_eq!(failure.kind, crate::failure::FailureKind::Data);
    let expected = "`dt` is NULL in 2 rows, expected a date: it is what the table is partitioned by";
    assert_eq!(failure.message, expected);
    assert_eq!(scene.staged().await, Vec::<String>::new());
}
