//! A task that runs twice, late, or at the same time as itself.

use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::Barrier;

use super::*;
use crate::table::{CommitDraft, CommitOutcome, DataFile, StagedAs, TableSchema};
use crate::task_input::planned_inputs;

fn paths(manifest: &TaskManifest) -> Vec<&str> {
    manifest.files.iter().map(|file| file.staged.path.as_str()).collect()
}

/// Files that wait in the main table: a disk keeps the rows there, a bucket the journals of open uploads.
async fn staged_files(scene: &Scene) -> usize {
    scene.staged().await.iter().filter(|path| path.starts_with("dt=")).count()
}

#[tokio::test]
async fn a_task_that_runs_again_takes_over_its_manifest() {
    for scene in [Scene::on_disk(), Scene::in_memory()] {
        scene.write("a.csv", 100);
        let plan = scene.converted(scene.groups(1).await).await;
        let first = manifest(&scene.writer(Arc::clone(&plan), true), 0).await;
        let before = scene.staged().await;
        let again = manifest(&scene.writer(plan, true), 0).await;
        assert_eq!(paths(&first), paths(&again));
        assert_eq!(first.counts, again.counts);
        assert_eq!(scene.staged().await, before, "the second attempt has written nothing");
        assert_eq!(first.counts.records_in, 100);
        assert_eq!(first.counts.converted, 90);
        assert_eq!(first.counts.quarantined(), 10);
    }
}

#[tokio::test]
async fn a_task_is_the_same_in_a_plan_of_its_own() {
    let scene = Scene::on_disk();
    scene.write("a.csv", 40_000);
    scene.write("b.csv", 30_000);
    let groups = scene.groups(2).await;
    assert_eq!(groups.len(), 2);
    let whole = scene.writer(scene.converted(groups.clone()).await, true);
    let second = manifest(&whole, 1).await;
    let alone = scene.writer(scene.converted(vec![groups[1].clone()]).await, true);
    let files = staged_files(&scene).await;
    assert_eq!(paths(&manifest(&alone, 0).await), paths(&second));
    assert_eq!(staged_files(&scene).await, files);
    // The other task is another one.
    let first = manifest(&whole, 0).await;
    assert_ne!(paths(&first), paths(&second));
    assert_eq!(first.counts.records_in + second.counts.records_in, 70_000);
}

#[tokio::test]
async fn of_two_attempts_at_once_one_stands_and_the_other_clears_up() {
    for scene in [Scene::on_disk(), Scene::in_memory()] {
        scene.write("a.csv", 1_000);
        let plan = scene.converted(scene.groups(1).await).await;
        // Neither gets a row before both have looked for a manifest and found none.
        let barrier = Arc::new(Barrier::new(2));
        let meets = move || {
            let barrier = Arc::clone(&barrier);
            async move {
                barrier.wait().await;
                Ok(())
            }
            .boxed()
        };
        let writer = scene.writer(Happens::above(plan, meets), true);
        let (one, other) = tokio::join!(manifest(&writer, 0), manifest(&writer, 0));
        assert_eq!(paths(&one), paths(&other));
        assert_eq!(staged_files(&scene).await, files_of(&one, TableKind::Main).len());
        let manifests = scene.staged().await.into_iter().filter(|path| path.contains("/manifests/"));
        assert_eq!(manifests.count(), 1);
    }
}

#[tokio::test]
async fn a_task_that_runs_once_leaves_no_manifest_behind() {
    let scene = Scene::on_disk();
    scene.write("a.csv", 10);
    let writer = scene.writer(scene.converted(scene.groups(1).await).await, false);
    let done = manifest(&writer, 0).await;
    assert!(paths(&done).iter().all(|path| path.ends_with(&format!("part-00000-{RUN}.zstd.parquet"))));
    assert!(!scene.staged().await.iter().any(|path| path.contains("manifests")));
}

#[tokio::test]
async fn a_commit_clears_away_whatever_else_the_run_has_staged() {
    for scene in [Scene::on_disk(), Scene::in_memory()] {
        scene.write("a.csv", 100);
        let mut table = scene.table().await;
        let writer = scene.writer(scene.converted(scene.groups(1).await).await, true);
        let done = manifest(&writer, 0).await;
        // What a zombie leaves: a finished file that no manifest names, and one that was never finished.
        for name in ["part-zombie-1.parquet", "part-zombie-2.parquet"] {
            let mut file = scene.staging().create(TableKind::Main, "dt=2024-05-01", name).unwrap();
            file.write(bytes::Bytes::from(vec![0; 9 << 20])).await.unwrap();
            if name.ends_with("1.parquet") {
                file.finish().await.unwrap();
            }
        }
        assert!(staged_files(&scene).await > files_of(&done, TableKind::Main).len());
        let committed = table.commit(draft(&done)).await.unwrap();
        assert_eq!(committed, CommitOutcome::Committed { number: 1 });
        assert_eq!(scene.staged().await, Vec::<String>::new());
        assert_eq!(table.state().files(TableKind::Main).count(), 3);
        for file in files_of(&done, TableKind::Main) {
            if let StagedAs::Local { .. } = file.staged.staged {
                assert!(scene.root.local_path().unwrap().join(&file.staged.path).exists());
            }
        }
        assert!(!table.state().files(TableKind::Main).any(|file| file.path.contains("zombie")));
    }
}

fn draft(done: &TaskManifest) -> CommitDraft {
    let file = |file: &WrittenFile| DataFile {
        file: file.staged.clone(),
        rows: file.rows,
        content_hash: file.content_hash.to_string(),
        source_totals: Default::default(),
        totals: Default::default(),
        batch: None,
    };
    CommitDraft {
        run_id: RUN.to_owned(),
        staging: RUN.to_owned(),
        batch: "b".to_owned(),
        kind: "normalize".to_owned(),
        committed_at: "2024-05-02T03:04:05Z".parse().unwrap(),
        input_digest: "digest".to_owned(),
        rules_version: "1".to_owned(),
        schema: TableSchema { columns: Vec::new(), partition_column: Some("dt".to_owned()) },
        quarantine_schema: crate::quarantine::hive_schema().unwrap(),
        files: done.files.iter().map(file).collect(),
        partitions: Default::default(),
        quarantine_partitions: Default::default(),
        ready: Vec::new(),
        retain_superseded_seconds: 0,
        details: serde_json::Value::Null,
    }
}

#[tokio::test]
async fn what_was_planned_is_what_is_read() {
    let scene = Scene::on_disk();
    scene.write("a.csv", 80_000);
    let plan = scene.converted(scene.groups(3).await).await;
    let planned = planned_inputs(&plan).unwrap();
    let size = std::fs::metadata(scene.folder.path().join("raw/a.csv")).unwrap().len();
    let covered: u64 = planned.iter().flatten().map(|range| range.end - range.start).sum();
    assert_eq!(covered, size);
    let writer = scene.writer(plan, true);
    for (task, inputs) in planned.iter().enumerate() {
        assert_eq!(&manifest(&writer, task).await.inputs, inputs);
    }
}
