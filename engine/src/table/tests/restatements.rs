//! Restatements: parts of several batches replaced by one commit, or none of them.

use std::collections::BTreeSet;

use super::faulty::Faulty;
use super::*;

const DAYS: [&str; 2] = ["2024-05-01", "2024-05-02"];

/// Two batches over the same two days; the first has set a row aside, and the first day is complete.
async fn two_batches(lake: &Lake) -> [Run; 2] {
    let first = Run {
        ready: vec!["dt=2024-05-01".to_owned()],
        ..Run::new("r1", "b1", &[(DAYS[0], "1 2"), (DAYS[1], "3"), ("!2024-05-01", "9")])
    };
    let second = Run::new("r2", "b2", &[(DAYS[0], "4"), (DAYS[1], "5")]);
    lake.run(&first).await.unwrap();
    lake.run(&second).await.unwrap();
    [first, second]
}

/// Replaces what `batch` has on one day by `rows`, and what it set aside by `aside`.
async fn restated(
    table: &Table,
    run: &str,
    batch: &str,
    day: &str,
    rows: &str,
    aside: Option<&str>,
) -> Result<BatchRestatement, TableError> {
    let staging = format!("{run}-{batch}");
    let mut files = Vec::new();
    let mut stage = vec![(TableKind::Main, format!("dt={day}"), rows.to_owned())];
    stage.extend(aside.map(|aside| (TableKind::Quarantine, "dt=2024-05-01".to_owned(), format!("!{aside}"))));
    for (kind, partition, rows) in stage {
        let name = format!("part-{batch}-{run}.parquet");
        let mut writer = table.staging(&staging).create(kind, &partition, &name)?;
        writer.write(Bytes::from(rows.replace(' ', "\n") + "\n")).await?;
        files.push(data_file(writer.finish().await?, rows.split(' ').count()));
    }
    Ok(BatchRestatement {
        batch: batch.to_owned(),
        base: table.state().batch(batch).unwrap().number,
        staging,
        input_digest: format!("restated {batch}"),
        partitions: BTreeSet::from([format!("dt={day}")]),
        replaces_quarantine: aside.is_some(),
        files,
        details: serde_json::json!({"restated": batch}),
    })
}

fn restatement(run: &str, batches: Vec<BatchRestatement>) -> Restatement {
    Restatement {
        run_id: run.to_owned(),
        committed_at: instant("2024-06-01T00:00:00Z"),
        rules_version: "1".to_owned(),
        batches,
        partitions: BTreeMap::new(),
        quarantine_partitions: BTreeMap::new(),
        retain_superseded_seconds: 0,
        details: serde_json::json!({"run": run}),
    }
}

/// The first day of `b1` with what it set aside, and the second of `b2`.
async fn both(table: &Table, run: &str) -> Result<Restatement, TableError> {
    let first = restated(table, run, "b1", DAYS[0], "1n 2n", Some("9n")).await?;
    Ok(restatement(run, vec![first, restated(table, run, "b2", DAYS[1], "5n", None).await?]))
}

const BEFORE: [&str; 6] =
    ["!9@2024-05-01", "1@2024-05-01", "2@2024-05-01", "3@2024-05-02", "4@2024-05-01", "5@2024-05-02"];
const AFTER: [&str; 6] =
    ["!9n@2024-05-01", "1n@2024-05-01", "2n@2024-05-01", "3@2024-05-02", "4@2024-05-01", "5n@2024-05-02"];

#[tokio::test]
async fn parts_of_several_batches_are_replaced_by_one_commit() {
    for lake in Lake::everywhere() {
        two_batches(&lake).await;
        let mut table = lake.open().await;
        let number = table.append_restatement(&both(&table, "s1").await.unwrap()).await.unwrap();
        table.publish(number).await.unwrap();
        assert_eq!(number, 3);
        assert_eq!(lake.rows().await, AFTER);
        assert_eq!(lake.names("_staging").await, [""; 0]);

        let table = lake.open().await;
        let state = table.state();
        for batch in ["b1", "b2"] {
            let now = state.batch(batch).unwrap();
            assert_eq!((now.number, now.run_id.as_str()), (3, "s1"));
            assert_eq!(now.input_digest, format!("restated {batch}"));
            assert_eq!(now.details, serde_json::json!({"restated": batch}));
        }
        assert_eq!(state.files(TableKind::Main).filter(|file| file.batch == "b1").count(), 2);
        assert_eq!(state.ready("dt=2024-05-01").unwrap().number, 3, "complete again");
        assert!(state.ready("dt=2024-05-02").is_none());
        let record = table.record(3).await.unwrap();
        assert_eq!((record.version, record.kind.as_str(), record.batch.as_str()), (3, "restate", ""));
        assert_eq!(
            (record.main.add.len(), record.main.remove.len(), record.quarantine.remove.len()),
            (2, 2, 1)
        );
        let before = table.files(Some(2)).await.unwrap();
        assert_eq!(before.len(), 5);
        assert!(before.iter().all(|file| file.whereabouts.location().is_some()), "time travel goes on");

        // A later run of one batch replaces all that is its own, restated or not.
        let third = Run::new("r3", "b1", &[("2024-05-03", "6")]);
        lake.run(&third).await.unwrap();
        assert_eq!(lake.rows().await, ["4@2024-05-01", "5n@2024-05-02", "6@2024-05-03"]);
    }
}

#[tokio::test]
async fn a_run_that_replaces_one_of_the_batches_first_wins() {
    for lake in Lake::everywhere() {
        let [first, _] = two_batches(&lake).await;
        let mut table = lake.open().await;
        let wanted = both(&table, "s1").await.unwrap();
        let third = Run::new("r3", "b2", &[(DAYS[0], "7")]);
        lake.run(&third).await.unwrap();
        let refused = table.append_restatement(&wanted).await.unwrap_err();
        assert_eq!(refused.to_string(), "batch `b2` was committed meanwhile by run `r3` as commit 3");
        assert_eq!(lake.rows().await, sorted(&[&first, &third]));
        assert_eq!(lake.names("_staging").await, [""; 0]);
        assert_eq!(lake.open().await.state().last_commit(), 3);
    }
}

#[tokio::test]
async fn a_run_that_comes_later_gives_way_unless_it_is_of_the_same_inputs() {
    for lake in Lake::everywhere() {
        two_batches(&lake).await;
        let mut table = lake.open().await;
        let mut late = lake.open_or_create().await;
        let other = Run::new("r3", "b1", &[(DAYS[0], "8")]);
        let mut same = lake.open_or_create().await;
        let equal = Run { digest: "restated b1".to_owned(), ..Run::new("r4", "b1", &[(DAYS[0], "1n 2n")]) };
        let (drafted, repeated) = (other.stage(&late).await.unwrap(), equal.stage(&same).await.unwrap());
        let number = table.append_restatement(&both(&table, "s1").await.unwrap()).await.unwrap();
        table.publish(number).await.unwrap();
        let refused = late.commit(drafted).await.unwrap_err();
        assert!(matches!(refused, TableError::Conflict { number: 3, .. }), "{refused}");
        assert_eq!(same.commit(repeated).await.unwrap(), CommitOutcome::AlreadyDone { number: 3 });
        assert_eq!(lake.rows().await, AFTER);
        assert_eq!(lake.names("_staging").await, [""; 0]);
    }
}

/// Partitions are replaced, not files: those that a compaction has made meanwhile go as well.
#[tokio::test]
async fn a_compaction_in_between_does_not_matter() {
    let lake = Lake::on_disk();
    two_batches(&lake).await;
    let mut table = lake.open().await;
    let wanted = both(&table, "s1").await.unwrap();
    let mut compacting = lake.open().await;
    let mut writer =
        compacting.staging("c1").create(TableKind::Main, "dt=2024-05-01", "part-c1.parquet").unwrap();
    writer.write(Bytes::from("1\n2\n")).await.unwrap();
    let add = vec![data_file(writer.finish().await.unwrap(), 2)];
    let remove = vec!["dt=2024-05-01/part-00000-r1.zstd.parquet".to_owned()];
    let compaction = Compaction {
        run_id: "c1".to_owned(),
        committed_at: instant("2024-06-01T00:00:00Z"),
        rules_version: "1".to_owned(),
        replacements: vec![Replacement { batch: "b1".to_owned(), remove, add }],
        retain_superseded_seconds: 0,
        details: serde_json::Value::Null,
    };
    compacting.compact(compaction).await.unwrap();
    let number = table.append_restatement(&wanted).await.unwrap();
    table.publish(number).await.unwrap();
    assert_eq!(number, 4);
    assert_eq!(lake.rows().await, AFTER);
}

#[tokio::test]
async fn a_writer_that_dies_after_any_change_leaves_both_batches_old_or_both_new() {
    for last_one_happens in [false, true] {
        let mut outcomes = [0; 2];
        for changes in 0.. {
            let memory = Arc::new(InMemory::new());
            let lake = Lake { handle: StoreHandle::with_multipart(Arc::clone(&memory)), ..Lake::in_memory() };
            two_batches(&lake).await;
            let store = Arc::new(Faulty::new(&memory, changes, last_one_happens));
            let stores = lake.stores_with(StoreHandle::with_multipart(Arc::clone(&store)));
            let attempt = async {
                let mut table = Table::open(&stores, &lake.root).await?;
                let number = table.append_restatement(&both(&table, "s1").await?).await?;
                table.publish(number).await
            };
            let died = attempt.await.is_err();
            assert_eq!(died, store.is_dead());
            let has_record = lake.names("_commits").await.contains(&"00000000000000000003.json".to_owned());
            let table = lake.open().await;
            assert_eq!(lake.rows().await, if has_record { AFTER } else { BEFORE });
            let restated = |batch| table.state().batch(batch).unwrap().number == 3;
            assert_eq!([restated("b1"), restated("b2")], [has_record; 2]);
            outcomes[usize::from(has_record)] += 1;
            if !died {
                break;
            }
        }
        assert!(outcomes.iter().all(|count| *count >= 8), "{outcomes:?}");
    }
}
