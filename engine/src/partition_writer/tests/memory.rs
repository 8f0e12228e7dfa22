//! Rows wait in memory only as far as the memory pool allows.

use std::fs::File;

use datafusion::execution::memory_pool::{FairSpillPool, GreedyMemoryPool};
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::*;
use crate::failure::{FailureKind, TaskFailure};
use crate::table::StagedAs;

/// Runs the one task of a scene with 60,000 rows.
async fn write(scene: &Scene, pool: Option<Arc<dyn MemoryPool>>) -> Result<TaskManifest> {
    let writer = scene.writer(scene.converted(scene.groups(1).await).await, false);
    let rows: Vec<RecordBatch> = writer.execute(0, context(pool))?.try_collect().await?;
    let inputs = crate::task_input::planned_inputs(&writer.children()[0].clone())?;
    Ok(read_manifests(&rows, &inputs)?.remove(0))
}

fn row_groups(scene: &Scene, done: &TaskManifest) -> usize {
    let groups = files_of(done, TableKind::Main).into_iter().map(|file| {
        let StagedAs::Local { path } = &file.staged.staged else { panic!("not on disk") };
        let file = File::open(scene.root.local_path().unwrap().join(path)).unwrap();
        SerializedFileReader::new(file).unwrap().metadata().num_row_groups()
    });
    groups.sum()
}

fn hash(done: &TaskManifest) -> ContentHash {
    let mut hash = ContentHash::default();
    files_of(done, TableKind::Main).iter().for_each(|file| hash.merge(file.content_hash));
    hash
}

#[tokio::test]
async fn a_small_pool_makes_small_row_groups_and_the_same_rows() {
    let scene = Scene::on_disk();
    scene.write("a.csv", 60_000);
    let free = write(&scene, None).await.unwrap();
    assert_eq!(row_groups(&scene, &free), 3, "one for each day");
    scene.staging().discard().await.unwrap();
    let pool: Arc<dyn MemoryPool> = Arc::new(FairSpillPool::new(10 << 20));
    let tight = write(&scene, Some(Arc::clone(&pool))).await.unwrap();
    assert!(row_groups(&scene, &tight) > 3, "{}", row_groups(&scene, &tight));
    assert_eq!(hash(&tight), hash(&free));
    assert_eq!(tight.counts, free.counts);
    assert_eq!(pool.reserved(), 0, "what was granted is given back");
}

#[tokio::test]
async fn a_pool_without_even_the_least_is_a_matter_of_resources() {
    let scene = Scene::on_disk();
    scene.write("a.csv", 10);
    let failed = write(&scene, Some(Arc::new(GreedyMemoryPool::new(1 << 20)))).await.unwrap_err();
    let failure = TaskFailure::of(&failed);
    assert_eq!(failure.kind, FailureKind::Resources);
    assert!(failure.message.contains("a task needs at least 8 MiB"), "{failure}");
    assert!(failure.hint.unwrap().contains("--memory-mib"));
}
