//! A service in a folder of its own: raw files, a table that a job has written, rates; runs of jobs in this process.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cambist_engine::execution::{Execution, ExecutionError, InProcess, StreamExecution};
use cambist_engine::progress::RunProgress;
use cambist_engine::store::Stores;
use cambist_jobs::context::{RunContext, Unobserved};
use cambist_jobs::registry;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use serde_json::{Map, Value, json};

use crate::access::{Principal, Role};
use crate::audit::{AuditEntry, AuditLog};
use crate::catalog::{TableKind, TableSettings};
use crate::error::{Result, SqlError, SqlErrorKind};
use crate::runs::{ExecutorRow, Executors, RunRow, Runs};
use crate::service::{Environment, SqlService};
use crate::session::Session;
use crate::settings::SqlSettings;

/// When everything happens.
pub(super) const NOW: &str = "2030-01-01T00:00:00Z";

pub(super) fn now() -> jiff::Timestamp {
    NOW.parse().unwrap()
}

/// Notes every entry.
#[derive(Debug, Default)]
pub(super) struct Noted(Mutex<Vec<AuditEntry>>);

impl AuditLog for Noted {
    fn note(&self, entry: &AuditEntry) {
        self.0.lock().unwrap().push(entry.clone());
    }
}

impl Noted {
    pub(super) fn entries(&self) -> Vec<AuditEntry> {
        self.0.lock().unwrap().clone()
    }

    pub(super) fn last(&self) -> AuditEntry {
        self.entries().pop().unwrap()
    }
}

/// Runs jobs at once, in this process.
#[derive(Debug, Default)]
pub(super) struct RunsHere(Mutex<Vec<RunRow>>);

#[async_trait]
impl Runs for RunsHere {
    async fn submit(&self, job: &str, options: Map<String, Value>) -> Result<RunRow> {
        let prepared = registry::prepare(job, Value::Object(options.clone()))?;
        let run_id = format!("r{}", self.0.lock().unwrap().len() + 1);
        let context = RunContext {
            run_id: run_id.clone(),
            attempt: 1,
            now: now(),
            stores: Stores::new(),
            execution: Arc::new(InProcess { cores: 2 }),
            progress: RunProgress::default(),
            observer: Arc::new(Unobserved),
        };
        let ended = prepared.run(&context).await;
        let run = RunRow {
            run_id,
            job: job.to_owned(),
            state: if ended.is_ok() { "published" } else { "failed" }.to_owned(),
            is_over: true,
            submitted_at: Some(now()),
            ended_at: Some(now()),
            attempts: 1,
            records: 3,
            seconds: 0.5,
            options: Value::Object(options),
            report: ended.as_ref().ok().cloned(),
            error: ended.err().map(|error| error.to_string()),
        };
        self.0.lock().unwrap().push(run.clone());
        Ok(run)
    }

    async fn wait(&self, run_id: &str) -> Result<RunRow> {
        let found = self.0.lock().unwrap().iter().find(|run| run.run_id == run_id).cloned();
        found.ok_or_else(|| SqlError::new(SqlErrorKind::NotFound, format!("there is no run `{run_id}`")))
    }

    async fn cancel(&self, run_id: &str) -> Result<RunRow> {
        let mut run = self.wait(run_id).await?;
        run.state = "cancelled".to_owned();
        Ok(run)
    }

    async fn list(&self, limit: usize) -> Result<Vec<RunRow>> {
        Ok(self.0.lock().unwrap().iter().rev().take(limit).cloned().collect())
    }
}

#[derive(Debug)]
struct OneExecutor;

#[async_trait]
impl Executors for OneExecutor {
    async fn list(&self) -> Vec<ExecutorRow> {
        vec![ExecutorRow {
            executor_id: "e1".to_owned(),
            host: "10.0.0.1".to_owned(),
            status: "active".to_owned(),
            vcores_total: 4,
            vcores_free: 3,
        }]
    }
}

/// Runs in this process what believes that it runs elsewhere, and notes what it ran.
#[derive(Debug, Default)]
pub(super) struct Elsewhere(Mutex<Vec<String>>);

impl Elsewhere {
    pub(super) fn ran(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[async_trait]
impl Execution for Elsewhere {
    async fn slots(&self) -> Result<usize, ExecutionError> {
        Ok(2)
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
        InProcess { cores: 2 }.collect(name, plan, session, progress).await
    }
}

#[async_trait]
impl StreamExecution for Elsewhere {
    async fn stream(
        &self,
        name: &str,
        plan: Arc<dyn ExecutionPlan>,
        session: &SessionContext,
        progress: &RunProgress,
    ) -> Result<SendableRecordBatchStream, ExecutionError> {
        self.0.lock().unwrap().push(name.to_owned());
        InProcess { cores: 2 }.stream(name, plan, session, progress).await
    }
}

pub(super) struct Bench {
    pub(super) folder: tempfile::TempDir,
    pub(super) service: SqlService,
    pub(super) noted: Arc<Noted>,
}

const SALES: &str =
    "id,amount,currency,day\n1,10.00,USD,2024-05-01\n2,20.50,EUR,2024-05-01\n3,7,USD,2024-05-02\n";

const RATES: [(&str, &str); 2] = [
    ("2024-05-01.json", r#"{"base":"USD","date":"2024-05-01","rates":{"EUR":0.5,"INR":80}}"#),
    ("2024-05-02.json", r#"{"base":"USD","date":"2024-05-02","rates":{"EUR":0.5,"INR":90}}"#),
];

impl Bench {
    pub(super) async fn new() -> Self {
        Self::with(|_| {}, Arc::new(InProcess { cores: 2 })).await
    }

    pub(super) async fn with(
        change: impl FnOnce(&mut SqlSettings),
        execution: Arc<dyn StreamExecution>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("raw")).unwrap();
        std::fs::create_dir_all(path("rates")).unwrap();
        std::fs::create_dir_all(path("secret")).unwrap();
        std::fs::write(path("raw/sales.csv"), SALES).unwrap();
        std::fs::write(path("secret/salaries.csv"), "name,salary\nann,1\n").unwrap();
        for (name, text) in RATES {
            std::fs::write(path("rates").join(name), text).unwrap();
        }
        let mut settings = SqlSettings {
            tables: Self::tables(folder.path()),
            locations: vec![path("raw").to_str().unwrap().to_owned()],
            ..SqlSettings::default()
        };
        settings.rates.default = Some("usd".to_owned());
        change(&mut settings);
        let noted = Arc::new(Noted::default());
        let environment = Environment {
            stores: Stores::new(),
            execution,
            runs: Arc::new(RunsHere::default()),
            executors: Arc::new(OneExecutor),
            audit: Arc::clone(&noted) as _,
            clock: Arc::new(now),
            state_url: path("state").to_str().unwrap().to_owned(),
        };
        let service = SqlService::start(settings, environment).await.unwrap();
        Self { folder, service, noted }
    }

    fn tables(folder: &Path) -> BTreeMap<String, TableSettings> {
        let table = |name: &str, kind, format: Option<&str>, types: &[(&str, &str)]| TableSettings {
            url: folder.join(name).to_str().unwrap().to_owned(),
            kind,
            format: format.map(str::to_owned),
            encoding: None,
            delimiter: None,
            types: types.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect(),
        };
        let types = [("id", "int64"), ("amount", "decimal(12,2)"), ("day", "date")];
        BTreeMap::from([
            ("sales".to_owned(), table("raw/sales.csv", TableKind::Raw, Some("csv"), &types)),
            ("gone".to_owned(), table("raw/gone.csv", TableKind::Raw, Some("csv"), &[])),
            ("usd".to_owned(), table("rates", TableKind::Rates, None, &[])),
            ("normalised".to_owned(), table("raw/normalised", TableKind::Cambist, None, &[])),
        ])
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    pub(super) fn session(&self, role: Role) -> Arc<Session> {
        Arc::new(Session::new(Principal::new(role.to_string(), role)))
    }

    /// Executes a statement and returns its rows as text.
    pub(super) async fn rows(&self, session: &Arc<Session>, sql: &str) -> Result<Vec<String>> {
        let prepared = self.service.prepare(session, sql).await?;
        let executed = self.service.execute(&prepared, None).await?;
        assert_eq!(&executed.schema, prepared.result_schema());
        let batches: Vec<RecordBatch> = executed.rows.try_collect().await?;
        for batch in &batches {
            assert_eq!(&batch.schema(), prepared.result_schema(), "{sql}");
        }
        Ok(batches.iter().flat_map(texts).collect())
    }

    /// The same for a reader.
    pub(super) async fn read(&self, sql: &str) -> Result<Vec<String>> {
        self.rows(&self.session(Role::Reader), sql).await
    }

    /// Converts the sales, one of which has an amount that is none.
    pub(super) async fn normalise(&self, run: &str) {
        let amounts = format!("{SALES}4,{run},USD,2024-05-02\n");
        let source = self.path(&format!("raw/for-{run}.csv"));
        std::fs::write(&source, amounts).unwrap();
        let options = json!({
            "source": {"url": source, "format": "csv", "amount": "amount", "currency": "currency", "event_time": "day", "time_zone": "UTC"},
            "rates": {"url": self.path("rates")},
            "target": {"currencies": ["INR"]},
            "output": {"url": self.path("raw/normalised")},
            "quality": {"max_quarantine_ratio": 1.0},
            "run": {"batch": "all"},
        });
        let Value::Object(options) = options else { unreachable!() };
        let run = self.service.environment().runs.submit("normalize", options).await.unwrap();
        assert_eq!(run.error, None, "{run:?}");
    }
}

/// The rows of a batch, with `|` between their values.
pub(super) fn texts(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("null");
    let columns: Vec<ArrayFormatter<'_>> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
    let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|");
    (0..batch.num_rows()).map(row).collect()
}
