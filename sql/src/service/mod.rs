//! The service: prepares statements and executes them.

mod execute;
mod session_options;
mod tables;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cambist_engine::execution::StreamExecution;
use cambist_engine::rates::RateBooks;
use cambist_engine::store::Stores;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use tokio::time::Instant;

use crate::access::Principal;
use crate::audit::AuditLog;
use crate::call::JobCall;
use crate::catalog::Catalog;
use crate::error::{Result, SqlError, SqlErrorKind};
use crate::options::SessionOption;
use crate::places::Places;
use crate::planning::{self, Planned, Planner, output, parameters};
use crate::prepared::{FreshPlan, Prepared, no_columns};
use crate::preparing::Preparing;
use crate::queries::{Queries, QueryView, Refusal};
use crate::rates::RateShelf;
use crate::runs::{Executors, NotedRuns, Runs};
use crate::session::{Session, SessionOptions};
use crate::settings::SqlSettings;
use crate::statement::{Action, Parsed, Query, redact};
use crate::stream::Executed;
use crate::system;

pub use session_options::RefusedOption;
pub use tables::TableEntry;

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
    catalog: Arc<Catalog>,
    places: Arc<Places>,
    queries: Queries,
    shelf: Arc<RateShelf>,
    planner: Planner,
    preparing: Preparing,
}

/// Rates that another process has pinned are left alone so long after its longest statement must have ended.
const LEFTOVER_AGE: Duration = Duration::from_secs(86_400);

/// The one catalog's name.
pub const CATALOG: &str = "cambist";

impl SqlService {
    /// Makes a service.
    ///
    /// # Errors
    /// Where the settings contradict themselves, or the declared tables cannot be read.
    pub async fn start(settings: SqlSettings, mut environment: Environment) -> Result<Self> {
        let stores = environment.stores.clone();
        let places = Arc::new(Places::of(&settings)?);
        let catalog = Catalog::start(&settings.tables, stores.clone(), &environment.state_url).await?;
        let catalog = catalog.with_places(Arc::clone(&places)).with_rates_age_max(settings.rates.refresh());
        let catalog = Arc::new(catalog);
        environment.runs = Arc::new(NotedRuns::new(environment.runs, Arc::clone(&catalog)));
        let books = Arc::new(RateBooks::new(stores.clone()));
        let clock = Arc::clone(&environment.clock);
        let shelf = RateShelf::new(
            &settings.rates,
            stores,
            Arc::clone(&catalog),
            Arc::clone(&books),
            Arc::clone(&clock),
            &environment.state_url,
        );
        shelf
            .choose(&SessionOptions::default())
            .map_err(|error| SqlError { message: format!("rates: {}", error.message), ..error })?;
        if environment.execution.is_remote() {
            shelf.remove_leftovers(settings.run_time_max() + LEFTOVER_AGE).await;
        }
        let shelf = Arc::new(shelf);
        let at_once_max = settings.concurrent_queries_max();
        let queries = Queries::new(clock, Arc::clone(&environment.audit), at_once_max);
        let planner = Planner::new(&environment, &catalog, &queries, &shelf, &books, settings.memory_bytes)?;
        let preparing = Preparing::new(at_once_max);
        let inner = Inner { settings, environment, catalog, places, queries, shelf, planner, preparing };
        Ok(Self { inner: Arc::new(inner) })
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
    /// Its work is dropped, and its rows end with [`SqlErrorKind::Cancelled`]. The run that a `CALL` waits for is
    /// cancelled first.
    ///
    /// # Errors
    /// Where the query is somebody else's. [`SqlErrorKind::Conflict`] where it waits for a run whose commit has
    /// begun: it goes on.
    pub async fn cancel(&self, principal: &Principal, query_id: &str) -> Result<bool> {
        let Inner { queries, environment, .. } = &*self.inner;
        let Some(run_id) = queries.run_of(principal, query_id)? else {
            return queries.cancel(principal, query_id);
        };
        environment.runs.cancel(&run_id).await?;
        queries.cancel(principal, query_id)?;
        Ok(true)
    }

    /// Waits until a query has ended, its rows made and not necessarily read; at once where none of that id runs.
    pub async fn ended(&self, query_id: &str) {
        self.inner.queries.ended(query_id).await;
    }

    /// Returns the queries that run and the last ones that did, newest first, everybody's.
    pub fn queries(&self) -> Vec<QueryView> {
        self.inner.queries.list()
    }

    /// Reads, checks and plans one statement.
    ///
    /// # Errors
    /// Where it cannot be read or planned, or the session's user may not execute it. Refusals are noted in the
    /// audit log.
    pub async fn prepare(&self, session: &Arc<Session>, sql: &str) -> Result<Prepared> {
        let started = Instant::now();
        let mut action = "prepare";
        let prepared = self.prepare_unnoted(session, sql, &mut action).await;
        if let Err(error) = &prepared {
            let statement = &redact::for_log(sql);
            let principal = session.principal();
            self.inner.queries.note_refusal(&Refusal { principal, action, statement, started, error });
        }
        prepared
    }

    async fn prepare_unnoted(
        &self,
        session: &Arc<Session>,
        sql: &str,
        noted: &mut &'static str,
    ) -> Result<Prepared> {
        let inner = &self.inner;
        let principal = session.principal();
        let _counted = inner.preparing.begin(principal, inner.settings.limits_of(principal.role))?;
        let parsed = Parsed::read(sql)?;
        let kind = parsed.kind;
        *noted = kind.as_str();
        let role = principal.role;
        if !role.may(kind) {
            let error = SqlError::denied(format!("a {role} may not {}", kind.as_str()));
            return Err(error.with_hint(format!("this takes the role `{}`", kind.needs())));
        }
        let action = parsed.action(sql)?;
        let mut prepared = Prepared {
            sql: sql.into(),
            logged: redact::for_log(sql),
            kind,
            session: Arc::clone(session),
            action: Arc::new(action),
            result: no_columns(),
            parameters: no_columns(),
            values: None,
            planned: FreshPlan::default(),
        };
        match &*Arc::clone(&prepared.action) {
            Action::Query(query) => {
                let planned = self.planned(session, query, sql).await?;
                prepared.result = output::readable(planned.plan.schema().as_arrow());
                let parameters = parameters::schema(&planned.plan, &query.parameters);
                prepared.parameters = planning::failure::planned(parameters)?;
                prepared.planned = FreshPlan::of(planned);
            }
            Action::ShowOptions(_) => prepared.result = options_columns(),
            Action::SetOption(option, value) => {
                inner.set_option(session, &mut session.options(), *option, value.clone())?;
            }
            Action::Call(call) => {
                inner.check_places(call)?;
                prepared.result = system::runs::call_columns();
            }
            Action::CreateTable(table) => inner.places.check(&table.settings.url)?,
            Action::DropTable { .. } => {}
        }
        Ok(prepared)
    }

    /// Plans, but no longer than a statement may take.
    async fn planned(&self, session: &Session, query: &Query, sql: &str) -> Result<Planned> {
        let limit = self.inner.settings.limits_of(session.principal().role).run_time();
        let planning = self.inner.planner.plan(session, query, sql);
        tokio::time::timeout(limit, planning).await.unwrap_or_else(|_| {
            let message = format!("the statement could not be planned within {} s", limit.as_secs());
            Err(SqlError::new(SqlErrorKind::TimedOut, message))
        })
    }

    /// Binds a statement's parameters to a batch of one row, by name where it has all the names, by position
    /// otherwise. What is returned has no parameters, and the columns that these values give it.
    ///
    /// # Errors
    /// Where the number of values or a type does not fit.
    pub async fn bind(&self, prepared: &Prepared, parameters: &RecordBatch) -> Result<Prepared> {
        let values = parameters::values(&prepared.parameters, parameters)?;
        let mut bound = Prepared {
            sql: Arc::clone(&prepared.sql),
            logged: prepared.logged.clone(),
            kind: prepared.kind,
            session: Arc::clone(&prepared.session),
            action: Arc::clone(&prepared.action),
            result: Arc::clone(&prepared.result),
            parameters: no_columns(),
            values: None,
            planned: FreshPlan::default(),
        };
        let Action::Query(query) = &*prepared.action else { return Ok(bound) };
        let principal = prepared.session.principal();
        let _counted =
            self.inner.preparing.begin(principal, self.inner.settings.limits_of(principal.role))?;
        let mut planned = match prepared.take_plan(self.inner.catalog.changes()) {
            Some(planned) => planned,
            None => self.planned(&prepared.session, query, &prepared.sql).await?,
        };
        planned.plan = planning::failure::planned(planned.plan.with_param_values(values.clone()))?;
        bound.result = output::readable(planned.plan.schema().as_arrow());
        bound.values = Some(values);
        bound.planned = FreshPlan::of(planned);
        Ok(bound)
    }

    /// Executes a statement, with a row of values for its parameters.
    ///
    /// The work goes on while its rows are read; dropping them cancels it. A `CALL` is different: its run is
    /// submitted when this returns, and goes on whether or not somebody waits for its row.
    ///
    /// # Errors
    /// Where a limit of the user is reached, or the statement cannot be planned any more. What fails later is told
    /// in the rows.
    pub async fn execute(&self, prepared: &Prepared, parameters: Option<&RecordBatch>) -> Result<Executed> {
        let bound = match parameters {
            Some(parameters) => Some(self.bind(prepared, parameters).await?),
            None if prepared.parameters.fields().is_empty() => None,
            None => {
                let count = prepared.parameters.fields().len();
                return Err(SqlError::invalid(format!(
                    "no values are given, the statement has {count} parameters"
                )));
            }
        };
        execute::execute(&self.inner, bound.as_ref().unwrap_or(prepared)).await
    }
}

impl Inner {
    /// Checks the places that a call names. What lies there may be another thing later.
    fn check_places(&self, call: &JobCall) -> Result<()> {
        call.places().iter().try_for_each(|place| self.places.check(place))
    }

    /// Sets an option where its value is good.
    fn set_option(
        &self,
        session: &Session,
        options: &mut SessionOptions,
        option: SessionOption,
        value: Option<String>,
    ) -> Result<()> {
        if !session.is_lasting() {
            let name = option.name();
            let error =
                SqlError::invalid(format!("{name} cannot be set: this connection has no session that lasts"));
            return Err(error.with_hint(
                "log in with user and password, or keep the server's cookies, or give the option with each request",
            ));
        }
        option.write(options, value)?;
        if option == SessionOption::Rates && options.rates.is_some() {
            self.shelf.choose(options)?;
        }
        Ok(())
    }
}

/// The columns of `SHOW cambist.rates`.
fn options_columns() -> SchemaRef {
    let field = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![field("name"), field("value"), field("description")]))
}
