use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

use super::*;
use crate::exact_sum::{CurrencySums, ExactSum};
use crate::execution::{Execution, ExecutionError, InProcess};
use crate::location::Location;
use crate::partition_writer::{ContentHash, Figures, PartitionWriterSpec, WriterLimits, WrittenFile};
use crate::progress::RunProgress;
use crate::quarantine::RawEncoding;
use crate::rate_join::{EVENT_DATE_COLUMN, TargetCurrency};
use crate::rates::RateBooks;
use crate::session::{session, session_config};
use crate::store::Stores;
use crate::table::{StagedAs, Staging};

const MIB: u64 = 1 << 20;

fn set(owner: &str, partition: &str, sizes: &[u64], outputs: usize) -> MergeSet {
    let file = |(index, bytes): (usize, &u64)| MergeFile {
        location: Path::from(format!("{owner}/{partition}/{index}")),
        bytes: *bytes,
    };
    MergeSet {
        owner: owner.to_owned(),
        partition: partition.to_owned(),
        files: sizes.iter().enumerate().map(file).collect(),
        outputs,
    }
}

/// By task: owner, then each partition with the numbers of its files.
fn shape(tasks: &[MergeTask]) -> Vec<String> {
    let part = |(partition, files): &(String, Vec<MergeFile>)| {
        let names: Vec<_> = files.iter().map(|file| file.location.filename().unwrap()).collect();
        format!("{partition}[{}]", names.join(","))
    };
    let task = |task: &MergeTask| {
        format!("{}:{}", task.owner, task.parts.iter().map(part).collect::<Vec<_>>().join(""))
    };
    tasks.iter().map(task).collect()
}

#[test]
fn neighbouring_partitions_share_a_task_up_to_its_size() {
    let sets = vec![
        set("", "dt=3", &[3 * MIB, MIB], 1),
        set("", "dt=1", &[MIB, MIB], 1),
        set("", "dt=2", &[MIB, MIB], 1),
    ];
    assert_eq!(shape(&plan_tasks(sets.clone(), 4 * MIB, 1)), [":dt=1[0,1]dt=2[0,1]", ":dt=3[0,1]"]);
    // All slots get something to do.
    assert_eq!(shape(&plan_tasks(sets, 100 * MIB, 4)), [":dt=1[0,1]", ":dt=2[0,1]", ":dt=3[0,1]"]);
}

#[test]
fn a_large_partition_becomes_several_files_and_owners_are_never_mixed() {
    let sizes = [2 * MIB, 2 * MIB, 2 * MIB, 2 * MIB, 2 * MIB];
    let sets =
        vec![set("a", "dt=1", &sizes, 2), set("b", "dt=1", &[MIB, MIB], 1), set("b", "dt=2", &[MIB], 1)];
    let tasks = plan_tasks(sets, 100 * MIB, 1);
    // Chunks of one partition would become one file again if a task had both.
    assert_eq!(shape(&tasks), ["a:dt=1[0,1]", "a:dt=1[2,3,4]", "b:dt=1[0,1]dt=2[0]"]);
}

#[test]
fn no_chunk_is_lost_whatever_the_sizes() {
    let sizes: Vec<u64> = (0..200).map(|index| (index * index * 7919) % (3 * MIB)).collect();
    for outputs in [1, 2, 3, 7, 50, 1000] {
        let tasks = plan_tasks(vec![set("", "dt=1", &sizes, outputs)], 8 * MIB, 3);
        let names: Vec<String> = tasks
            .iter()
            .flat_map(|task| task.parts.iter().flat_map(|(_, files)| files))
            .map(|file| file.location.filename().unwrap().to_owned())
            .collect();
        assert_eq!(names, (0..200).map(|index| index.to_string()).collect::<Vec<_>>());
        assert!(tasks.len() <= outputs);
    }
}

/// A cluster of one process: what differs is that all tasks are given to it at once.
#[derive(Debug)]
struct Remote(InProcess);

#[async_trait::async_trait]
impl Execution for Remote {
    async fn slots(&self) -> Result<usize, ExecutionError> {
        self.0.slots().await
    }

    fn is_remote(&self) -> bool {
        true
    }

    async fn collect(
        &self,
        name: &str,
        plan: Arc<dyn ExecutionPlan>,
        session: &SessionContext,
        progress: &RunProgress,
    ) -> Result<Vec<RecordBatch>, ExecutionError> {
        self.0.collect(name, plan, session, progress).await
    }
}

/// Rows as files hold them: an id, an amount in INR and its source.
fn rows(ids: std::ops::Range<i64>) -> RecordBatch {
    let decimals = |scale: i8, factor: i128| {
        let values = ids.clone().map(|id| i128::from(id) * factor - 5_000);
        Decimal128Array::from_iter_values(values).with_precision_and_scale(38, scale).unwrap()
    };
    let currencies = ids.clone().map(|id| Some(["USD", "EUR", "JPY"][usize::try_from(id % 3).unwrap()]));
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(ids.clone())), true),
        ("amount_inr", Arc::new(decimals(2, 831)), true),
        ("source_amount", Arc::new(decimals(4, 10_007)), true),
        ("source_currency", Arc::new(StringArray::from_iter(currencies)), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn columns() -> SchemaRef {
    merge_columns(&rows(0..0).schema())
}

/// The columns of a first pass's plan: the event date last.
fn planned_columns() -> SchemaRef {
    let mut fields: Vec<_> = columns().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(EVENT_DATE_COLUMN, DataType::Int32, false)));
    Arc::new(Schema::new(fields))
}

fn write(path: &std::path::Path, batch: &RecordBatch) -> u64 {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    std::fs::metadata(path).unwrap().len()
}

struct Scene {
    _folder: TempDir,
    staging: Staging,
    session: SessionContext,
    spec: PartitionWriterSpec,
    execution: Remote,
    progress: RunProgress,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Location::parse(&format!("{}/my table", folder.path().display())).unwrap();
        let spec = PartitionWriterSpec {
            run_id: "r1".to_owned(),
            partition_column: "dt".to_owned(),
            targets: vec![TargetCurrency { code: "INR".to_owned(), minor_units: 2 }],
            raw_encoding: RawEncoding::Utf8,
            limits: WriterLimits::default(),
            resumable: true,
            is_readable: false,
            by_place: false,
            tally: None,
        };
        Self {
            staging: Staging::new(&Stores::new(), &root, "r1").unwrap(),
            session: session(session_config(2, Arc::new(RateBooks::default())), &Stores::new()).unwrap(),
            spec,
            execution: Remote(InProcess { cores: 2 }),
            progress: RunProgress::default(),
            _folder: folder,
        }
    }

    fn pass(&self) -> MergePass<'_> {
        MergePass {
            name: "r1",
            execution: &self.execution,
            session: &self.session,
            progress: &self.progress,
            spec: &self.spec,
            staging: &self.staging,
        }
    }

    /// What a first pass of `tasks` tasks leaves, each of which met `days` days with `rows_each` rows.
    async fn first_pass(&self, tasks: i64, rows_each: i64, days: i64) -> Vec<WrittenFile> {
        let mut first = Vec::new();
        for task in 0..tasks {
            let mut parts = Vec::new();
            for day in 0..days {
                let location = self.staging.root().join(&format!("in/{day}-{task}.parquet")).unwrap();
                let begin = (task * days + day) * rows_each;
                let bytes = write(&location.local_path().unwrap(), &rows(begin..begin + rows_each));
                let partition = format!("dt=2024-05-{:02}", day + 1);
                parts.push((partition, vec![MergeFile { location: location.path().clone(), bytes }]));
            }
            first.push(MergeTask { owner: String::new(), parts });
        }
        let spec = PartitionWriterSpec { is_readable: true, ..self.spec.clone() };
        let manifests = MergePass { spec: &spec, ..self.pass() }.run(&columns(), &first).await.unwrap();
        manifests.into_iter().flat_map(|manifest| manifest.files).collect()
    }

    /// The ids of a staged file's rows, in their order.
    async fn read(&self, file: &WrittenFile) -> Vec<i64> {
        let StagedAs::Local { path } = &file.staged.staged else { panic!("{file:?}") };
        let path = self.staging.root().join(path).unwrap().local_path().unwrap();
        let file = tokio::fs::File::open(path).await.unwrap();
        let stream =
            parquet::arrow::ParquetRecordBatchStreamBuilder::new(file).await.unwrap().build().unwrap();
        let batches: Vec<_> = stream.map(Result::unwrap).collect().await;
        let ids =
            batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec());
        ids.collect()
    }
}

/// The whole of it: five tasks left five files in each of four days, and two are allowed.
#[tokio::test]
async fn a_merge_changes_files_and_nothing_else() {
    let scene = Scene::new();
    let files = scene.first_pass(5, 300, 4).await;
    assert_eq!(files.len(), 20);
    let before = figures_of_written(files.iter().map(|file| ("", file)));
    let source = before.values().next().unwrap();
    assert_eq!((before.len(), source.rows, source.source_totals.len()), (4, 1500, 3));

    let merged = scene.pass().merge_staged(&planned_columns(), files.clone(), 2, 128 * MIB).await.unwrap();
    assert_eq!(merged.len(), 4, "small as they are, one file a day");
    assert_eq!(figures_of_written(merged.iter().map(|file| ("", file))), before);
    assert!(merged.iter().all(|file| matches!(file.staged.staged, StagedAs::Local { .. })));

    // Rows keep the order of the tasks, and within them their own.
    for file in &merged {
        let mut expected = Vec::new();
        for part in files.iter().filter(|part| part.partition == file.partition) {
            expected.extend(scene.read(part).await);
        }
        assert_eq!(scene.read(file).await, expected);
        assert_eq!(expected.len(), 1500);
    }
}

#[tokio::test]
async fn partitions_with_few_files_are_left_as_they_are() {
    let scene = Scene::new();
    let files = scene.first_pass(3, 10, 2).await;
    let kept = scene.pass().merge_staged(&planned_columns(), files.clone(), 3, 128 * MIB).await.unwrap();
    let paths = |files: &[WrittenFile]| {
        let mut paths: Vec<_> = files.iter().map(|file| file.staged.path.clone()).collect();
        paths.sort();
        paths
    };
    assert_eq!(paths(&kept), paths(&files));
}

/// A process with two cores runs no more than two tasks at once, whatever the number of partitions.
#[tokio::test]
async fn one_process_merges_in_rounds_and_numbers_tasks_through() {
    let mut scene = Scene::new();
    let files = scene.first_pass(2, 20, 7).await;
    scene.execution = Remote(InProcess { cores: 3 });
    let layout = staged_layout(files, &scene.staging, 1, 128 * MIB).unwrap();
    let tasks: Vec<MergeTask> = layout
        .sets
        .into_iter()
        .map(|set| MergeTask { owner: String::new(), parts: vec![(set.partition, set.files)] })
        .collect();
    let pass = MergePass { execution: &scene.execution.0, ..scene.pass() };
    let manifests = pass.run(&columns(), &tasks).await.unwrap();
    assert_eq!(
        manifests.iter().map(|manifest| manifest.task).collect::<Vec<_>>(),
        (0..7).collect::<Vec<_>>()
    );
    for (task, manifest) in tasks.iter().zip(&manifests) {
        assert_eq!(manifest.files.len(), 1);
        assert_eq!(manifest.files[0].partition, task.parts[0].0);
    }
}

#[test]
fn every_figure_is_compared() {
    let figures = Figures { rows: 3, ..Figures::default() };
    let key = (String::new(), "dt=2024-05-01".to_owned());
    let owned = |figures: Figures| Owned::from([(key.clone(), figures)]);
    let difference =
        |changed: Figures| check(&owned(figures.clone()), &owned(changed)).unwrap_err().to_string();
    assert_eq!(check(&owned(figures.clone()), &owned(figures.clone())), Ok(()));
    assert_eq!(
        difference(Figures { rows: 4, ..figures.clone() }),
        "the merge of `dt=2024-05-01` has changed the number of rows from 3 to 4, expected no change"
    );
    let hash = ContentHash::of(&rows(0..3)).unwrap();
    assert!(difference(Figures { content_hash: hash, ..figures.clone() }).contains("the content hash"));
    let sums = CurrencySums::from([("INR".to_owned(), ExactSum::parse("0.01").unwrap())]);
    assert_eq!(
        difference(Figures { totals: sums.clone(), ..figures.clone() }),
        "the merge of `dt=2024-05-01` has changed the totals from  to INR 0.01, expected no change"
    );
    assert!(difference(Figures { source_totals: sums, ..figures.clone() }).contains("the source totals"));
    assert!(check(&owned(figures.clone()), &Owned::new()).is_err(), "a partition that is gone");
    assert!(check(&Owned::new(), &owned(figures)).is_err(), "a partition from nowhere");
}
