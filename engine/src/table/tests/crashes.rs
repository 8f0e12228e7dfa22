use super::faulty::Faulty;
use super::*;

/// Two batches with rows in each other's partitions, then a rerun of the first that leaves a partition empty.
fn history() -> [Run; 3] {
    [
        Run::new("r1", "day1", &[("2024-05-01", "a b"), ("2024-05-03", "gone"), ("!2024-05-01", "x")]),
        Run::new("r2", "day2", &[("2024-05-02", "c"), ("2024-05-01", "late")]),
        Run {
            ready: vec!["dt=2024-05-01".to_owned()],
            ..Run::new("r3", "day1", &[("2024-05-01", "a b2"), ("2024-05-02", "late1"), ("!2024-05-02", "y")])
        },
    ]
}

async fn start(lake: &Lake) {
    for run in &history()[..2] {
        lake.run(run).await.unwrap();
    }
}

/// Runs the third run of [`history`] until the store dies after `changes`; tells whether it died.
async fn run_until<S: ObjectStore>(
    lake: &Lake,
    store: Faulty<S>,
    handle: impl Fn(Arc<Faulty<S>>) -> StoreHandle,
) -> bool {
    let store = Arc::new(store);
    let stores = lake.stores_with(handle(Arc::clone(&store)));
    let attempt = async {
        let mut table = Table::open_or_create(&stores, &lake.root).await?;
        let draft = history()[2].stage(&table).await?;
        table.commit(draft).await
    };
    let outcome = attempt.await;
    assert_eq!(outcome.is_err(), store.is_dead(), "{outcome:?}");
    store.is_dead()
}

/// After a crash the table is the old one or, once reopened, the new one; nothing in between.
async fn check_old_or_new(lake: &Lake) -> u64 {
    let [first, second, third] = history();
    let has_record = lake.names("_commits").await.contains(&"00000000000000000003.json".to_owned());
    let table = lake.open().await;
    let expected = if has_record { sorted(&[&second, &third]) } else { sorted(&[&first, &second]) };
    assert_eq!(table.state().last_commit(), if has_record { 3 } else { 2 });
    assert_eq!(lake.rows().await, expected);
    let committed: u64 = table.state().files(TableKind::Main).map(|file| file.rows).sum();
    assert_eq!(committed, expected.iter().filter(|row| !row.starts_with('!')).count() as u64);
    if has_record {
        assert_eq!(lake.names("_staging").await, [""; 0]);
        assert!(lake.names("_ready").await.contains(&"dt=2024-05-01.json".to_owned()));
        assert!(lake.names("_commits").await.contains(&"00000000000000000003.published".to_owned()));
        let before = table.files(Some(2)).await.unwrap();
        assert_eq!(before.len(), 5);
        assert!(before.iter().all(|file| file.whereabouts.location().is_some()), "{before:?}");
    }
    table.state().last_commit()
}

/// Then the run is started again, and again gives the new table.
async fn check_rerun(lake: &Lake) {
    let [_, second, third] = history();
    let rerun = Run { id: "r4".to_owned(), ..third };
    lake.run(&rerun).await.unwrap();
    assert_eq!(lake.rows().await, sorted(&[&second, &rerun]));
}

#[tokio::test]
async fn a_writer_that_dies_after_any_change_leaves_old_or_new_in_a_bucket() {
    for last_one_happens in [false, true] {
        let mut outcomes = [0; 2];
        for changes in 0.. {
            let memory = Arc::new(InMemory::new());
            let lake = Lake { handle: StoreHandle::with_multipart(Arc::clone(&memory)), ..Lake::in_memory() };
            start(&lake).await;
            let store = Faulty::new(&memory, changes, last_one_happens);
            let died = run_until(&lake, store, StoreHandle::with_multipart).await;
            outcomes[usize::from(check_old_or_new(&lake).await == 3)] += 1;
            check_rerun(&lake).await;
            if !died {
                break;
            }
        }
        assert!(outcomes.iter().all(|count| *count >= 10), "{outcomes:?}");
    }
}

#[tokio::test]
async fn a_writer_that_dies_after_any_change_leaves_old_or_new_on_a_disk() {
    for last_one_happens in [false, true] {
        let mut outcomes = [0; 2];
        for changes in 0.. {
            let lake = Lake::on_disk();
            start(&lake).await;
            let store = Faulty::new(&Arc::new(LocalFileSystem::new()), changes, last_one_happens).renaming();
            let died = run_until(&lake, store, |store| StoreHandle::without_multipart(store)).await;
            outcomes[usize::from(check_old_or_new(&lake).await == 3)] += 1;
            check_rerun(&lake).await;
            if !died {
                break;
            }
        }
        assert!(outcomes[0] >= 2 && outcomes[1] >= 10, "{outcomes:?}");
    }
}

#[tokio::test]
async fn a_recovery_that_dies_is_recovered() {
    // The record is the tenth change or so; each later death is followed by deaths during the roll-forward.
    for changes in 0.. {
        let mut died = false;
        for recovery_changes in 0.. {
            let memory = Arc::new(InMemory::new());
            let lake = Lake { handle: StoreHandle::with_multipart(Arc::clone(&memory)), ..Lake::in_memory() };
            start(&lake).await;
            died = run_until(&lake, Faulty::new(&memory, changes, true), StoreHandle::with_multipart).await;
            let store = Arc::new(Faulty::new(&memory, recovery_changes, true));
            let stores = lake.stores_with(StoreHandle::with_multipart(Arc::clone(&store)));
            let opened = Table::open(&stores, &lake.root).await;
            assert_eq!(opened.is_err(), store.is_dead());
            check_old_or_new(&lake).await;
            if !store.is_dead() {
                break;
            }
        }
        if !died {
            break;
        }
    }
}

/// A commit that nobody published is overtaken by one that supersedes its files.
#[tokio::test]
async fn an_unpublished_commit_is_published_before_the_next() {
    let memory = Arc::new(InMemory::new());
    let lake = Lake { handle: StoreHandle::with_multipart(Arc::clone(&memory)), ..Lake::in_memory() };
    let [first, ..] = history();
    // Probe 3, staging 3 files of 3 changes each, record: the store dies right after the record.
    let store = Arc::new(Faulty::new(&memory, 12, true));
    let stores = lake.stores_with(StoreHandle::with_multipart(store));
    let mut table = Table::open_or_create(&stores, &lake.root).await.unwrap();
    let draft = first.stage(&table).await.unwrap();
    let error = table.commit(draft).await.unwrap_err();
    assert!(!matches!(error, TableError::Conflict { .. }), "{error}");
    assert_eq!(lake.names("_commits").await, ["00000000000000000001.json"]);

    let second = Run::new("r2", "day1", &[("2024-05-01", "b")]);
    lake.run(&second).await.unwrap();
    assert_eq!(lake.rows().await, second.rows());
    let before = lake.open().await.files(Some(1)).await.unwrap();
    assert_eq!(before.len(), 3);
    assert!(before.iter().all(|file| matches!(file.whereabouts, Whereabouts::Superseded { by: 2, .. })));
}

#[tokio::test]
async fn a_commit_whose_publishing_fails_says_that_it_stands() {
    let memory = Arc::new(InMemory::new());
    let lake = Lake { handle: StoreHandle::with_multipart(Arc::clone(&memory)), ..Lake::in_memory() };
    let [first, ..] = history();
    let store = Arc::new(Faulty::new(&memory, 13, false));
    let mut table = Table::open_or_create(&lake.stores_with(StoreHandle::with_multipart(store)), &lake.root)
        .await
        .unwrap();
    let draft = first.stage(&table).await.unwrap();
    let error = table.commit(draft).await.unwrap_err();
    assert!(matches!(error, TableError::Unpublished { number: 1, .. }), "{error:?}");
    assert!(error.is_retryable());
    lake.open().await;
    assert_eq!(lake.rows().await, sorted(&[&first]));
}
