use super::faulty::Faulty;
use super::*;

#[tokio::test]
async fn a_first_commit_makes_the_table() {
    for lake in Lake::everywhere() {
        let run = Run {
            ready: vec!["dt=2024-05-01".to_owned()],
            ..Run::new(
                "r1",
                "2024-05-01",
                &[("2024-05-01", "a b"), ("2024-05-02", "c"), ("!2024-05-01", "x")],
            )
        };
        let mut table = lake.open_or_create().await;
        assert_eq!(lake.names("").await, [""; 0], "opening creates nothing");
        let draft = run.stage(&table).await.unwrap();
        assert_eq!(lake.rows().await, [""; 0], "staged files are seen by nobody");

        assert_eq!(table.commit(draft).await.unwrap(), CommitOutcome::Committed { number: 1 });
        assert_eq!(lake.rows().await, ["!x@2024-05-01", "a@2024-05-01", "b@2024-05-01", "c@2024-05-02"]);
        assert_eq!(
            lake.names("").await,
            [
                "_commits/.lock",
                "_commits/00000000000000000001.json",
                "_commits/00000000000000000001.published",
                "_ready/dt=2024-05-01.json",
                "_symlink_format_manifest/dt=2024-05-01/manifest",
                "_symlink_format_manifest/dt=2024-05-02/manifest",
                "dt=2024-05-01/part-00000-r1.zstd.parquet",
                "dt=2024-05-02/part-00000-r1.zstd.parquet",
            ]
            .into_iter()
            .filter(|name| lake.root.is_local() || *name != "_commits/.lock")
            .collect::<Vec<_>>()
        );
        let ready = lake.text(&lake.root.join("_ready/dt=2024-05-01.json").unwrap()).await;
        assert_eq!(ready, r#"{"partition":"dt=2024-05-01","run_id":"r1","commit":1,"rows":2}"#);

        let reopened = lake.open().await;
        assert_eq!(reopened.state(), table.state());
        let batch = reopened.state().batch("2024-05-01").unwrap();
        assert_eq!((batch.number, batch.input_digest.as_str()), (1, "digest of r1"));
        assert_eq!(batch.details, serde_json::json!({"run": "r1"}));
        assert_eq!(reopened.state().files(TableKind::Main).map(|file| file.rows).sum::<u64>(), 3);
        let quarantine = lake.root_of(TableKind::Quarantine);
        let mirrored = lake.text(&quarantine.join("_commits/00000000000000000001.json").unwrap()).await;
        assert!(mirrored.contains(r#""table":"quarantine","number":1"#), "{mirrored}");
    }
}

#[tokio::test]
async fn a_batch_replaces_exactly_its_own_files_in_every_partition() {
    for lake in Lake::everywhere() {
        // Each day's file brings a late row of the other day.
        let first =
            Run::new("r1", "day1", &[("2024-05-01", "a b"), ("2024-05-02", "late1"), ("!2024-05-01", "x")]);
        let second = Run::new("r2", "day2", &[("2024-05-02", "c d"), ("2024-05-01", "late2")]);
        lake.run(&first).await.unwrap();
        lake.run(&second).await.unwrap();
        assert_eq!(lake.rows().await, sorted(&[&first, &second]));

        let again = Run::new("r3", "day1", &[("2024-05-01", "a b b2")]);
        assert_eq!(lake.run(&again).await.unwrap(), CommitOutcome::Committed { number: 3 });
        assert_eq!(lake.rows().await, sorted(&[&second, &again]));

        // A batch without rows leaves a partition empty: its manifest and its folder go.
        lake.run(&Run::new("r4", "day2", &[])).await.unwrap();
        assert_eq!(lake.rows().await, sorted(&[&again]));
        assert_eq!(lake.names("_symlink_format_manifest").await, ["dt=2024-05-01/manifest"]);
        if let Some(folder) = lake.root.local_path() {
            assert!(!folder.join("dt=2024-05-02").exists());
            assert!(!folder.join("_staging").exists());
        }
    }
}

#[tokio::test]
async fn a_lost_race_between_batches_is_tried_again() {
    for lake in Lake::everywhere() {
        let (left, right) =
            (Run::new("r1", "left", &[("2024-05-01", "a")]), Run::new("r2", "right", &[("2024-05-01", "b")]));
        let (mut first, mut second) = (lake.open_or_create().await, lake.open_or_create().await);
        let (first_draft, second_draft) =
            (left.stage(&first).await.unwrap(), right.stage(&second).await.unwrap());
        assert_eq!(first.commit(first_draft).await.unwrap(), CommitOutcome::Committed { number: 1 });
        assert_eq!(second.commit(second_draft).await.unwrap(), CommitOutcome::Committed { number: 2 });
        assert_eq!(lake.rows().await, sorted(&[&left, &right]));
    }
}

#[tokio::test]
async fn a_lost_race_for_the_same_batch_is_a_conflict() {
    for lake in Lake::everywhere() {
        let (left, right) =
            (Run::new("r1", "day", &[("2024-05-01", "a")]), Run::new("r2", "day", &[("2024-05-01", "b")]));
        let (mut first, mut second) = (lake.open_or_create().await, lake.open_or_create().await);
        let (first_draft, second_draft) =
            (left.stage(&first).await.unwrap(), right.stage(&second).await.unwrap());
        first.commit(first_draft).await.unwrap();
        let error = second.commit(second_draft).await.unwrap_err();
        assert_eq!(error.to_string(), "batch `day` was committed meanwhile by run `r1` as commit 1");
        assert_eq!(lake.rows().await, left.rows());
        assert_eq!(lake.names("_staging").await, [""; 0], "the loser's files are discarded");
        assert_eq!(lake.open().await.state().last_commit(), 1);
    }
}

#[tokio::test]
async fn a_lost_race_with_the_same_inputs_is_already_done() {
    for lake in Lake::everywhere() {
        let left = Run::new("r1", "day", &[("2024-05-01", "a")]);
        let right = Run { id: "r2".to_owned(), ..left.clone() };
        let (mut first, mut second) = (lake.open_or_create().await, lake.open_or_create().await);
        let (first_draft, second_draft) =
            (left.stage(&first).await.unwrap(), right.stage(&second).await.unwrap());
        first.commit(first_draft).await.unwrap();
        assert_eq!(second.commit(second_draft).await.unwrap(), CommitOutcome::AlreadyDone { number: 1 });
        assert_eq!(lake.rows().await, left.rows());
        assert_eq!(lake.names("_staging").await, [""; 0]);
    }
}

/// Tasks of a cluster and of a service hold tables across threads.
#[test]
fn what_a_table_does_can_move_between_threads() {
    fn check<T: Send>(_: impl Fn(&'static mut Table) -> T) {}
    check(|table| table.files(None));
    check(|table| table.log(1));
    check(|table| table.gc(Duration::ZERO, Timestamp::UNIX_EPOCH));
    check(|table| table.commit(Run::new("r1", "day", &[]).empty_draft()));
    check(|table| {
        let staging = table.staging("r1");
        async move { staging.discard().await }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_writers_at_once_all_land() {
    for lake in Lake::everywhere() {
        let runs: Vec<_> = (0..8)
            .map(|index| {
                let (id, batch, row) = (format!("r{index}"), format!("batch{index}"), format!("row{index}"));
                Run::new(&id, &batch, &[("2024-05-01", &row), ("2024-05-02", &row)])
            })
            .collect();
        let writers: Vec<_> = runs
            .iter()
            .map(|run| {
                let (run, stores, root) = (run.clone(), lake.stores(), lake.root.clone());
                tokio::spawn(async move {
                    let mut table = Table::open_or_create(&stores, &root).await.unwrap();
                    let draft = run.stage(&table).await.unwrap();
                    table.commit(draft).await.unwrap()
                })
            })
            .collect();
        let mut numbers = Vec::new();
        for writer in writers {
            let CommitOutcome::Committed { number } = writer.await.unwrap() else { panic!("not committed") };
            numbers.push(number);
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
        assert_eq!(lake.rows().await, sorted(&runs.iter().collect::<Vec<_>>()));
    }
}

/// The slow writer computes its manifest, is overtaken by a whole commit, and then writes what it computed.
#[tokio::test]
async fn an_overtaken_publisher_corrects_its_manifest() {
    let memory = Arc::new(InMemory::new());
    let lake = Lake { handle: StoreHandle::with_multipart(Arc::clone(&memory)), ..Lake::in_memory() };
    let first = Run::new("r1", "left", &[("2024-05-01", "a")]);
    lake.run(&first).await.unwrap();
    let overtaking =
        Run { ready: vec!["dt=2024-05-01".to_owned()], ..Run::new("r3", "left", &[("2024-05-01", "c")]) };
    for place in ["_symlink_format_manifest/dt=2024-05-01", "_ready/dt=2024-05-01"] {
        let slow = Run {
            ready: vec!["dt=2024-05-01".to_owned()],
            ..Run::new(&format!("slow-{}", place.len()), "right", &[("2024-05-01", "b")])
        };
        let fast = Run { id: format!("fast-{}", place.len()), ..overtaking.clone() };
        let (stores, root, run) = (lake.stores(), lake.root.clone(), fast.clone());
        let overtake = async move {
            let mut table = Table::open_or_create(&stores, &root).await.unwrap();
            let draft = run.stage(&table).await.unwrap();
            table.commit(draft).await.unwrap();
        };
        let store = Faulty::new(&memory, i64::MAX, false).before_put(place, overtake);
        let stores = lake.stores_with(StoreHandle::with_multipart(Arc::new(store)));
        let mut table = Table::open_or_create(&stores, &lake.root).await.unwrap();
        let draft = slow.stage(&table).await.unwrap();
        table.commit(draft).await.unwrap();
        assert_eq!(lake.rows().await, sorted(&[&fast, &slow]), "{place}");
        let ready = lake.text(&lake.root.join("_ready/dt=2024-05-01.json").unwrap()).await;
        assert!(ready.contains(&format!(r#""run_id":"{}""#, fast.id)), "{ready}");
    }
}

#[tokio::test]
async fn large_files_go_in_parts_and_come_back_whole() {
    for lake in Lake::everywhere() {
        let mut table = lake.open_or_create().await;
        let mut writer = table.staging("r1").create(TableKind::Main, "dt=2024-05-01", "a.parquet").unwrap();
        // 9 MiB in odd pieces: two parts of an upload, ten writes to a disk.
        let content: Vec<u8> = (0..9_437_184_u32).map(|index| u8::try_from(index % 251).unwrap()).collect();
        for piece in content.chunks(300_007) {
            writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        let staged = writer.finish().await.unwrap();
        assert_eq!(staged.bytes, 9_437_184);
        if let StagedAs::Multipart { parts, .. } = &staged.staged {
            assert_eq!(parts.len(), 2);
        }
        let sent = serde_json::to_string(&staged).unwrap();
        let staged: StagedFile = serde_json::from_str(&sent).unwrap();
        let draft =
            CommitDraft { files: vec![data_file(staged, 1)], ..Run::new("r1", "b", &[]).empty_draft() };
        table.commit(draft).await.unwrap();
        let file = lake.root.join("dt=2024-05-01/a.parquet").unwrap();
        let read = lake.handle.store.get(file.path()).await.unwrap().bytes().await.unwrap();
        assert!(read == content);
    }
}

#[tokio::test]
async fn aborted_and_uncommitted_files_leave_nothing() {
    for lake in Lake::everywhere() {
        let mut table = lake.open_or_create().await;
        let run = Run::new("r1", "day", &[("2024-05-01", "a")]);
        let draft = run.stage(&table).await.unwrap();
        let staging = table.staging("r1");
        let mut aborted = staging.create(TableKind::Main, "dt=2024-05-01", "aborted.parquet").unwrap();
        aborted.write(Bytes::from(vec![0; 9 << 20])).await.unwrap();
        aborted.abort().await.unwrap();
        // A second attempt of the same task, whose rows the driver did not take.
        let mut spare = staging.create(TableKind::Main, "dt=2024-05-01", "spare.parquet").unwrap();
        spare.write(Bytes::from_static(b"a\n")).await.unwrap();
        spare.finish().await.unwrap();
        assert_eq!(lake.names("_staging").await.len(), 2);
        table.commit(draft).await.unwrap();
        assert_eq!(lake.rows().await, run.rows());
        assert_eq!(lake.names("_staging").await, [""; 0]);

        Run::new("r2", "day", &[("2024-05-01", "b"), ("!2024-05-01", "c")]).stage(&table).await.unwrap();
        assert_eq!(table.staging("r2").discard().await.unwrap(), 2);
        assert_eq!(lake.names("_staging").await, [""; 0]);
    }
}

#[tokio::test]
async fn a_table_without_partitions_works_too() {
    for lake in Lake::everywhere() {
        let mut table = lake.open_or_create().await;
        let mut writer = table.staging("r1").create(TableKind::Main, "", "a.parquet").unwrap();
        writer.write(Bytes::from_static(b"a\n")).await.unwrap();
        let staged = writer.finish().await.unwrap();
        let flat = |draft: CommitDraft| CommitDraft {
            schema: TableSchema { partition_column: None, ..draft.schema.clone() },
            ..draft
        };
        let draft =
            CommitDraft { files: vec![data_file(staged, 1)], ..Run::new("r1", "b", &[]).empty_draft() };
        table.commit(flat(draft)).await.unwrap();
        assert_eq!(lake.rows().await, ["a@"]);
        assert_eq!(lake.names("_symlink_format_manifest").await, ["manifest"]);
    }
}

#[tokio::test]
async fn an_object_of_a_run_is_created_once_and_goes_with_its_staging() {
    for lake in Lake::everywhere() {
        let staging = Staging::new(&lake.stores(), &lake.root, "r1-2").unwrap();
        assert_eq!(staging.get("manifests/a.json").await.unwrap(), None);
        let mut writers = Vec::new();
        for writer in 0..8 {
            let staging = staging.clone();
            let bytes = Bytes::from(format!("writer {writer}"));
            writers.push(tokio::spawn(async move {
                (bytes.clone(), staging.put_new("manifests/a.json", bytes).await.unwrap())
            }));
        }
        let mut created = Vec::new();
        let mut seen = Vec::new();
        for writer in writers {
            match writer.await.unwrap() {
                (own, PutNew::Created) => created.push(own),
                (_, PutNew::Exists(winner)) => seen.push(winner),
            }
        }
        assert_eq!((created.len(), seen.len()), (1, 7));
        assert!(seen.iter().all(|winner| *winner == created[0]));
        let again = Staging::new(&lake.stores(), &lake.root, "r1-2").unwrap();
        assert_eq!(again.get("manifests/a.json").await.unwrap(), Some(created.remove(0)));
        let other = Staging::new(&lake.stores(), &lake.root, "r1-3").unwrap();
        assert_eq!(other.get("manifests/a.json").await.unwrap(), None, "attempts are apart");
        for bad in ["", "/a", "a//b", "../a", "_a", "a#"] {
            let refused = staging.put_new(bad, Bytes::new()).await.unwrap_err();
            assert!(matches!(refused, TableError::InvalidName { what: "object name", .. }), "{bad}");
        }
        assert_eq!(staging.discard().await.unwrap(), 1);
        assert_eq!(staging.get("manifests/a.json").await.unwrap(), None);
        assert_eq!(lake.names("_staging").await, [""; 0]);
    }
}

#[tokio::test]
async fn a_later_attempt_stages_apart_and_its_leftovers_go_with_its_commit() {
    for lake in Lake::everywhere() {
        let mut table = lake.open_or_create().await;
        let attempt = Run::new("r1-2", "b", &[("2024-05-01", "1 2")]);
        let staged = attempt.stage(&table).await.unwrap();
        let leftover = table.staging("r1-2").put_new("notes", Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(leftover, PutNew::Created);
        let outcome = table.append(CommitDraft { run_id: "r1".to_owned(), ..staged }).await.unwrap();
        assert_eq!(outcome, CommitOutcome::Committed { number: 1 });
        assert_eq!(table.state().batch("b").unwrap().run_id, "r1");
        assert_eq!(lake.rows().await, [""; 0], "nothing is seen before it is published");
        table.publish(1).await.unwrap();
        assert_eq!(lake.rows().await, attempt.rows());
        assert_eq!(lake.names("_staging").await, [""; 0]);
    }
}
