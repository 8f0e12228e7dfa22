use super::*;

#[tokio::test]
async fn earlier_commits_can_be_read_until_their_files_are_collected() {
    for lake in Lake::everywhere() {
        let first = Run::new("r1", "day", &[("2024-05-01", "a b"), ("!2024-05-01", "x")]);
        let second = Run::new("r2", "day", &[("2024-05-01", "c")]);
        lake.run(&first).await.unwrap();
        lake.run(&second).await.unwrap();
        let mut table = lake.open().await;

        let mut rows = Vec::new();
        for file in table.files(Some(1)).await.unwrap() {
            assert!(matches!(file.whereabouts, Whereabouts::Superseded { by: 2, .. }));
            rows.extend(lake.file_rows(file.whereabouts.location().unwrap()).await);
        }
        rows.sort_unstable();
        assert_eq!(rows, sorted(&[&first]));
        let now = table.files(None).await.unwrap();
        assert_eq!(now.len(), 1);
        assert!(matches!(now[0].whereabouts, Whereabouts::Live(_)));
        assert!(table.files(Some(0)).await.unwrap().is_empty());

        // The commits are of 2024-05-02T03:04:05Z; a day later nothing is older than two days.
        let two_days = Duration::from_secs(2 * 86_400);
        let report = table.gc(two_days, instant("2024-05-03T03:04:05Z")).await.unwrap();
        assert_eq!(report, GcReport::default());
        // `a\nb\n` and `!x\n`: seven bytes.
        let report = table.gc(two_days, instant("2024-05-04T03:04:06Z")).await.unwrap();
        assert_eq!(report, GcReport { history_files: 2, history_bytes: 7, ..GcReport::default() });
        assert_eq!(lake.names("_history").await, [""; 0]);
        assert_eq!(lake.rows().await, sorted(&[&second]));
        for file in table.files(Some(1)).await.unwrap() {
            assert_eq!(file.whereabouts, Whereabouts::Collected { by: 2 });
        }
    }
}

#[tokio::test]
async fn retained_files_stay_for_their_time_and_go_to_the_history() {
    for lake in Lake::everywhere() {
        let first = Run::new("r1", "day", &[("2024-05-01", "a")]);
        let second = Run { retain_superseded_seconds: 3600, ..Run::new("r2", "day", &[("2024-05-01", "b")]) };
        lake.run(&first).await.unwrap();
        lake.run(&second).await.unwrap();
        assert_eq!(lake.manifest_rows(TableKind::Main).await, second.rows());
        assert_eq!(lake.flat_rows(TableKind::Main).await, sorted(&[&first, &second]));
        let mut table = lake.open().await;
        let place = |files: Vec<TableFile>| files[0].whereabouts.location().unwrap().to_string();
        assert!(
            place(table.files(Some(1)).await.unwrap()).ends_with("dt=2024-05-01/part-00000-r1.zstd.parquet")
        );

        let month = Duration::from_secs(30 * 86_400);
        let report = table.gc(month, instant("2024-05-02T04:04:04Z")).await.unwrap();
        assert_eq!(report, GcReport::default());
        let report = table.gc(month, instant("2024-05-02T04:04:05Z")).await.unwrap();
        assert_eq!(report, GcReport { retired_files: 1, ..GcReport::default() });
        assert_eq!(lake.rows().await, second.rows());
        assert!(
            place(table.files(Some(1)).await.unwrap()).ends_with("part-00000-r1.zstd.parquet.superseded")
        );
    }
}

#[tokio::test]
async fn what_dead_runs_staged_is_collected() {
    for lake in Lake::everywhere() {
        let live = Run::new("r1", "day", &[("2024-05-01", "a")]);
        lake.run(&live).await.unwrap();
        let mut table = lake.open().await;
        let dead = Run::new("dead", "other", &[("2024-05-01", "b"), ("!2024-05-01", "c")]);
        let draft = dead.stage(&table).await.unwrap();
        let day = Duration::from_secs(86_400);
        #[expect(clippy::disallowed_methods, reason = "the store dates its objects by the same clock")]
        let soon = Timestamp::now();
        assert_eq!(table.gc(day, soon).await.unwrap(), GcReport::default(), "a young run may be alive");

        let report = table.gc(day, instant("2200-01-01T00:00:00Z")).await.unwrap();
        assert_eq!(report.staged_files, 2);
        assert_eq!(report.uploads_aborted, if lake.handle.multipart.is_some() { 2 } else { 0 });
        assert_eq!(lake.names("_staging").await, [""; 0]);
        assert_eq!(lake.rows().await, live.rows());
        // The run was alive after all: it must not commit files that are gone.
        let error = table.commit(draft).await.unwrap_err();
        assert!(matches!(error, TableError::StagedFileMissing { .. }), "{error}");
        assert_eq!(lake.rows().await, live.rows());
    }
}

#[tokio::test]
async fn a_checkpoint_holds_what_the_whole_log_folds_to() {
    let lake = Lake::in_memory();
    for index in 0..70 {
        let (id, batch) = (format!("r{index}"), format!("batch{}", index % 5));
        let ready = vec![format!("dt=2024-05-0{}", index % 3 + 1)];
        let day = format!("2024-05-0{}", index % 3 + 1);
        lake.run(&Run { ready, ..Run::new(&id, &batch, &[(&day, &id), ("!2024-05-01", &id)]) })
            .await
            .unwrap();
    }
    let names = lake.names("_commits").await;
    assert_eq!(names.iter().filter(|name| name.contains("checkpoint")).count(), 2, "{names:?}");
    assert!(names.contains(&"00000000000000000064.checkpoint.json".to_owned()));
    let with_checkpoint = lake.open().await;
    let at_66 = with_checkpoint.files(Some(66)).await.unwrap();
    let at_3 = with_checkpoint.files(Some(3)).await.unwrap();
    assert_eq!(at_3.len(), 6);

    // Without the hint, the newest checkpoint is found by listing; without any, the records are folded.
    for gone in ["_commits/_last_checkpoint", "_commits/00000000000000000064.checkpoint.json"] {
        lake.handle.store.delete(lake.root.join(gone).unwrap().path()).await.unwrap();
        let folded = lake.open().await;
        assert_eq!(folded.state(), with_checkpoint.state(), "without {gone}");
        assert_eq!(folded.files(Some(66)).await.unwrap(), at_66);
    }
    // A hint at a checkpoint that is gone does no harm.
    lake.put("_commits/_last_checkpoint", r#"{"number":64}"#).await;
    assert_eq!(lake.open().await.state(), with_checkpoint.state());
    assert_eq!(with_checkpoint.state().files(TableKind::Main).count(), 5);
}

#[tokio::test]
async fn the_log_tells_the_newest_commits_first() {
    let lake = Lake::in_memory();
    for id in ["r1", "r2", "r3"] {
        lake.run(&Run::new(id, "day", &[("2024-05-01", "a")])).await.unwrap();
    }
    let table = lake.open().await;
    let ids = async |limit| {
        table.log(limit).await.unwrap().into_iter().map(|record| record.run_id).collect::<Vec<_>>()
    };
    assert_eq!(ids(2).await, ["r3", "r2"]);
    assert_eq!(ids(u64::MAX).await, ["r3", "r2", "r1"]);
    let second = table.record(2).await.unwrap();
    assert_eq!(second.main.remove.len(), 1);
    assert_eq!(second.main.remove[0].added_by, 1);
    assert_eq!(second.committed_at, "2024-05-02T03:04:05Z");
    let error = table.record(4).await.unwrap_err();
    assert_eq!(error.to_string(), "no commit 4, expected 1 to 3");
}

#[tokio::test]
async fn ddl_names_the_columns_as_they_were_written() {
    let lake = Lake::in_memory();
    lake.run(&Run::new("r1", "day", &[("2024-05-01", "a")])).await.unwrap();
    let table = lake.open().await;
    let options = |dialect, kind| DdlOptions {
        dialect,
        table_name: "lake.processed_data".to_owned(),
        table: kind,
        first_day: "2020-01-01".to_owned(),
    };
    assert_eq!(
        table.ddl(&options(DdlDialect::Athena, TableKind::Main)).unwrap(),
        "CREATE EXTERNAL TABLE lake.processed_data (
  `id` bigint,
  `amount_inr` decimal(38,2)
)
PARTITIONED BY (`dt` string)
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
LOCATION 's3://lake/processed data/_symlink_format_manifest/'
TBLPROPERTIES (
  'projection.enabled'='true',
  'projection.dt.type'='date',
  'projection.dt.format'='yyyy-MM-dd',
  'projection.dt.range'='2020-01-01,NOW+1DAY',
  'projection.dt.interval'='1',
  'projection.dt.interval.unit'='DAYS',
  'storage.location.template'='s3://lake/processed data/_symlink_format_manifest/dt=${dt}/'
);
"
    );
    assert_eq!(
        table.ddl(&options(DdlDialect::Hive, TableKind::Quarantine)).unwrap(),
        "CREATE EXTERNAL TABLE lake.processed_data (
  `reason` string
)
PARTITIONED BY (`dt` string)
STORED AS PARQUET
LOCATION 's3://lake/processed data_quarantine/';
MSCK REPAIR TABLE lake.processed_data;
"
    );
}
