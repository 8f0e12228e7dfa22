//! The cluster with real executors, in this process: they speak over sockets and can be killed at any point.

mod executors;
mod faults;
mod judging;
mod plans;
mod turns;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use ballista_core::extension::SessionConfigExt;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use cambist_engine::execution::ExecutionError;
use cambist_engine::executor_id::executor_id;
use cambist_engine::progress::RunProgress;
use cambist_engine::store::Stores;
use datafusion::arrow::array::{AsArray, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema};
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::{Cluster, ClusterSettings};

pub(super) const FILES: i64 = 6;
pub(super) const ROWS_PER_FILE: i64 = 100;

/// Long enough for a loaded machine; nothing is waited for by sleeping this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A door that tasks wait at: the function `gate(x)` returns `x` once it is let through.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    open: bool,
    /// How many may pass while it is not open.
    permits: usize,
    /// The first `x` of each batch that has come.
    arrived: Vec<i64>,
}

impl Gate {
    pub(super) fn open(&self) {
        self.state.lock().unwrap().open = true;
        self.changed.notify_all();
    }

    /// Lets one through of those that wait.
    pub(super) fn let_one_through(&self) {
        self.state.lock().unwrap().permits += 1;
        self.changed.notify_all();
    }

    /// Waits until `tasks` have arrived in all, and returns what they brought.
    pub(super) async fn arrivals(&self, tasks: usize) -> Vec<i64> {
        until("tasks arrive at the gate", async || self.state.lock().unwrap().arrived.len() >= tasks).await;
        self.state.lock().unwrap().arrived.clone()
    }

    fn pass(&self, arriving: i64) {
        let mut state = self.state.lock().unwrap();
        state.arrived.push(arriving);
        while !state.open && state.permits == 0 {
            state = self.changed.wait(state).unwrap();
        }
        state.permits = state.permits.saturating_sub(1);
    }
}

#[derive(Debug)]
struct GateFunction {
    gate: Arc<Gate>,
    signature: Signature,
}

impl PartialEq for GateFunction {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.gate, &other.gate)
    }
}
impl Eq for GateFunction {}
impl std::hash::Hash for GateFunction {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        "gate".hash(state);
    }
}

impl ScalarUDFImpl for GateFunction {
    fn name(&self) -> &str {
        "gate"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> datafusion::common::Result<DataType> {
        Ok(DataType::Int64)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> datafusion::common::Result<ColumnarValue> {
        let column = args.args[0].to_array(args.number_rows)?;
        self.gate.pass(column.as_primitive::<Int64Type>().value(0));
        Ok(args.args[0].clone())
    }
}

/// A cluster, a table `t(k, v)` of six files, and a session to plan in.
pub(super) struct Lab {
    pub(super) cluster: Arc<Cluster>,
    pub(super) gate: Arc<Gate>,
    pub(super) session: SessionContext,
    folder: TempDir,
}

pub(super) fn settings() -> ClusterSettings {
    ClusterSettings {
        rpc_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        executor_timeout: Duration::from_secs(3),
        expire_interval: Duration::from_secs(1),
        executor_wait: Duration::from_secs(30),
        resubmission_pause: Duration::from_millis(50),
        leak_patience: Duration::from_secs(2),
        ..ClusterSettings::default()
    }
}

impl Lab {
    pub(super) async fn start(settings: ClusterSettings) -> Self {
        let cluster = Cluster::start(settings, Stores::new()).await.unwrap();
        let gate = Arc::new(Gate::default());
        let folder = tempfile::tempdir().unwrap();
        let session = session(&gate);
        write_table(&session, &folder.path().join("t")).await;
        let table = folder.path().join("t").to_string_lossy().into_owned();
        session.register_parquet("t", &table, ParquetReadOptions::default()).await.unwrap();
        Self { cluster, gate, session, folder }
    }

    /// Starts an executor and waits until it has joined.
    pub(super) async fn executor(&self, vcores: usize) -> Worker {
        let before = self.cluster.executors().await.len();
        let name = format!("executor-{}", self.folder.path().read_dir().unwrap().count());
        let worker = Worker::start(self, vcores, &name);
        until("the executor joins", async || self.cluster.executors().await.len() > before).await;
        worker
    }

    /// Of how many plans there are rows with the executors.
    pub(super) fn plans_kept(&self) -> BTreeSet<OsString> {
        let folders = |folder: &Path| {
            let entries = folder.read_dir().into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect::<Vec<_>>()
        };
        let is_of_executor = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("executor-"))
        };
        let executors = folders(self.folder.path()).into_iter().filter(is_of_executor);
        executors
            .flat_map(|folder| folders(&folder))
            .filter_map(|plan| Some(plan.file_name()?.to_owned()))
            // Where what is too large for the memory goes.
            .filter(|name| !name.to_string_lossy().starts_with("datafusion-"))
            .collect()
    }

    pub(super) async fn plan(&self, sql: &str) -> Arc<dyn ExecutionPlan> {
        self.session.sql(sql).await.unwrap().create_physical_plan().await.unwrap()
    }

    /// Runs a query of one column of whole numbers on the cluster, and returns them in order.
    pub(super) async fn numbers(&self, sql: &str) -> Result<Vec<i64>, ExecutionError> {
        let plan = self.plan(sql).await;
        let progress = RunProgress::default();
        let execution = self.cluster.execution();
        timeout(PATIENCE, execution.collect("test", plan, &self.session, &progress))
            .await
            .expect("the plan ends")
            .map(|batches| sorted(&batches))
    }

    /// The same in this process.
    pub(super) async fn expected(&self, sql: &str) -> Vec<i64> {
        sorted(&self.session.sql(sql).await.unwrap().collect().await.unwrap())
    }
}

fn sorted(batches: &[RecordBatch]) -> Vec<i64> {
    let columns = batches.iter().map(|batch| batch.column(0).as_primitive::<Int64Type>().values());
    let mut numbers: Vec<i64> = columns.flatten().copied().collect();
    numbers.sort_unstable();
    numbers
}

fn session(gate: &Arc<Gate>) -> SessionContext {
    let config = SessionConfig::new_with_ballista()
        .with_ballista_adaptive_query_planner(false)
        .set_usize("ballista.scheduler.max_partitions_per_task", 1)
        .set_usize("datafusion.execution.minimum_parallel_output_files", 1)
        .set_bool("datafusion.optimizer.repartition_file_scans", false)
        .with_target_partitions(FILES as usize);
    let session = SessionContext::new_with_config(config);
    session.register_udf(ScalarUDF::from(GateFunction {
        gate: Arc::clone(gate),
        signature: Signature::exact(vec![DataType::Int64], Volatility::Volatile),
    }));
    session
}

async fn write_table(session: &SessionContext, folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    let schema = Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, false),
        Field::new("v", DataType::Int64, false),
    ]));
    for file in 0..FILES {
        let numbers = || file * ROWS_PER_FILE..(file + 1) * ROWS_PER_FILE;
        let keys = Int64Array::from_iter_values(numbers().map(|number| number % 7));
        let values = Int64Array::from_iter_values(numbers());
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(keys), Arc::new(values)]).unwrap();
        let path = folder.join(format!("{file}.parquet")).to_string_lossy().into_owned();
        let options = DataFrameWriteOptions::new().with_single_file_output(true);
        session.read_batch(batch).unwrap().write_parquet(&path, options, None).await.unwrap();
    }
}

/// An executor with a runtime of its own, so that it can die without a word.
pub(super) struct Worker {
    runtime: Option<Runtime>,
}

impl Worker {
    fn start(lab: &Lab, vcores: usize, name: &str) -> Self {
        let work_dir = lab.folder.path().join(name);
        std::fs::create_dir(&work_dir).unwrap();
        let rpc = lab.cluster.rpc_addr();
        let config = ExecutorProcessConfig {
            executor_id: executor_id(&format!("{name}-{vcores}")),
            bind_host: "127.0.0.1".to_owned(),
            external_host: Some("127.0.0.1".to_owned()),
            port: free_port(),
            grpc_port: free_port(),
            scheduler_host: rpc.ip().to_string(),
            scheduler_port: rpc.port(),
            vcores,
            work_dir: Some(work_dir.to_string_lossy().into_owned()),
            executor_heartbeat_interval_seconds: 1,
            memory_pool_size: Some(1 << 30),
            override_function_registry: Some(Arc::new(BallistaFunctionRegistry::from(&lab.session.state()))),
            ..ExecutorProcessConfig::default()
        };
        let runtime = Runtime::new().unwrap();
        runtime.spawn(start_executor_process(Arc::new(config)));
        Self { runtime: Some(runtime) }
    }

    /// Its sockets close and its heart stops; what its tasks were doing goes on unheard.
    pub(super) fn kill(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Waits until something holds.
pub(super) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"));
}
