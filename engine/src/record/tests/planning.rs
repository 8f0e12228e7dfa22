use std::collections::BTreeMap;

use super::*;

const MIB: u64 = 1 << 20;

fn meta(name: &str, size: u64) -> ObjectMeta {
    PartitionedFile::new(name, size).object_meta
}

fn shape(groups: &[FileGroup]) -> Vec<Vec<(String, u64, u64)>> {
    let file = |file: &PartitionedFile| {
        let (start, end) = file.range();
        (file.path().to_string(), start, end)
    };
    groups.iter().map(|group| group.iter().map(file).collect()).collect()
}

fn splittable() -> RecordConfig {
    RecordConfig { quoted_newlines: false, ..RecordConfig::new(Format::Csv) }
}

#[test]
fn splittable_files_are_cut_into_equal_parts() {
    let groups =
        plan_groups(&[meta("b", 4 * MIB), meta("a", 8 * MIB)], &splittable(), &GroupPlan::per_slot(3));
    let expected = [
        vec![("a".to_owned(), 0, 4 * MIB)],
        vec![("a".to_owned(), 4 * MIB, 8 * MIB)],
        vec![("b".to_owned(), 0, 4 * MIB)],
    ];
    assert_eq!(shape(&groups), expected);
}

#[test]
fn whole_files_go_to_the_emptiest_group() {
    let files = [meta("a", 5), meta("b", 9), meta("c", 4), meta("d", 1)];
    let groups = plan_groups(&files, &RecordConfig::new(Format::Json), &GroupPlan::per_slot(2));
    let names: Vec<Vec<String>> =
        shape(&groups).into_iter().map(|group| group.into_iter().map(|(name, ..)| name).collect()).collect();
    // 9 | 5, 4 and then the 1 to the first of two equal groups.
    assert_eq!(names, [vec!["b", "d"], vec!["a", "c"]]);
}

#[test]
fn splittable_files_fill_up_beside_compressed_ones() {
    let groups = plan_groups(
        &[meta("a.csv.gz", 6 * MIB), meta("b.csv", 10 * MIB)],
        &splittable(),
        &GroupPlan::per_slot(2),
    );
    let expected = [
        vec![("a.csv.gz".to_owned(), 0, 6 * MIB), ("b.csv".to_owned(), 0, 2 * MIB)],
        vec![("b.csv".to_owned(), 2 * MIB, 10 * MIB)],
    ];
    assert_eq!(shape(&groups), expected);
}

#[test]
fn every_byte_is_in_one_group_whatever_the_sizes() {
    let sizes = [0, 1, 700_000, MIB, 3 * MIB + 17, 40 * MIB + 1, 5, 2 * MIB - 1];
    let mut files: Vec<ObjectMeta> =
        sizes.iter().enumerate().map(|(index, size)| meta(&format!("f{index}"), *size)).collect();
    files.push(meta("z.gz", 9 * MIB));
    for partitions in 1..20 {
        let groups = plan_groups(&files, &splittable(), &GroupPlan::per_slot(partitions));
        assert!(groups.len() <= partitions);
        let mut ranges: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
        for (name, start, end) in shape(&groups).into_iter().flatten() {
            ranges.entry(name).or_default().push((start, end));
        }
        for file in files.iter().filter(|file| file.size > 0) {
            let mut found = ranges.remove(file.location.as_ref()).unwrap();
            found.sort_unstable();
            let mut next = 0;
            for (start, end) in found {
                assert_eq!(start, next);
                assert!(end > start);
                next = end;
            }
            assert_eq!(next, file.size);
        }
        assert!(ranges.is_empty());
        let mut reversed = files.clone();
        reversed.reverse();
        assert_eq!(
            shape(&plan_groups(&reversed, &splittable(), &GroupPlan::per_slot(partitions))),
            shape(&groups)
        );
    }
}

/// Tasks of about `task_bytes`, in full rounds of `slots`; a source too small to share stays whole.
#[test]
fn tasks_are_sized_by_bytes_and_use_all_slots() {
    let tasks = |slots, task_mib: u64, files, bytes| {
        GroupPlan { slots, task_bytes: Some(task_mib * MIB) }.tasks(files, bytes)
    };
    assert_eq!(tasks(4, 128, 1, 1000 * MIB), 8);
    assert_eq!(tasks(3, 128, 1, 1000 * MIB), 9);
    assert_eq!(tasks(4, 128, 1, 4 * MIB), 4);
    assert_eq!(tasks(4, 128, 1, 4 * MIB - 1), 1);
    assert_eq!(tasks(4, 128, 1, 0), 1);
    // The plan of one task is a message, so its files are counted too.
    assert_eq!(tasks(1, 128, 25_000, 25_000), 3);
    assert_eq!(tasks(0, 0, 1, 5 * MIB), 5, "nonsense still gives tasks");
    assert_eq!(GroupPlan::per_slot(3).tasks(9, u64::MAX), 3);
}

#[test]
fn small_files_are_packed_and_large_ones_cut() {
    let mut files: Vec<ObjectMeta> = (0..1000).map(|index| meta(&format!("s{index:04}"), 100_000)).collect();
    files.push(meta("large", 300 * MIB));
    let plan = GroupPlan { slots: 2, task_bytes: Some(64 * MIB) };
    let groups = plan_groups(&files, &splittable(), &plan);
    assert_eq!(groups.len(), 8);
    let bytes = |group: &FileGroup| group.iter().map(|file| file.range().1 - file.range().0).sum::<u64>();
    let (least, most) = (groups.iter().map(bytes).min().unwrap(), groups.iter().map(bytes).max().unwrap());
    assert!(most - least <= 2 * MIB, "{least} to {most}");
    // Where nothing can be cut there are no more tasks than files.
    let whole = plan_groups(&[meta("a.gz", 900 * MIB), meta("b.gz", MIB)], &splittable(), &plan);
    assert_eq!(whole.len(), 2);
}

#[test]
fn options_out_of_range_are_refused() {
    let check = |config: RecordConfig, expected: &str| {
        assert_eq!(config.validate().unwrap_err().to_string(), expected);
    };
    let csv = || RecordConfig::new(Format::Csv);
    check(
        RecordConfig { delimiter: b'\n', ..csv() },
        "invalid delimiter `\\n`; expected one ASCII character other than a line end",
    );
    check(
        RecordConfig { quote: b',', ..csv() },
        "invalid quote `,`; expected a character other than the delimiter",
    );
    check(
        RecordConfig { max_record_bytes: 0, ..csv() },
        "invalid max_record_bytes `0`; expected 1 to 67108864 (64 MiB)",
    );
    check(
        RecordConfig { paths: vec!["a.b".to_owned()], ..csv() },
        "invalid paths `a.b`; expected no path where the format is not json or ndjson",
    );
    check(
        RecordConfig { encoding: Encoding::Latin1, ..RecordConfig::new(Format::Json) },
        "invalid encoding `latin1`; expected utf-8 where the format is json or ndjson",
    );
}

#[test]
fn a_configuration_survives_its_written_form() {
    let mut config = typed_columns(splittable(), &[("a", "decimal(18,4)")]);
    config.roles.insert("a".to_owned(), ColumnRole::Amount);
    let text = serde_json::to_string(&config).unwrap();
    assert!(text.contains("\"types\":{\"a\":\"decimal(18,4)\"},\"roles\":{\"a\":\"amount\"}"), "{text}");
    assert_eq!(serde_json::from_str::<RecordConfig>(&text).unwrap(), config);
}

#[tokio::test]
async fn only_the_columns_asked_for_are_read_and_faults_stay() {
    let config = typed_columns(RecordConfig::new(Format::Csv), &[("n", "int64")]);
    let objects = Objects::new(&[("f", b"n,t\n1,a\nx,b\n".as_slice())]).await;
    let schema = infer(&objects.store, &objects.files, &config).await.unwrap();
    let source = RecordSource::new(Arc::new(config), schema);
    let url = ObjectStoreUrl::parse("memory://test").unwrap();
    let context = task_context(&url, &objects.store);
    let plan = source.into_scan(url, objects.whole());
    let config = plan.data_source();
    let any: &dyn std::any::Any = config.as_ref();
    let scan = any.downcast_ref::<datafusion::datasource::physical_plan::FileScanConfig>().unwrap();
    let narrow = datafusion::datasource::physical_plan::FileScanConfigBuilder::from(scan.clone())
        .with_projection_indices(Some(vec![3, 1]))
        .unwrap()
        .build();
    let plan = datafusion::datasource::source::DataSourceExec::from_data_source(narrow);
    let batches: Vec<RecordBatch> = plan.execute(0, context).unwrap().try_collect().await.unwrap();
    assert_eq!(batches[0].schema().fields().len(), 2);
    assert_eq!(batches[0].column(0).null_count(), 1);
    assert_eq!(batches[0].column(1).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("a"), None]);
}

/// 541,909 records, and the sum of `Quantity * UnitPrice`, as the data's README states them.
#[tokio::test]
async fn reads_the_retail_data_whole() {
    let Some(data) = std::env::var_os("CAMBIST_DATA") else {
        eprintln!("skipped: CAMBIST_DATA is not set");
        return;
    };
    let store: Arc<dyn ObjectStore> =
        Arc::new(object_store::local::LocalFileSystem::new_with_prefix(std::path::Path::new(&data)).unwrap());
    let files = vec![store.head(&Path::from("retail/online_retail.csv.gz")).await.unwrap()];
    let config = typed_columns(
        RecordConfig { encoding: Encoding::Latin1, ..RecordConfig::new(Format::Csv) },
        &[("Quantity", "int64"), ("UnitPrice", "decimal(18,4)")],
    );
    let objects = Objects { store, files };
    let batches = objects.batches(&config, objects.whole()).await.unwrap();
    let (mut records, mut sum, mut pounds) = (0, 0_i128, 0);
    for batch in &batches {
        assert_eq!(batch.column_by_name(FAULT_COLUMN).unwrap().null_count(), batch.num_rows());
        records += batch.num_rows();
        let quantities = batch.column_by_name("Quantity").unwrap().as_primitive::<Int64Type>();
        let prices = batch.column_by_name("UnitPrice").unwrap();
        let prices = prices.as_primitive::<arrow::datatypes::Decimal128Type>();
        sum += quantities.values().iter().zip(prices.values()).map(|(q, p)| i128::from(*q) * p).sum::<i128>();
        let descriptions = batch.column_by_name("Description").unwrap().as_string::<i32>();
        pounds += descriptions.iter().flatten().map(|text| text.matches('£').count()).sum::<usize>();
    }
    assert_eq!((records, sum, pounds), (541_909, 97_477_479_340, 32));
}

#[tokio::test]
async fn reads_local_files_in_chunks_and_ranges() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.csv"), b"n,t\n1,a\n2,b\n3,c\n").unwrap();
    let store: Arc<dyn ObjectStore> =
        Arc::new(object_store::local::LocalFileSystem::new_with_prefix(folder.path()).unwrap());
    let objects = Objects { files: vec![store.head(&Path::from("a.csv")).await.unwrap()], store };
    let config = RecordConfig { chunk_bytes: 3, ..splittable() };
    assert_eq!(objects.rows(&config, objects.whole()).await.unwrap(), ["1@4 1|a", "2@8 2|b", "3@12 3|c"]);
    assert_eq!(
        objects.rows(&config, objects.cut(&[5, 9])).await.unwrap(),
        ["1@4 1|a", "?@8 2|b", "?@12 3|c"]
    );
}

#[tokio::test]
async fn a_file_that_changed_after_it_was_listed_is_refused() {
    let objects = Objects::new(&[("f", b"a\n1\n".as_slice())]).await;
    let config = RecordConfig::new(Format::Csv);
    let schema = infer(&objects.store, &objects.files, &config).await.unwrap();
    objects.store.put(&Path::from("f"), b"a\n1\n2\n".to_vec().into()).await.unwrap();
    let source = RecordSource::new(Arc::new(config), schema);
    let error = scan(&objects.store, source.clone(), objects.whole()).await.unwrap_err();
    assert_eq!(error.to_string(), "`f` changed after it was listed: it has another version; list it again");
    let mut unversioned = Objects { store: Arc::clone(&objects.store), files: objects.files.clone() };
    unversioned.files[0].e_tag = None;
    let error = scan(&objects.store, source, unversioned.whole()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`f` changed after it was listed: it had 4 bytes and now has 6; list it again"
    );
}

#[tokio::test]
async fn a_missing_file_is_an_error_that_is_not_tried_again() {
    let objects = Objects::new(&[("f", b"a\n1\n".as_slice())]).await;
    let schema = infer(&objects.store, &objects.files, &RecordConfig::new(Format::Csv)).await.unwrap();
    objects.store.delete(&Path::from("f")).await.unwrap();
    let source = RecordSource::new(Arc::new(RecordConfig::new(Format::Csv)), schema);
    let error = scan(&objects.store, source, objects.whole()).await.unwrap_err();
    assert_eq!((error.to_string().as_str(), error.is_retryable()), ("cannot read `f`", false));
}
