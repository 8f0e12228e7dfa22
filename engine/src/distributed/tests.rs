//! Each plan is cut into tasks by Ballista itself, sent as bytes to a process that knows nothing but its
//! stores, and gives there what it gives here.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Decimal128Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::pretty::pretty_format_batches;
use ballista_scheduler::planner::{DefaultDistributedPlanner, DistributedPlanner};
use ballista_scheduler::state::task_builder::restrict_plan_to_partitions;
use cambist_udfs::currency::CurrencyCode;
use cambist_udfs::rate::{AsOfMode, BookOptions, InstantMicros, RateBook, RateDate, Snapshot, SnapshotId};
use cambist_udfs::rounding::RoundingMode;
use cambist_udfs::sql::{aggregate_functions, scalar_functions};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::{FunctionRegistry, TaskContext};
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::{ExecutionPlan, collect_partitioned};
use datafusion::prelude::SessionContext;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::TryStreamExt;
use tempfile::TempDir;

use super::node::{VERSION, WireNode, frame};
use super::{ClusterParts, PLAN_VERSION};
use crate::lineage::{SOURCE_TABLE, carry_records, check_single_stage};
use crate::location::Location;
use crate::partition_writer::{PartitionWriter, PartitionWriterSpec, WriterLimits, read_manifests};
use crate::pinned_table::pin_table;
use crate::quarantine::RawEncoding;
use crate::rate_join::{KeptColumn, RateJoin, RateJoinSpec, TargetCurrency};
use crate::rates::{LoadedRates, RateBookRef, RateBooks, bind, pin};
use crate::record::{GroupPlan, RecordConfig, RecordSource, infer, plan_groups};
use crate::session::{session, session_config};
use crate::source_table::SourceTable;
use crate::store::Stores;
use crate::table::Staging;
use crate::task::TaskLedger;

const TASKS: usize = 4;

const PLAIN: &str = "SELECT id, amount AS a, currency AS c, day AS t FROM source";

/// A join whose key is computed, a column that is not in the order of the file, and each kind of function.
const JOINED: &str = "
    SELECT upper(trim(source.id)) AS id, shops.city, money_round(parse_decimal(amount), 'EUR') AS rounded,
           try_fx_convert(parse_decimal(amount), currency, day, 'GBP') AS in_gbp,
           try_fx_rate(currency, 'USD', day)['rate_date'] AS rated,
           TRY_CAST(amount AS DECIMAL(38, 4)) * factor AS a, currency AS c, day AS t
    FROM source JOIN shops ON lower(source.shop) = shops.shop
    WHERE currency <> 'XXX'";

/// The build side needs stages of its own where it is not read in line.
const AGGREGATED: &str = "
    SELECT source.id, shops.city, amount AS a, currency AS c, day AS t FROM source
    JOIN (SELECT city, max(shop) AS shop FROM shops GROUP BY city) AS shops ON source.shop = shops.shop
    WHERE length(source.id) < (SELECT max(length(city)) FROM shops)";

struct Driver {
    folder: TempDir,
    stores: Stores,
    staging: Staging,
    books: Arc<RateBooks>,
    book: RateBookRef,
    session: SessionContext,
}

fn snapshot(day: i32, rates: &[(&str, &str)]) -> Snapshot {
    let code = |text: &str| CurrencyCode::parse(text).unwrap();
    let mut rates: Vec<_> = rates.iter().map(|(text, rate)| (code(text), rate.parse().unwrap())).collect();
    rates.sort_by_key(|rate: &(CurrencyCode, _)| rate.0);
    Snapshot {
        id: SnapshotId([u8::try_from(day % 200).unwrap(); 32]),
        provider: "test".to_owned(),
        base: code("EUR"),
        rate_date: RateDate(day),
        valid_at: None,
        known_at: InstantMicros(0),
        location: String::new(),
        rates,
        expires: None,
        held: Vec::new(),
    }
}

fn book() -> Arc<RateBook> {
    // 2024-05-01 and 2024-05-02.
    let first = snapshot(19_844, &[("GBP", "0.85500"), ("USD", "1.0700"), ("INR", "89.25")]);
    let second = snapshot(19_845, &[("GBP", "0.8575"), ("USD", "1.0725"), ("INR", "89.60")]);
    let options = BookOptions { mode: AsOfMode::Date, max_age_days: Some(7), known_as_of: InstantMicros(1) };
    Arc::new(RateBook::build(vec![first, second], &options).unwrap())
}

fn shops() -> RecordBatch {
    let schema = Schema::new(vec![
        Field::new("shop", DataType::Utf8, true),
        Field::new("city", DataType::Utf8, true),
        Field::new("factor", DataType::Decimal128(5, 2), true),
    ]);
    let factors = Decimal128Array::from(vec![100, 250, 50]).with_precision_and_scale(5, 2).unwrap();
    RecordBatch::try_new(
        Arc::new(schema),
        vec![
            Arc::new(StringArray::from(vec!["a", "b", "c"])),
            Arc::new(StringArray::from(vec!["Berlin", "Paris", "Oslo"])),
            Arc::new(factors),
        ],
    )
    .unwrap()
}

impl Driver {
    /// Six files of raw records, the rates and the session of a run.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("raw")).unwrap();
        for file in 0..6 {
            let mut text = "id,amount,currency,day,shop\n".to_owned();
            for row in 0..20 {
                let currency = ["GBP", "USD", "EUR", "INR"][row % 4];
                let amount =
                    if row == 7 { "n/a".to_owned() } else { format!("{}.{row:02}", file * 100 + row) };
                let shop = ["A", "b", "C", "z"][(row + file) % 4];
                text += &format!(" r{file}-{row},{amount},{currency},2024-05-0{},{shop}\n", 1 + row % 3);
            }
            text += "broken,row\n";
            std::fs::write(folder.path().join(format!("raw/{file}.csv")), text).unwrap();
        }
        let stores = Stores::new();
        let root = Location::parse(&format!("{}/table with space", folder.path().display())).unwrap();
        let staging = Staging::new(&stores, &root, "r1").unwrap();
        let book = book();
        let rates = LoadedRates {
            reference: RateBookRef::of("rates", &book),
            book: Arc::clone(&book),
            refused: Vec::new(),
            notices: Vec::new(),
            entries: Vec::new(),
            held: Vec::new(),
        };
        let reference = pin(&rates, &staging).await.unwrap();
        let books = Arc::new(RateBooks::new(stores.clone()));
        books.add(&reference, Arc::clone(&book));
        let session = session(session_config(TASKS, Arc::clone(&books)), &stores).unwrap();
        bind(&session, &reference, &book).unwrap();
        let table = pin_table(&shops(), &staging).await.unwrap();
        session.register_table("shops", Arc::new(table)).unwrap();
        Self { folder, stores, staging, books, book: reference, session }
    }

    /// Plans as a job does: SQL over the declared columns, the records carried through it, one conversion.
    async fn plan(&self, sql: &str) -> Arc<dyn ExecutionPlan> {
        let config = RecordConfig { quoted_newlines: false, ..RecordConfig::default() };
        let raw = format!("{}/raw", self.folder.path().display());
        let files = crate::files::list(&self.stores, &raw).await.unwrap();
        let schema = infer(&files.store, &files.objects, &config).await.unwrap();
        let source = RecordSource::new(Arc::new(config.clone()), schema);
        let groups = plan_groups(&files.objects, &config, &GroupPlan::per_slot(TASKS));
        assert_eq!(groups.len(), TASKS);
        let url = datafusion::execution::object_store::ObjectStoreUrl::parse(files.root.store_url()).unwrap();
        let table = SourceTable::try_new(source, url, groups).unwrap();
        let stub = Arc::new(EmptyTable::new(table.declared_schema()));
        let _ = self.session.deregister_table(SOURCE_TABLE).unwrap();
        self.session.register_table(SOURCE_TABLE, stub).unwrap();
        let logical = self.session.state().create_logical_plan(sql).await.unwrap();
        let columns: Vec<String> =
            logical.schema().fields().iter().map(|field| field.name().clone()).collect();
        let logical = carry_records(logical, &(Arc::new(table) as _)).unwrap();
        let plan = self.session.state().create_physical_plan(&logical).await.unwrap();
        check_single_stage(&plan).unwrap();
        let kept = columns.into_iter().filter(|name| !["a", "c", "t"].contains(&name.as_str()));
        let spec = RateJoinSpec {
            amount: "a".to_owned(),
            currency: "c".to_owned(),
            event_time: "t".to_owned(),
            kept: kept.map(|name| KeptColumn { input: name.clone(), output: name }).collect(),
            time_format: None,
            time_zone: None,
            rate_zone: "UTC".to_owned(),
            targets: ["INR", "GBP"]
                .map(|code| TargetCurrency { code: code.to_owned(), minor_units: 2 })
                .into(),
            rounding: RoundingMode::HalfEven,
            lineage: true,
            book: self.book.clone(),
        };
        Arc::new(RateJoin::try_new(plan, Arc::new(spec)).unwrap())
    }

    fn writer(&self, plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        let spec = PartitionWriterSpec {
            run_id: "r1".to_owned(),
            partition_column: "dt".to_owned(),
            targets: Vec::new(),
            raw_encoding: RawEncoding::Utf8,
            limits: WriterLimits::default(),
            resumable: true,
            is_readable: false,
            by_place: false,
            tally: None,
        };
        Arc::new(PartitionWriter::new(plan, Arc::new(spec), self.staging.clone()))
    }

    /// Cuts a plan into tasks as Ballista's scheduler does, and writes each as bytes.
    fn tasks(&self, plan: &Arc<dyn ExecutionPlan>) -> Vec<Vec<u8>> {
        let options = Arc::clone(self.session.state().config().options());
        let job = "job".to_owned().into();
        let stages =
            DefaultDistributedPlanner::new().plan_query_stages(&job, Arc::clone(plan), &options).unwrap();
        assert_eq!(stages.len(), 1, "one stage: {}", indented(plan));
        let planned: Arc<dyn ExecutionPlan> = Arc::clone(stages[0].children()[0]);
        assert_eq!(indented(&planned), indented(plan), "the planner changes nothing");
        let codec = super::physical_codec(Arc::clone(&self.books), self.stores.clone());
        let task = |partition| {
            let restricted = restrict_plan_to_partitions(Arc::clone(&planned), &[partition]).unwrap();
            let node = PhysicalPlanNode::try_from_physical_plan(restricted, codec.as_ref()).unwrap();
            let mut bytes = Vec::new();
            node.try_encode(&mut bytes).unwrap();
            bytes
        };
        (0..planned.properties().output_partitioning().partition_count()).map(task).collect()
    }
}

/// Another process: it has stores of its own and no rates.
struct Executor {
    parts: ClusterParts,
    context: Arc<TaskContext>,
}

impl Executor {
    fn new() -> Self {
        let parts = ClusterParts::new(Stores::new());
        let work = std::env::temp_dir();
        let config = (parts.config_producer())();
        let functions = parts.function_registry().unwrap();
        let runtime = (parts.runtime_producer(work))(&config).unwrap();
        let context = TaskContext::new(
            None,
            "session".to_owned(),
            config,
            functions.scalar_functions.clone(),
            functions.higher_order_functions.clone(),
            functions.aggregate_functions.clone(),
            functions.window_functions.clone(),
            runtime,
        );
        Self { parts, context: Arc::new(context) }
    }

    fn read(&self, task: &[u8]) -> Result<Arc<dyn ExecutionPlan>> {
        let node = PhysicalPlanNode::try_decode(task)?;
        node.try_into_physical_plan(&self.context, self.parts.physical_codec().as_ref())
    }

    async fn run(&self, task: &[u8]) -> Result<Vec<RecordBatch>> {
        let plan = self.read(task)?;
        assert_eq!(plan.properties().output_partitioning().partition_count(), 1);
        plan.execute(0, Arc::clone(&self.context))?.try_collect().await
    }
}

/// Runs a plan without a writer, whose ledger it needs.
async fn converted(
    plan: &Arc<dyn ExecutionPlan>,
    context: &TaskContext,
) -> Result<(Vec<String>, crate::task::TaskCounts)> {
    let (ledger, mut diverted) = TaskLedger::open();
    let drain = tokio::spawn(async move { while diverted.recv().await.is_some() {} });
    let config = context.session_config().clone().with_extension(Arc::clone(&ledger));
    let context = TaskContext::new(
        None,
        "session".to_owned(),
        config,
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        context.runtime_env(),
    );
    let batches = collect_partitioned(Arc::clone(plan), Arc::new(context)).await?;
    ledger.close();
    drain.await.unwrap();
    Ok((rows(&batches.into_iter().flatten().collect::<Vec<_>>()), ledger.counts()))
}

fn rows(batches: &[RecordBatch]) -> Vec<String> {
    let text = pretty_format_batches(batches).unwrap().to_string();
    let mut rows: Vec<String> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    rows.retain(|row| row.starts_with('|') && !row.contains("__event_date"));
    rows.sort();
    rows
}

fn indented(plan: &Arc<dyn ExecutionPlan>) -> String {
    DisplayableExecutionPlan::new(plan.as_ref()).indent(true).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_of_another_process_give_the_same_rows() {
    let driver = Driver::new().await;
    for sql in [PLAIN, JOINED, AGGREGATED] {
        let plan = driver.plan(sql).await;
        let (here, counted) = converted(&plan, &driver.session.task_ctx()).await.unwrap();
        assert!(here.len() > 10, "{sql}: {here:?}");
        assert_eq!(counted.records_in, 126, "{sql}");
        let tasks = driver.tasks(&plan);
        assert_eq!(tasks.len(), TASKS);
        let executor = Executor::new();
        let (mut there, mut counts) = (Vec::new(), crate::task::TaskCounts::default());
        for task in &tasks {
            let plan = executor.read(task).unwrap();
            let (rows, counted) = converted(&plan, &executor.context).await.unwrap();
            there.extend(rows);
            counts.merge(&counted);
        }
        there.sort();
        assert_eq!(there, here, "{sql}");
        assert_eq!(counts, counted, "{sql}");
        let loads = executor.parts.books().counts();
        assert_eq!((loads.loads, loads.failures), (1, 0), "{sql}: one load for all tasks");
        assert!(loads.hits >= TASKS as u64 - 1, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_at_once_load_the_book_once_and_stage_where_the_driver_looks() {
    let driver = Driver::new().await;
    let plan = driver.writer(driver.plan(JOINED).await);
    let tasks = driver.tasks(&plan);
    let executor = Arc::new(Executor::new());
    let running: Vec<_> = tasks
        .into_iter()
        .map(|task| {
            let executor = Arc::clone(&executor);
            tokio::spawn(async move { executor.run(&task).await })
        })
        .collect();
    let mut reported = Vec::new();
    for task in running {
        reported.extend(task.await.unwrap().unwrap());
    }
    assert_eq!(executor.parts.books().counts().loads, 1);
    let planned = crate::task_input::planned_inputs(&plan).unwrap();
    let manifests = read_manifests(&reported, &planned).unwrap();
    let mut files = 0;
    for file in manifests.iter().flat_map(|manifest| &manifest.files) {
        let crate::table::StagedAs::Local { path } = &file.staged.staged else { panic!("a disk") };
        let root = match file.staged.table {
            crate::table::TableKind::Main => "table with space",
            crate::table::TableKind::Quarantine => "table with space_quarantine",
        };
        assert!(driver.folder.path().join(root).join(path).is_file(), "{path}");
        files += 1;
    }
    assert!(files > TASKS);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_function_comes_along_or_is_there() {
    let driver = Driver::new().await;
    let codec = super::physical_codec(Arc::clone(&driver.books), driver.stores.clone());
    let executor = Executor::new();
    let mut bound = BTreeSet::new();
    for function in scalar_functions(None) {
        let of_session = driver.session.state().udf(function.name()).unwrap();
        let mut bytes = Vec::new();
        codec.try_encode_udf(&of_session, &mut bytes).unwrap();
        let there = if bytes.is_empty() {
            executor.context.udf(function.name()).unwrap()
        } else {
            bound.insert(function.name().to_owned());
            executor.parts.physical_codec().try_decode_udf(function.name(), &bytes).unwrap()
        };
        assert_eq!(*there, *of_session, "{} means the same there", function.name());
    }
    let expected = [
        "currency_minor_units",
        "currency_normalize",
        "fx_convert",
        "fx_rate",
        "fx_rate_date",
        "money_round",
        "try_fx_convert",
        "try_fx_rate",
        "try_fx_rate_date",
    ];
    assert_eq!(bound, expected.map(str::to_owned).into());
    for function in aggregate_functions() {
        assert_eq!(*executor.context.udaf(function.name()).unwrap(), *function);
    }
    for name in driver.session.state().udfs() {
        assert!(executor.context.udf(&name).is_ok(), "{name} of DataFusion");
    }
}

/// A query without a conversion has nobody who waits for the book before the functions need it.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_finds_its_book_without_a_conversion_above() {
    let driver = Driver::new().await;
    let sql = "SELECT city, fx_convert(factor, 'EUR', DATE '2024-05-02', 'INR') AS inr FROM shops";
    let plan = driver.session.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    let codec = super::physical_codec(Arc::clone(&driver.books), driver.stores.clone());
    let mut bytes = Vec::new();
    let node = PhysicalPlanNode::try_from_physical_plan(plan, codec.as_ref()).unwrap();
    node.try_encode(&mut bytes).unwrap();
    let executor = Executor::new();
    let batches = executor.run(&bytes).await.unwrap();
    // 1.00, 2.50 and 0.50 EUR at 89.60.
    assert_eq!(rows(&batches)[..3], ["|Berlin|89.60|", "|Oslo|44.80|", "|Paris|224.00|"]);
    assert_eq!(executor.parts.books().counts().loads, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_of_one_process_do_not_leave_it() {
    let driver = Driver::new().await;
    cambist_udfs::sql::register_rates(&driver.session, book()).unwrap();
    let plan = driver.plan(JOINED).await;
    let codec = super::physical_codec(Arc::clone(&driver.books), driver.stores.clone());
    let refused = PhysicalPlanNode::try_from_physical_plan(plan, codec.as_ref()).unwrap_err().to_string();
    assert!(refused.contains("are bound to this process alone"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_replaced_after_planning_is_refused() {
    let driver = Driver::new().await;
    let plan = driver.plan(PLAIN).await;
    let tasks = driver.tasks(&plan);
    let executor = Executor::new();
    for file in 0..6 {
        let path = driver.folder.path().join(format!("raw/{file}.csv"));
        let text = std::fs::read_to_string(&path).unwrap();
        // Of the same length: only the version tells.
        std::fs::write(&path, text.replace("GBP", "USD")).unwrap();
    }
    for task in tasks {
        let plan = executor.read(&task).unwrap();
        let refused = converted(&plan, &executor.context).await.unwrap_err();
        assert!(refused.to_string().contains("changed after it was listed"), "{refused}");
        assert!(!matches!(refused.find_root(), DataFusionError::IoError(_)), "it is not tried again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_is_refused_by_name() {
    let driver = Driver::new().await;
    let codec = Executor::new().parts.physical_codec();
    let json = serde_json::to_vec(&WireNode::RecordGate).unwrap();
    let newer = frame(PLAN_VERSION + 1, "9.8.7", &json, &[]);
    let refuse = |bytes: &[u8]| {
        let plan = driver.session.task_ctx();
        let converter = datafusion_proto::physical_plan::DefaultPhysicalProtoConverter {};
        codec.try_decode(bytes, &[], &plan, &converter).unwrap_err().to_string()
    };
    let refused = refuse(&newer);
    for part in ["cambist 9.8.7", &format!("(plan version {})", PLAN_VERSION + 1), VERSION, "same version"] {
        assert!(refused.contains(part), "{refused}");
    }
    let whole = frame(PLAN_VERSION, VERSION, &json, &[]);
    for length in 8..whole.len() {
        assert!(refuse(&whole[..length]).contains("cannot be read"), "{length} bytes");
    }
}
