//! Snapshots: what readers see, and what they ask for it.

use std::collections::BTreeSet;

use super::*;
use crate::store::watched::Watched;

/// A table that is read through a store which notes what is asked of it.
struct Reader {
    watched: Watched,
    snapshots: TableSnapshots,
}

impl Reader {
    fn of(lake: &Lake) -> Self {
        let watched = Watched::new(Arc::clone(&lake.handle.store));
        let stores = lake.stores_with(StoreHandle::without_multipart(Arc::new(watched.clone())));
        Self { watched, snapshots: TableSnapshots::new(stores) }
    }

    async fn latest(&self, lake: &Lake) -> Result<Arc<TableSnapshot>, TableError> {
        self.snapshots.latest(&lake.root).await
    }

    async fn at(&self, lake: &Lake, instant_text: &str) -> Result<Arc<TableSnapshot>, TableError> {
        self.snapshots.at(&lake.root, instant(instant_text)).await
    }
}

/// The rows of a snapshot, as [`Lake::rows`] shows them.
async fn rows(lake: &Lake, snapshot: &TableSnapshot) -> Vec<String> {
    try_rows(lake, snapshot).await.unwrap()
}

async fn try_rows(lake: &Lake, snapshot: &TableSnapshot) -> Result<Vec<String>, object_store::Error> {
    let store = SnapshotStore::new(Arc::clone(&lake.handle.store));
    let mut rows = Vec::new();
    for kind in [TableKind::Main, TableKind::Quarantine] {
        for file in snapshot.files(kind) {
            let bytes = store.get(&file.read_path().unwrap()).await?.bytes().await?;
            assert_eq!(bytes.len() as u64, file.file.bytes);
            let day = file.file.partition().strip_prefix("dt=").unwrap().to_owned();
            rows.extend(str::from_utf8(&bytes).unwrap().lines().map(|row| format!("{row}@{day}")));
        }
    }
    rows.sort_unstable();
    Ok(rows)
}

async fn commit_at(lake: &Lake, run: &Run, committed_at: &str) {
    let mut table = lake.open_or_create().await;
    let draft = run.stage(&table).await.unwrap();
    table.commit(CommitDraft { committed_at: instant(committed_at), ..draft }).await.unwrap();
}

#[tokio::test]
async fn a_reader_sees_what_is_published_and_writes_nothing() {
    for lake in Lake::everywhere() {
        let reader = Reader::of(&lake);
        let missing = reader.latest(&lake).await.unwrap_err();
        assert!(matches!(missing, TableError::NoTable { .. }), "{missing}");
        let first = Run::new("r1", "b1", &[("2024-05-01", "1 2"), ("!2024-05-01", "9")]);
        let mut table = lake.open_or_create().await;
        let draft = first.stage(&table).await.unwrap();
        table.append(draft).await.unwrap();
        let pending = reader.latest(&lake).await.unwrap_err();
        assert!(
            matches!(pending, TableError::NothingPublished { .. }) && pending.is_retryable(),
            "{pending}"
        );
        table.publish(1).await.unwrap();
        assert_eq!(rows(&lake, &reader.latest(&lake).await.unwrap()).await, sorted(&[&first]));

        // Of the second commit only the record stands, which is all that a dying writer may leave.
        let second = Run::new("r2", "b1", &[("2024-05-01", "3")]);
        let draft = second.stage(&table).await.unwrap();
        table.append(draft).await.unwrap();
        let objects = lake.names("").await;
        let before = reader.latest(&lake).await.unwrap();
        assert_eq!((before.number(), before.committed_at()), (1, instant("2024-05-02T03:04:05Z")));
        assert_eq!(rows(&lake, &before).await, sorted(&[&first]));
        let fresh = Reader::of(&lake).latest(&lake).await.unwrap();
        assert_eq!(fresh.number(), 1, "a reader that begins now sees the same");
        assert_eq!(lake.names("").await, objects);

        table.publish(2).await.unwrap();
        let after = reader.latest(&lake).await.unwrap();
        assert_eq!((after.number(), rows(&lake, &after).await), (2, sorted(&[&second])));
        let commits = reader.snapshots.commits(&lake.root, 10, |record| record).await.unwrap();
        assert_eq!(commits.iter().map(|record| record.number).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(reader.snapshots.commits(&lake.root, 1, |record| record).await.unwrap().len(), 1);
        let writes = reader.watched.take().into_iter();
        let writes = writes.filter(|request| !request.starts_with("get ") && !request.starts_with("head "));
        assert!(
            writes.clone().all(|request| request.starts_with("list ")),
            "{:?}",
            writes.collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn only_what_the_log_has_gained_is_read() {
    let lake = Lake::in_memory();
    for number in 1..=70 {
        lake.run(&Run::new(&format!("r{number}"), &format!("b{number}"), &[("2024-05-01", "1")]))
            .await
            .unwrap();
    }
    let reader = Reader::of(&lake);
    let first = reader.latest(&lake).await.unwrap();
    assert_eq!((first.number(), first.files(TableKind::Main).count()), (70, 70));
    // The checkpoint spares most records.
    assert!(reader.watched.take_read(".json").len() < 12);

    let same = reader.latest(&lake).await.unwrap();
    assert!(Arc::ptr_eq(&first, &same));
    let commits = format!("{}/_commits", lake.root.path());
    let asked = reader.watched.take();
    assert_eq!(asked, [70, 71].map(|number| format!("head {commits}/{number:020}.json")));

    lake.run(&Run::new("r71", "b71", &[("2024-05-01", "1")])).await.unwrap();
    assert_eq!(reader.latest(&lake).await.unwrap().number(), 71);
    assert_eq!(reader.watched.take_read(".json"), [format!("{commits}/{:020}.json", 71)]);
}

#[tokio::test]
async fn who_asks_at_once_shares_one_look() {
    let lake = Lake::on_disk();
    lake.run(&Run::new("r1", "b1", &[("2024-05-01", "1")])).await.unwrap();
    let reader = Reader::of(&lake);
    reader.latest(&lake).await.unwrap();
    reader.watched.take();
    let asked = futures::future::join_all((0..64).map(|_| reader.latest(&lake))).await;
    assert!(asked.iter().all(|snapshot| snapshot.as_ref().unwrap().number() == 1));
    let looks = reader.watched.take().len();
    // One look is at least two requests; on a slow machine some of those who ask find it too old.
    assert!((2..64).contains(&looks), "{looks} requests");
}

#[tokio::test]
async fn a_file_that_moves_while_it_is_read_is_found_and_a_collected_one_is_told() {
    for lake in Lake::everywhere() {
        let first = Run::new("r1", "b1", &[("2024-05-01", "1 2"), ("2024-05-02", "3"), ("!2024-05-01", "9")]);
        lake.run(&first).await.unwrap();
        let reader = Reader::of(&lake);
        let planned = reader.latest(&lake).await.unwrap();
        lake.run(&Run::new("r2", "b1", &[("2024-05-01", "4")])).await.unwrap();
        lake.run(&Run::new("r3", "b3", &[("2024-05-01", "5")])).await.unwrap();
        assert_eq!(rows(&lake, &planned).await, sorted(&[&first]));

        // Retained in place, moved by gc later: found before and after.
        let third = reader.latest(&lake).await.unwrap();
        let now = rows(&lake, &third).await;
        let retained = Run { retain_superseded_seconds: 60, ..Run::new("r4", "b3", &[("2024-05-03", "6")]) };
        lake.run(&retained).await.unwrap();
        assert_eq!(rows(&lake, &third).await, now);
        let later = instant("2024-05-03T00:00:00Z");
        lake.open().await.gc(Duration::from_secs(1_000_000_000), later).await.unwrap();
        assert_eq!(rows(&lake, &third).await, now);

        lake.open().await.gc(Duration::ZERO, later).await.unwrap();
        let gone = try_rows(&lake, &planned).await.unwrap_err();
        assert!(matches!(gone, object_store::Error::NotFound { .. }), "{gone}");
        let failure = crate::failure::TaskFailure::of(&gone.into());
        assert_eq!(failure.kind, crate::failure::FailureKind::Data);
        assert!(failure.message.contains("`table gc` has collected it since"), "{failure}");
    }
}

#[tokio::test]
async fn the_past_is_read_across_supersession_compaction_and_restatement() {
    for lake in Lake::everywhere() {
        let first = Run::new("r1", "b1", &[("2024-05-01", "1 2"), ("!2024-05-01", "9")]);
        let second = Run::new("r2", "b2", &[("2024-05-01", "4"), ("2024-05-02", "5")]);
        let again = Run::new("r3", "b1", &[("2024-05-03", "6")]);
        commit_at(&lake, &first, "2024-05-01T10:00:00Z").await;
        commit_at(&lake, &second, "2024-05-01T11:00:00Z").await;
        commit_at(&lake, &again, "2024-05-01T12:00:00Z").await;
        let mut table = lake.open().await;
        let mut writer =
            table.staging("c1").create(TableKind::Main, "dt=2024-05-01", "part-c1.parquet").unwrap();
        writer.write(Bytes::from("4\n")).await.unwrap();
        let add = vec![data_file(writer.finish().await.unwrap(), 1)];
        let remove = vec!["dt=2024-05-01/part-00000-r2.zstd.parquet".to_owned()];
        let compaction = Compaction {
            run_id: "c1".to_owned(),
            committed_at: instant("2024-05-01T13:00:00Z"),
            rules_version: "1".to_owned(),
            replacements: vec![Replacement { batch: "b2".to_owned(), remove, add }],
            retain_superseded_seconds: 0,
            details: serde_json::Value::Null,
        };
        table.compact(compaction).await.unwrap();
        let mut writer =
            table.staging("s1").create(TableKind::Main, "dt=2024-05-02", "part-s1.parquet").unwrap();
        writer.write(Bytes::from("5n\n")).await.unwrap();
        let restatement = Restatement {
            run_id: "s1".to_owned(),
            committed_at: instant("2024-05-01T14:00:00Z"),
            rules_version: "1".to_owned(),
            batches: vec![BatchRestatement {
                batch: "b2".to_owned(),
                base: table.state().batch("b2").unwrap().number,
                staging: "s1".to_owned(),
                input_digest: "restated".to_owned(),
                partitions: BTreeSet::from(["dt=2024-05-02".to_owned()]),
                replaces_quarantine: false,
                files: vec![data_file(writer.finish().await.unwrap(), 1)],
                details: serde_json::Value::Null,
            }],
            partitions: BTreeMap::new(),
            quarantine_partitions: BTreeMap::new(),
            retain_superseded_seconds: 0,
            details: serde_json::Value::Null,
        };
        let number = table.append_restatement(&restatement).await.unwrap();
        table.publish(number).await.unwrap();

        let reader = Reader::of(&lake);
        for (at, number, expected) in [
            ("2024-05-01T10:00:00Z", 1, sorted(&[&first])),
            ("2024-05-01T10:59:59.999Z", 1, sorted(&[&first])),
            ("2024-05-01T11:30:00Z", 2, sorted(&[&first, &second])),
            ("2024-05-01T12:00:00Z", 3, sorted(&[&second, &again])),
            ("2024-05-01T13:00:00Z", 4, sorted(&[&second, &again])),
            (
                "2024-05-01T14:00:00Z",
                5,
                ["4@2024-05-01", "5n@2024-05-02", "6@2024-05-03"].map(str::to_owned).to_vec(),
            ),
            (
                "2030-01-01T00:00:00Z",
                5,
                ["4@2024-05-01", "5n@2024-05-02", "6@2024-05-03"].map(str::to_owned).to_vec(),
            ),
        ] {
            let snapshot = reader.at(&lake, at).await.unwrap();
            assert_eq!(snapshot.number(), number, "{at}");
            assert_eq!(rows(&lake, &snapshot).await, expected, "{at}");
        }
        let early = reader.at(&lake, "2024-05-01T09:59:59Z").await.unwrap_err();
        assert!(early.to_string().ends_with("expected an instant from 2024-05-01T10:00:00Z on"), "{early}");

        // What is known of the past is not read again.
        reader.watched.take();
        reader.at(&lake, "2024-05-01T12:00:00Z").await.unwrap();
        assert_eq!(reader.watched.take().len(), 2, "the two looks whether the log has grown");
    }
}

/// Clocks of writers differ: the last commit that was made by then counts.
#[tokio::test]
async fn of_commits_out_of_the_order_of_time_the_last_one_counts() {
    let lake = Lake::in_memory();
    for (number, at) in
        [(1, "2024-05-01T10:00:00Z"), (2, "2024-05-01T12:00:00Z"), (3, "2024-05-01T11:00:00Z")]
    {
        commit_at(&lake, &Run::new(&format!("r{number}"), &format!("b{number}"), &[("2024-05-01", "1")]), at)
            .await;
    }
    let reader = Reader::of(&lake);
    assert_eq!(reader.at(&lake, "2024-05-01T11:00:00Z").await.unwrap().number(), 3);
    assert_eq!(reader.at(&lake, "2024-05-01T10:59:00Z").await.unwrap().number(), 1);
}

#[tokio::test]
async fn a_table_that_was_removed_and_made_again_is_read_anew() {
    let lake = Lake::in_memory();
    let reader = Reader::of(&lake);
    for number in 1..=3 {
        lake.run(&Run::new(&format!("r{number}"), &format!("b{number}"), &[("2024-05-01", "1")]))
            .await
            .unwrap();
    }
    assert_eq!(reader.latest(&lake).await.unwrap().number(), 3);
    for object in lake.objects(&lake.root).await {
        lake.handle.store.delete(object.path()).await.unwrap();
    }
    for object in lake.objects(&lake.root_of(TableKind::Quarantine)).await {
        lake.handle.store.delete(object.path()).await.unwrap();
    }
    let missing = reader.latest(&lake).await.unwrap_err();
    assert!(matches!(missing, TableError::NoTable { .. }), "{missing}");
    let made_again = Run::new("again", "b1", &[("2024-05-01", "7")]);
    lake.run(&made_again).await.unwrap();
    let snapshot = reader.latest(&lake).await.unwrap();
    assert_eq!((snapshot.number(), rows(&lake, &snapshot).await), (1, sorted(&[&made_again])));
}

#[tokio::test]
async fn a_damaged_log_is_told_and_read_again_once_it_is_mended() {
    let lake = Lake::in_memory();
    lake.run(&Run::new("r1", "b1", &[("2024-05-01", "1")])).await.unwrap();
    let reader = Reader::of(&lake);
    reader.latest(&lake).await.unwrap();
    lake.run(&Run::new("r2", "b2", &[("2024-05-01", "2")])).await.unwrap();
    let name = "_commits/00000000000000000002.json";
    let good = lake.text(&lake.root.join(name).unwrap()).await;
    lake.put(name, "{").await;
    for _ in 0..2 {
        let damaged = reader.latest(&lake).await.unwrap_err();
        assert!(matches!(&damaged, TableError::LogDamaged { path, .. } if path == name), "{damaged}");
    }
    lake.put(name, &good).await;
    assert_eq!(reader.latest(&lake).await.unwrap().number(), 2);

    let quarantine = lake.root_of(TableKind::Quarantine);
    let refused = reader.snapshots.latest(&quarantine).await.unwrap_err();
    assert!(matches!(refused, TableError::IsQuarantine { .. }), "{refused}");
}

#[tokio::test]
async fn the_least_used_tables_are_let_go() {
    let lake = Lake::in_memory();
    lake.run(&Run::new("r1", "b1", &[("2024-05-01", "1")])).await.unwrap();
    let reader = Reader::of(&lake);
    let kept = reader.latest(&lake).await.unwrap();
    for number in 0..100 {
        let other = lake.root.sibling(&format!("-{number}")).unwrap();
        let missing = reader.snapshots.latest(&other).await.unwrap_err();
        assert!(matches!(missing, TableError::NoTable { .. }), "{missing}");
    }
    let again = reader.latest(&lake).await.unwrap();
    assert!(!Arc::ptr_eq(&kept, &again), "it was let go and is read again");
    assert_eq!(again.number(), 1);
}
