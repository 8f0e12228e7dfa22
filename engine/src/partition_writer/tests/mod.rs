//! The writer above real scans, gates and conversions.

mod attempts;
mod failures;
mod manifests;
mod memory;
mod plain;
mod tallies;

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use cambist_udfs::currency::CurrencyCode;
use cambist_udfs::rate::{AsOfMode, BookOptions, InstantMicros, RateBook, RateDate, Snapshot, SnapshotId};
use cambist_udfs::rounding::RoundingMode;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectMeta;
use object_store::memory::InMemory;
use tempfile::TempDir;

use super::*;
use crate::location::Location;
use crate::plan_node::{properties_over, single_child_plan};
use crate::quarantine::RawEncoding;
use crate::rate_join::{KeptColumn, RateJoin, RateJoinSpec, TargetCurrency};
use crate::rates::{RateBookRef, RateBooks};
use crate::record::{GroupPlan, RecordConfig, RecordSource, infer, plan_groups};
use crate::record_gate::RecordGate;
use crate::session::session_config;
use crate::store::{StoreHandle, Stores, list_objects};
use crate::table::{Staging, Table, TableKind};

pub(super) const RUN: &str = "run-1";
const DAYS: usize = 3;
const DAY_ZERO: i32 = 19_844;

/// A folder of raw files, and a table on the same disk or in a bucket in memory.
pub(super) struct Scene {
    pub(super) folder: TempDir,
    pub(super) stores: Stores,
    pub(super) root: Location,
}

impl Scene {
    pub(super) fn on_disk() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Location::parse(&format!("{}/lake/table", folder.path().display())).unwrap();
        Self { folder, stores: Stores::new(), root }
    }

    pub(super) fn in_memory() -> Self {
        let root = Location::parse("s3://lake/table").unwrap();
        let stores = Stores::new();
        stores.register(root.place().clone(), StoreHandle::with_multipart(Arc::new(InMemory::new())));
        Self { folder: tempfile::tempdir().unwrap(), stores, root }
    }

    /// Writes a CSV of `rows` transactions over three days; every tenth has no amount.
    pub(super) fn write(&self, name: &str, rows: usize) {
        let mut text = String::from("id,amount,currency,event_time\n");
        for row in 0..rows {
            let amount = if row % 10 == 9 { "none".to_owned() } else { format!("{row}.25") };
            let day = row % DAYS + 1;
            text.push_str(&format!("{name}-{row},{amount},USD,2024-05-{day:02}T12:00:00Z\n"));
        }
        std::fs::create_dir_all(self.folder.path().join("raw")).unwrap();
        std::fs::write(self.folder.path().join("raw").join(name), text).unwrap();
    }

    async fn files(&self) -> Vec<ObjectMeta> {
        let raw = self.folder.path().join("raw");
        let raw = Location::parse(raw.to_str().unwrap()).unwrap();
        let handle = self.stores.for_location(&raw).unwrap();
        list_objects(handle.store.as_ref(), &raw).await.unwrap()
    }

    pub(super) async fn groups(&self, tasks: usize) -> Vec<FileGroup> {
        plan_groups(&self.files().await, &config(), &GroupPlan::per_slot(tasks))
    }

    /// Scan, gate and conversion over `groups`.
    pub(super) async fn converted(&self, groups: Vec<FileGroup>) -> Arc<dyn ExecutionPlan> {
        let config = config();
        let raw = Location::parse(self.folder.path().to_str().unwrap()).unwrap();
        let local = self.stores.for_location(&raw).unwrap();
        let schema = infer(&local.store, &self.files().await, &config).await.unwrap();
        let source = RecordSource::new(Arc::new(config), schema);
        let scan = source.into_scan(ObjectStoreUrl::local_filesystem(), groups);
        let gate = RecordGate::try_new(scan).unwrap();
        Arc::new(RateJoin::try_new(Arc::new(gate), Arc::new(join_spec())).unwrap())
    }

    pub(super) fn staging(&self) -> Staging {
        Staging::new(&self.stores, &self.root, RUN).unwrap()
    }

    pub(super) fn writer(&self, input: Arc<dyn ExecutionPlan>, is_resumable: bool) -> Arc<PartitionWriter> {
        let spec = PartitionWriterSpec {
            run_id: RUN.to_owned(),
            partition_column: "dt".to_owned(),
            targets: targets(),
            raw_encoding: RawEncoding::Utf8,
            limits: WriterLimits::default(),
            resumable: is_resumable,
            is_readable: false,
            by_place: false,
            tally: None,
        };
        Arc::new(PartitionWriter::new(input, Arc::new(spec), self.staging()))
    }

    /// What lies in the run's staging folder, by its path below it.
    pub(super) async fn staged(&self) -> Vec<String> {
        let folder = self.root.join(&format!("_staging/{RUN}")).unwrap();
        let prefix = format!("{}/", folder.path());
        let handle = self.stores.for_location(&folder).unwrap();
        let objects = list_objects(handle.store.as_ref(), &folder).await.unwrap();
        objects
            .iter()
            .map(|object| object.location.as_ref().strip_prefix(&prefix).unwrap().to_owned())
            .collect()
    }

    pub(super) async fn table(&self) -> Table {
        Table::open_or_create(&self.stores, &self.root).await.unwrap()
    }
}

/// Files that may be cut into ranges.
fn config() -> RecordConfig {
    RecordConfig { quoted_newlines: false, ..RecordConfig::default() }
}

pub(super) fn targets() -> Vec<TargetCurrency> {
    vec![TargetCurrency { code: "SGD".to_owned(), minor_units: 2 }]
}

fn join_spec() -> RateJoinSpec {
    RateJoinSpec {
        amount: "amount".to_owned(),
        currency: "currency".to_owned(),
        event_time: "event_time".to_owned(),
        kept: vec![KeptColumn { input: "id".to_owned(), output: "id".to_owned() }],
        time_format: None,
        time_zone: Some("UTC".to_owned()),
        rate_zone: "UTC".to_owned(),
        targets: targets(),
        rounding: RoundingMode::HalfEven,
        lineage: false,
        book: RateBookRef::of("book", &book()),
    }
}

fn book() -> Arc<RateBook> {
    let code = |text: &str| CurrencyCode::parse(text).unwrap();
    let snapshot = |day: i32| Snapshot {
        id: SnapshotId([u8::try_from(day - DAY_ZERO).unwrap(); 32]),
        provider: "test".to_owned(),
        base: code("USD"),
        rate_date: RateDate(day),
        valid_at: None,
        known_at: InstantMicros(0),
        location: String::new(),
        rates: vec![(code("SGD"), "1.35".parse().unwrap())],
        expires: None,
        held: Vec::new(),
    };
    let options = BookOptions { mode: AsOfMode::Date, max_age_days: Some(7), known_as_of: InstantMicros(1) };
    Arc::new(RateBook::build((DAY_ZERO..DAY_ZERO + 3).map(snapshot).collect(), &options).unwrap())
}

pub(super) fn context(pool: Option<Arc<dyn MemoryPool>>) -> Arc<TaskContext> {
    let books = Arc::new(RateBooks::default());
    books.add(&RateBookRef::of("book", &book()), book());
    let mut runtime = RuntimeEnvBuilder::new();
    if let Some(pool) = pool {
        runtime = runtime.with_memory_pool(pool);
    }
    let context = TaskContext::default().with_session_config(session_config(1, books));
    Arc::new(context.with_runtime(runtime.build_arc().unwrap()))
}

/// Runs one task of `plan`.
pub(super) async fn run(plan: &Arc<PartitionWriter>, partition: usize) -> Result<Vec<RecordBatch>> {
    plan.execute(partition, context(None))?.try_collect().await
}

/// Runs one task of `plan` and returns its manifest.
pub(super) async fn manifest(plan: &Arc<PartitionWriter>, partition: usize) -> TaskManifest {
    let rows = run(plan, partition).await.unwrap();
    let inputs = crate::task_input::inputs_of_scan(&plan.children()[0].clone(), partition).unwrap();
    read_manifests(&rows, &[inputs]).unwrap().remove(0)
}

pub(super) type Happening = Arc<dyn Fn() -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// Lets something happen before each batch of its input.
pub(super) struct Happens {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    what: Happening,
}

impl Happens {
    pub(super) fn above(
        input: Arc<dyn ExecutionPlan>,
        what: impl Fn() -> BoxFuture<'static, Result<()>> + Send + Sync + 'static,
    ) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { properties: properties_over(&input, input.schema()), input, what: Arc::new(what) })
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self { input, properties: Arc::clone(&self.properties), what: Arc::clone(&self.what) })
    }
}

impl fmt::Debug for Happens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Happens")
    }
}

impl DisplayAs for Happens {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Happens")
    }
}

impl ExecutionPlan for Happens {
    single_child_plan!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (what, input) = (Arc::clone(&self.what), self.input.execute(partition, context)?);
        let first = stream::once(async move {
            what().await?;
            Ok::<_, DataFusionError>(input)
        });
        let rows = first.try_flatten().boxed();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}

pub(super) fn files_of(manifest: &TaskManifest, kind: TableKind) -> Vec<&WrittenFile> {
    manifest.files.iter().filter(|file| file.staged.table == kind).collect()
}
