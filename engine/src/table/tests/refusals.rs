use super::*;

async fn refusal(lake: &Lake) -> String {
    Table::open_or_create(&lake.stores(), &lake.root).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_folder_of_somebody_else_is_refused_by_what_it_holds() {
    for foreign in ["notes.txt", "dt=2024-05-01/a.parquet", "_delta_log/0.json", "_commits.txt"] {
        for lake in Lake::everywhere() {
            lake.put(foreign, "x").await;
            let found = foreign.split('/').next().unwrap();
            assert_eq!(
                refusal(&lake).await,
                format!(
                    "`{}` is not a Cambist table: it holds `{found}`; expected an empty or new folder, or a table",
                    lake.root
                )
            );
            assert_eq!(lake.names("").await, [foreign], "nothing was written");
            let error = Table::open(&lake.stores(), &lake.root).await.unwrap_err();
            assert!(matches!(error, TableError::NoTable { .. }), "{error}");
        }
    }
}

#[tokio::test]
async fn a_folder_with_our_own_leftovers_is_ours() {
    for lake in Lake::everywhere() {
        lake.put("_staging/dead/dt=2024-05-01/a.parquet.staged", "x").await;
        lake.put("_commits/.probe-1", "x").await;
        let run = Run::new("r1", "day", &[("2024-05-01", "a")]);
        lake.run(&run).await.unwrap();
        assert_eq!(lake.rows().await, run.rows());
    }
}

#[tokio::test]
async fn a_file_is_no_table() {
    let lake = Lake::on_disk();
    let path = lake.root.local_path().unwrap();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "x").unwrap();
    assert_eq!(refusal(&lake).await, format!("`{}` is a file, expected a folder", lake.root));
}

#[tokio::test]
async fn the_quarantine_of_a_lost_table_is_not_taken_over() {
    for lake in Lake::everywhere() {
        lake.run(&Run::new("r1", "day", &[("2024-05-01", "a")])).await.unwrap();
        for object in lake.objects(&lake.root).await {
            lake.handle.store.delete(object.path()).await.unwrap();
        }
        if let Some(path) = lake.root.local_path() {
            std::fs::remove_dir_all(path).unwrap();
        }
        let refused = refusal(&lake).await;
        assert!(refused.contains("processed data_quarantine` is not a Cambist table"), "{refused}");
        assert!(refused.contains("_commits/00000000000000000001.json"), "{refused}");
    }
}

#[tokio::test]
async fn a_quarantine_is_not_opened_as_a_table() {
    for lake in Lake::everywhere() {
        lake.run(&Run::new("r1", "day", &[("2024-05-01", "a"), ("!2024-05-01", "x")])).await.unwrap();
        let quarantine = lake.root_of(TableKind::Quarantine);
        for error in [
            Table::open(&lake.stores(), &quarantine).await.unwrap_err(),
            Table::open_or_create(&lake.stores(), &quarantine).await.unwrap_err(),
        ] {
            assert!(matches!(error, TableError::IsQuarantine { .. }), "{error}");
        }
    }
}

#[tokio::test]
async fn other_columns_are_refused_and_nothing_is_written() {
    for lake in Lake::everywhere() {
        let run = Run::new("r1", "day", &[("2024-05-01", "a")]);
        lake.run(&run).await.unwrap();
        let mut table = lake.open_or_create().await;
        let draft = Run::new("r2", "other", &[]).empty_draft();
        let draft =
            CommitDraft { schema: schema(&[("id", "bigint"), ("amount_jpy", "decimal(38,0)")]), ..draft };
        let error = table.commit(draft).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "column 2 is `amount_jpy` decimal(38,0) instead of `amount_inr` decimal(38,2) in the main table; \
             expected the columns that the table already has"
        );
        assert_eq!(lake.open().await.state().last_commit(), 1);
    }
}

#[tokio::test]
async fn a_file_name_is_used_once() {
    for lake in Lake::everywhere() {
        let run = Run::new("r1", "day", &[("2024-05-01", "a")]);
        lake.run(&run).await.unwrap();
        let same_names = Run { batch: "other".to_owned(), ..run.clone() };
        let error = lake.run(&same_names).await.unwrap_err();
        assert!(matches!(error, TableError::DuplicatePath { .. }), "{error}");
        assert_eq!(lake.rows().await, run.rows());
    }
}

#[tokio::test]
async fn names_that_would_hide_or_misplace_a_file_are_refused() {
    let lake = Lake::in_memory();
    let table = lake.open_or_create().await;
    let error = |run: &str, partition: &str, name: &str| {
        table.staging(run).create(TableKind::Main, partition, name).unwrap_err().to_string()
    };
    assert_eq!(
        error("r1", "dt=2024-05-01", "_a.parquet"),
        "file name `_a.parquet` cannot be used, expected a name without `/`, control characters or `#` that \
         does not begin with `_` or `.`"
    );
    assert!(error("r1", "../x", "a.parquet").starts_with("partition `..`"));
    assert!(error("r1", "dt=1//x=2", "a.parquet").starts_with("partition ``"));
    assert!(error("", "dt=1", "a.parquet").starts_with("run id ``"));
    assert!(error("r/1", "dt=1", "a.parquet").starts_with("run id `r/1`"));
}

#[tokio::test]
async fn a_damaged_or_newer_log_is_named() {
    let lake = Lake::in_memory();
    for id in ["r1", "r2", "r3"] {
        lake.run(&Run::new(id, id, &[("2024-05-01", "a")])).await.unwrap();
    }
    let message = async || Table::open(&lake.stores(), &lake.root).await.unwrap_err().to_string();
    let second = "_commits/00000000000000000002.json";
    let text = lake.text(&lake.root.join(second).unwrap()).await;
    lake.put(second, &text.replacen(r#""version":1"#, r#""version":4"#, 1)).await;
    assert_eq!(message().await, format!("`{second}` has version 4, expected at most 3: upgrade cambist"));
    lake.put(second, &text[..text.len() / 2]).await;
    assert!(message().await.starts_with(&format!("the commit log is damaged at `{second}`: EOF")));
    lake.handle.store.delete(lake.root.join(second).unwrap().path()).await.unwrap();
    assert_eq!(message().await, format!("the commit log is damaged at `{second}`: the record is missing"));
}

#[tokio::test]
async fn foreign_names_in_the_log_are_ignored() {
    for lake in Lake::everywhere() {
        let run = Run::new("r1", "day", &[("2024-05-01", "a")]);
        lake.run(&run).await.unwrap();
        lake.put("_commits/README", "x").await;
        lake.put("_commits/2.json", "x").await;
        if let Some(folder) = lake.root.local_path() {
            std::fs::write(folder.join("_commits/00000000000000000002.json#1"), "half").unwrap();
        }
        lake.run(&Run { id: "r2".to_owned(), ..run.clone() }).await.unwrap();
        assert_eq!(lake.rows().await, run.rows());
    }
}
