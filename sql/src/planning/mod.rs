//! From a statement to a plan, in a session of its own: the tables that it names are opened once, its rates are
//! pinned once.

pub(crate) mod failure;
pub(crate) mod output;
pub(crate) mod parameters;
mod schemas;

use std::collections::HashSet;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use cambist_engine::execution::{InProcess, StreamExecution};
use cambist_engine::query::{end_stages, join_unmatched_once};
use cambist_engine::rates::RateBooks;
use cambist_engine::record::GroupPlan;
use cambist_engine::session::{bounded_runtime, query_session_config, runtime, session_state};
use cambist_engine::store::Stores;
use cambist_udfs::rate::AsOfMode;
use cambist_udfs::sql::{BookIdentity, SessionRates, rates_of, scalar_functions};
use datafusion::common::{TableReference, internal_err};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::SessionState;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::sqlparser::ast::ObjectName;
use failure::{Asked, Names, base_name, planned};
use schemas::SYSTEM;
use tokio::time::Instant;

use crate::catalog::{Catalog, Opening};
use crate::error::{Result, SqlError, SqlErrorKind};
use crate::queries::Queries;
use crate::rates::{BoundRates, RateShelf};
use crate::service::{CATALOG, Environment};
use crate::session::{Session, SessionOptions};
use crate::statement::{PUBLIC, Query};
use crate::system::{READING_FILES, SystemTables};

/// Bytes that a task of a cluster reads, as in the jobs.
const TASK_BYTES: u64 = 128 << 20;

/// How long a statement waits for executors while it is planned.
const SLOTS_PATIENCE: Duration = Duration::from_secs(5);

/// Makes the plans of a service.
#[derive(Debug)]
pub(crate) struct Planner {
    environment: Environment,
    catalog: Arc<Catalog>,
    queries: Queries,
    shelf: Arc<RateShelf>,
    books: Arc<RateBooks>,
    /// What every statement's session begins with.
    base: SessionState,
    /// The functions that look at rates.
    with_rates: HashSet<String>,
}

/// A statement's plan, and the session it was made in.
pub(crate) struct Planned {
    pub(crate) context: SessionContext,
    pub(crate) plan: LogicalPlan,
    pub(crate) rates: Option<BoundRates>,
    pub(crate) made_at: Instant,
    /// The session's options that it was made for.
    pub(crate) options: SessionOptions,
    /// The changes of this process that it has seen.
    pub(crate) changes: u64,
}

/// What is run, and by whom.
pub(crate) struct Physical {
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    pub(crate) execution: Arc<dyn StreamExecution>,
}

impl Planner {
    pub(crate) fn new(
        environment: &Environment,
        catalog: &Arc<Catalog>,
        queries: &Queries,
        shelf: &Arc<RateShelf>,
        books: &Arc<RateBooks>,
        memory_bytes: Option<usize>,
    ) -> Result<Self> {
        let base = base_state(&environment.stores, memory_bytes, books).map_err(|error| {
            SqlError::new(SqlErrorKind::Internal, format!("a session cannot be made: {error}"))
        })?;
        Ok(Self {
            environment: environment.clone(),
            catalog: Arc::clone(catalog),
            queries: queries.clone(),
            shelf: Arc::clone(shelf),
            books: Arc::clone(books),
            base,
            with_rates: functions_with_rates(),
        })
    }

    /// Plans a query on the present state of its tables.
    ///
    /// # Errors
    /// Where it cannot be planned, with the place and what may have been meant.
    pub(crate) async fn plan(&self, session: &Session, query: &Query, sql: &str) -> Result<Planned> {
        let made_at = Instant::now();
        let (options, changes) = (session.options(), self.catalog.changes());
        let reads_files = self.reads_files(query)?;
        let is_remote = self.environment.execution.is_remote() && reads_files;
        let slots =
            if is_remote || !self.environment.execution.is_remote() { self.slots().await? } else { cores() };
        let context = self.context(session, slots, is_remote);
        let rates = self.bind_rates(&options, query, is_remote, &context).await?;
        let state = context.state();
        let logical = state.statement_to_plan(query.statement.clone()).await.map_err(|error| {
            let declared = self.catalog.declared().into_keys().collect();
            Asked { sql, statement: &query.statement, state: &state, declared }.failure(&error)
        })?;
        let read_only =
            SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        planned(read_only.verify_plan(&logical))?;
        Ok(Planned { context, plan: logical, rates, made_at, options, changes })
    }

    /// Returns the tasks that run at once. Runs wait for executors, statements hardly do.
    async fn slots(&self) -> Result<usize> {
        let slots = tokio::time::timeout(SLOTS_PATIENCE, self.environment.execution.slots()).await;
        let Ok(slots) = slots else {
            let message = format!("no executor was there within {} s", SLOTS_PATIENCE.as_secs());
            let error = SqlError::new(SqlErrorKind::Unavailable, message);
            return Err(error.with_hint("start executors, then try again: SELECT * FROM system.executors"));
        };
        Ok(slots?)
    }

    /// Makes the physical plan; `result_bytes` may leave each process that runs a part of it.
    ///
    /// # Errors
    /// Where the plan contradicts itself, such as in the type of a constant.
    pub(crate) async fn physical(&self, logical: &Planned, result_bytes: u64) -> Result<Physical> {
        let plan = planned(logical.context.state().create_physical_plan(&logical.plan).await)?;
        let plan = planned(join_unmatched_once(plan))?;
        let is_here = !self.environment.execution.is_remote() || !scans_files(&plan);
        let bytes_max = usize::try_from(result_bytes).unwrap_or(usize::MAX);
        let (plan, _) = planned(end_stages(plan, bytes_max))?;
        let execution: Arc<dyn StreamExecution> = if is_here && self.environment.execution.is_remote() {
            Arc::new(InProcess { cores: cores() })
        } else {
            Arc::clone(&self.environment.execution)
        };
        Ok(Physical { plan, execution })
    }

    /// Tells whether the query names tables whose files are read.
    fn reads_files(&self, query: &Query) -> Result<bool> {
        let references = planned(self.base.resolve_table_references(&query.statement))?;
        let declared = self.catalog.declared();
        let is_read = |reference: &TableReference| match reference.schema().unwrap_or(PUBLIC) {
            PUBLIC => declared.contains_key(base_name(reference.table())),
            SYSTEM => READING_FILES.contains(&reference.table()),
            _ => false,
        };
        Ok(references.iter().any(is_read))
    }

    fn context(&self, session: &Session, slots: usize, is_remote: bool) -> SessionContext {
        let opening = Opening {
            groups: GroupPlan { slots, task_bytes: is_remote.then_some(TASK_BYTES) },
            now: (self.environment.clock)(),
        };
        let system = SystemTables {
            environment: self.environment.clone(),
            catalog: Arc::clone(&self.catalog),
            queries: self.queries.clone(),
            shelf: Arc::clone(&self.shelf),
            principal: session.principal().clone(),
            opening: opening.clone(),
            functions: self.base.clone(),
        };
        let catalogs = schemas::catalogs(Arc::clone(&self.catalog), opening, Arc::new(system));
        let state = SessionStateBuilder::new_from_existing(self.base.clone())
            .with_config(config(slots, &self.books))
            .with_catalog_list(catalogs)
            .build();
        SessionContext::new_with_state(state)
    }

    async fn bind_rates(
        &self,
        options: &SessionOptions,
        query: &Query,
        is_remote: bool,
        context: &SessionContext,
    ) -> Result<Option<BoundRates>> {
        let names = Names::of(&query.statement).functions;
        // The last part is the function's own name, without the quotes that it may be written in.
        let own = |name: &ObjectName| {
            let word = name.0.last().and_then(|part| part.as_ident());
            word.map_or_else(|| name.to_string(), |word| word.value.clone()).to_lowercase()
        };
        let names: Vec<String> = names.iter().map(own).collect();
        if !names.iter().any(|name| self.with_rates.contains(name)) {
            return Ok(None);
        }
        match self.shelf.choose(options)? {
            Some(choice) => self.shelf.bind(choice, is_remote, context).await.map(Some),
            // The others know the currencies of ISO 4217 alone.
            None => match names.iter().find(|name| self.with_rates.contains(*name) && needs_rates(name)) {
                Some(function) => Err(self.shelf.none_chosen(function)),
                None => Ok(None),
            },
        }
    }
}

fn needs_rates(function: &str) -> bool {
    function.strip_prefix("try_").unwrap_or(function).starts_with("fx_")
}

fn base_state(
    stores: &Stores,
    memory_bytes: Option<usize>,
    books: &Arc<RateBooks>,
) -> datafusion::common::Result<SessionState> {
    let runtime = match memory_bytes {
        Some(bytes) => bounded_runtime(stores, bytes)?,
        None => runtime(stores)?,
    };
    session_state(config(1, books), runtime)
}

fn config(slots: usize, books: &Arc<RateBooks>) -> SessionConfig {
    query_session_config(slots, Arc::clone(books))
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, PUBLIC)
        // Failures say where.
        .set_bool("datafusion.sql_parser.collect_spans", true)
}

/// Asks every function of ours which of them can be bound to rates; they are never called.
fn functions_with_rates() -> HashSet<String> {
    let identity = BookIdentity { digest: [0; 32], mode: AsOfMode::Date, max_age_days: None };
    let bound = SessionRates::deferred(identity, || internal_err!("these rates only ask who can use some"));
    let functions = scalar_functions(Some(&bound));
    let with_rates = functions.iter().filter(|function| rates_of(function).is_some());
    with_rates.map(|function| function.name().to_owned()).collect()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Tells whether a plan reads files; one that does not costs less here than its way to a cluster.
fn scans_files(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let is_file_scan = plan
        .downcast_ref::<DataSourceExec>()
        .is_some_and(|scan| scan.data_source().downcast_ref::<FileScanConfig>().is_some());
    is_file_scan || plan.children().into_iter().any(scans_files)
}
