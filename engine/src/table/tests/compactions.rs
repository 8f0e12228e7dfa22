//! Compactions: the same rows in fewer files, each still its batch's.

use super::*;

/// Stages one file with `rows` of `day`, as a compaction by `run` would.
async fn staged(table: &Table, run: &str, day: &str, name: &str, rows: &str) -> DataFile {
    let staging = table.staging(run);
    let mut writer = staging.create(TableKind::Main, &format!("dt={day}"), name).unwrap();
    for row in rows.split(' ') {
        writer.write(Bytes::from(format!("{row}\n"))).await.unwrap();
    }
    data_file(writer.finish().await.unwrap(), rows.split(' ').count())
}

fn paths(table: &Table, batch: &str) -> Vec<String> {
    let files = table.state().files(TableKind::Main).filter(|file| file.batch == batch);
    files.map(|file| file.path.clone()).collect()
}

fn compaction(run: &str, replacements: Vec<Replacement>) -> Compaction {
    Compaction {
        run_id: run.to_owned(),
        committed_at: instant("2024-06-01T00:00:00Z"),
        rules_version: "1".to_owned(),
        replacements,
        retain_superseded_seconds: 0,
        details: serde_json::json!({"run": run}),
    }
}

/// A replacement of all files of `batch` by one with `rows`.
async fn merged(table: &Table, run: &str, batch: &str, day: &str, rows: &str) -> Replacement {
    let add = staged(table, run, day, &format!("part-{batch}-{run}.parquet"), rows).await;
    Replacement { batch: batch.to_owned(), remove: paths(table, batch), add: vec![add] }
}

/// Two runs of two files each in one day; their second files come from a second day name.
async fn two_batches(lake: &Lake) -> (Run, Run) {
    let first = Run::new("r1", "b1", &[("2024-05-01", "1 2"), ("2024-05-02", "3"), ("!2024-05-01", "9")]);
    let second = Run::new("r2", "b2", &[("2024-05-01", "4 5")]);
    lake.run(&first).await.unwrap();
    lake.run(&second).await.unwrap();
    (first, second)
}

#[tokio::test]
async fn merged_files_stay_with_their_batch_whose_record_stands() {
    for lake in Lake::everywhere() {
        let (first, second) = two_batches(&lake).await;
        let mut table = lake.open().await;
        let before = table.state().batch("b2").cloned();
        let replacement = merged(&table, "c1", "b2", "2024-05-01", "4 5").await;
        let outcome = table.compact(compaction("c1", vec![replacement])).await.unwrap();
        assert_eq!(outcome, CompactionOutcome::Committed { number: 3, overtaken: 0 });
        assert_eq!(lake.rows().await, sorted(&[&first, &second]));
        assert_eq!(lake.names("_staging").await, [""; 0]);

        let table = lake.open().await;
        assert_eq!(table.state().batch("b2").cloned(), before, "the run's digest and report survive");
        assert_eq!(table.state().batches().count(), 2);
        let file = table.state().files(TableKind::Main).find(|file| file.batch == "b2").unwrap();
        assert_eq!((file.commit, file.path.contains("-c1")), (3, true));
        let record = table.record(3).await.unwrap();
        assert_eq!(
            (record.version, record.kind.as_str(), record.replaced_batches().count()),
            (2, "compact", 0)
        );
        let old = table.files(Some(2)).await.unwrap();
        assert!(old.iter().all(|file| file.whereabouts.location().is_some()), "time travel goes on");

        // The batch's next run replaces what the compaction made, and nothing else.
        let third = Run::new("r3", "b2", &[("2024-05-03", "6")]);
        lake.run(&third).await.unwrap();
        assert_eq!(lake.rows().await, sorted(&[&first, &third]));
    }
}

#[tokio::test]
async fn a_run_that_replaces_the_batch_first_wins() {
    for lake in Lake::everywhere() {
        let (first, _) = two_batches(&lake).await;
        let mut table = lake.open().await;
        let replacements = vec![
            merged(&table, "c1", "b2", "2024-05-01", "4 5").await,
            // Only one file of the batch, so that another one of it stays.
            Replacement {
                batch: "b1".to_owned(),
                remove: vec![paths(&table, "b1").remove(0)],
                add: vec![staged(&table, "c1", "2024-05-01", "part-x-c1.parquet", "1 2").await],
            },
        ];
        let third = Run::new("r3", "b2", &[("2024-05-01", "7")]);
        lake.run(&third).await.unwrap();
        let outcome = table.compact(compaction("c1", replacements)).await.unwrap();
        assert_eq!(outcome, CompactionOutcome::Committed { number: 4, overtaken: 1 });
        assert_eq!(lake.rows().await, sorted(&[&first, &third]));
        assert_eq!(lake.names("_staging").await, [""; 0]);
    }
}

#[tokio::test]
async fn a_compaction_without_anything_left_is_overtaken() {
    for lake in Lake::everywhere() {
        let (first, _) = two_batches(&lake).await;
        let mut table = lake.open().await;
        let replacement = merged(&table, "c1", "b2", "2024-05-01", "4 5").await;
        let third = Run::new("r3", "b2", &[("2024-05-01", "7")]);
        lake.run(&third).await.unwrap();
        let outcome = table.compact(compaction("c1", vec![replacement])).await.unwrap();
        assert_eq!(outcome, CompactionOutcome::Overtaken);
        assert_eq!(lake.rows().await, sorted(&[&first, &third]));
        assert_eq!(lake.names("_staging").await, [""; 0]);
        assert_eq!(lake.open().await.state().last_commit(), 3);
    }
}

#[tokio::test]
async fn rows_that_went_missing_are_refused() {
    let lake = Lake::on_disk();
    two_batches(&lake).await;
    let mut table = lake.open().await;
    let replacement = merged(&table, "c1", "b2", "2024-05-01", "4").await;
    let refused = table.compact(compaction("c1", vec![replacement])).await.unwrap_err();
    assert_eq!(refused.to_string(), "the files of batch `b2` have 2 rows and those that replace them 1");
    assert_eq!(lake.open().await.state().last_commit(), 2);
}

/// What a first pass stages to be merged can be read before its commit, and can be committed as well.
#[tokio::test]
async fn a_readable_file_is_hidden_until_its_commit() {
    for lake in Lake::everywhere() {
        let run = Run::new("r1", "b1", &[]);
        let mut table = lake.open_or_create().await;
        let staging = table.staging("r1");
        // Small enough for one request, and large enough for an upload in parts.
        let large = "12345678 ".repeat(1_100_000);
        let mut files = Vec::new();
        for (name, text) in [("small.parquet", "1\n2\n"), ("large.parquet", large.as_str())] {
            let mut writer = staging.create_readable(TableKind::Main, "dt=2024-05-01", name).unwrap();
            writer.write(Bytes::from(text.to_owned())).await.unwrap();
            let file = writer.finish().await.unwrap();
            let StagedAs::Local { path } = &file.staged else { panic!("{file:?}") };
            assert_eq!(lake.text(&lake.root.join(path).unwrap()).await, text);
            files.push(data_file(file, 2));
        }
        let left = lake.names("_staging").await;
        assert!(left.iter().all(|name| name.ends_with(".staged")), "{left:?}");
        assert_eq!(lake.rows().await, [""; 0]);
        table.commit(CommitDraft { files, ..run.empty_draft() }).await.unwrap();
        assert_eq!(lake.names("dt=2024-05-01").await, ["large.parquet", "small.parquet"]);
        assert_eq!(lake.text(&lake.root.join("dt=2024-05-01/large.parquet").unwrap()).await, large);
        assert_eq!(lake.names("_staging").await, [""; 0]);
    }
}
