//! A statement is executed: admitted, planned anew if it must be, and its rows are sent while they are made.

use std::sync::Arc;

use cambist_engine::failure::TaskFailure;
use cambist_engine::progress::RunProgress;
use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::SchemaRef;
use futures::{StreamExt, stream};

use super::Inner;
use crate::access::Role;
use crate::call::JobCall;
use crate::error::{Result, SqlError, SqlErrorKind};
use crate::near;
use crate::options::SessionOption;
use crate::planning::{Physical, Planned, failure, output};
use crate::prepared::{Prepared, StatementKind};
use crate::queries::{Running, forward, too_large};
use crate::runs::{RunRow, Runs};
use crate::statement::{Action, NewTable, Query};
use crate::stream::{Executed, Rows};
use crate::system::runs::call_row;

pub(super) async fn execute(inner: &Arc<Inner>, prepared: &Prepared) -> Result<Executed> {
    let principal = prepared.session.principal();
    let limits = inner.settings.limits_of(principal.role);
    let action = prepared.kind.as_str();
    let running = inner.queries.begin(principal, action, prepared.logged.clone(), limits)?;
    let progress = RunProgress::default();
    let begun = begin(inner, prepared, &running, &progress, limits.result_bytes);
    let work = match running.bounded(begun).await {
        Ok(work) => work,
        Err(error) => {
            running.end(&Err(error.clone()));
            return Err(error);
        }
    };
    let query_id = running.id().to_owned();
    let rows: Rows = Box::pin(forward(running, async move { work.rows().await }));
    Ok(Executed { query_id, schema: Arc::clone(&prepared.result), rows, progress })
}

/// What is left to do once a statement is admitted and planned.
enum Work {
    /// Nothing: its rows are there.
    Done(Vec<RecordBatch>),
    /// A plan is to be run.
    Plan(Box<PlanWork>),
    /// A run that was submitted is to be waited for.
    Run { run_id: String, runs: Arc<dyn Runs> },
}

struct PlanWork {
    query_id: String,
    planned: Planned,
    physical: Physical,
    progress: RunProgress,
    promised: SchemaRef,
    is_explained: bool,
    role: Role,
    result_bytes: u64,
}

async fn begin(
    inner: &Arc<Inner>,
    prepared: &Prepared,
    running: &Running,
    progress: &RunProgress,
    result_bytes: u64,
) -> Result<Work> {
    match &*prepared.action {
        Action::Query(query) => {
            let planned = plan(inner, prepared, query).await?;
            let physical = inner.planner.physical(&planned, result_bytes).await?;
            Ok(Work::Plan(Box::new(PlanWork {
                query_id: running.id().to_owned(),
                planned,
                physical,
                progress: progress.clone(),
                promised: Arc::clone(&prepared.result),
                is_explained: prepared.kind == StatementKind::Explain,
                role: prepared.session.principal().role,
                result_bytes,
            })))
        }
        Action::ShowOptions(options) => Ok(Work::Done(vec![shown(prepared, options)?])),
        Action::SetOption(option, value) => {
            let session = &prepared.session;
            let mut outcome = Ok(());
            // In one step, so that it is not judged by options that are set beside it.
            session.change_options(|options| {
                let mut changed = options.clone();
                outcome = inner.set_option(session, &mut changed, *option, value.clone());
                if outcome.is_ok() {
                    *options = changed;
                }
            });
            outcome.map(|()| Work::Done(Vec::new()))
        }
        Action::Call(job_call) => {
            inner.check_places(job_call)?;
            call(job_call, &inner.environment.runs, running).await
        }
        Action::CreateTable(table) => create(inner, table).await.map(|()| Work::Done(Vec::new())),
        Action::DropTable { name, if_exists } => {
            drop_table(inner, name, *if_exists).await.map(|()| Work::Done(Vec::new()))
        }
    }
}

/// Takes the plan that was made to prepare the statement while it is new, or makes another.
async fn plan(inner: &Inner, prepared: &Prepared, query: &Query) -> Result<Planned> {
    if let Some(planned) = prepared.take_plan(inner.catalog.changes()) {
        return Ok(planned);
    }
    let mut planned = inner.planner.plan(&prepared.session, query, &prepared.sql).await?;
    if let Some(values) = &prepared.values {
        planned.plan = failure::planned(planned.plan.with_param_values(values.clone()))?;
    }
    if output::readable(planned.plan.schema().as_arrow()) != prepared.result {
        let message = "the columns of the result have changed since the statement was prepared";
        return Err(SqlError::new(SqlErrorKind::Conflict, message).with_hint("prepare it again"));
    }
    Ok(planned)
}

fn shown(prepared: &Prepared, options: &[SessionOption]) -> Result<RecordBatch> {
    let set = prepared.session.options();
    let names: StringArray = options.iter().map(|option| Some(option.name())).collect();
    let values: StringArray = options.iter().map(|option| option.read(&set)).collect();
    let descriptions: StringArray = options.iter().map(|option| Some(option.description())).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(names), Arc::new(values), Arc::new(descriptions)];
    batch(&prepared.result, columns)
}

fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    let made = RecordBatch::try_new(Arc::clone(schema), columns);
    made.map_err(|error| SqlError::new(SqlErrorKind::Internal, error.to_string()))
}

async fn create(inner: &Inner, table: &NewTable) -> Result<()> {
    inner.places.check(&table.settings.url)?;
    if table.if_not_exists && inner.catalog.declared().contains_key(&table.name) {
        return Ok(());
    }
    inner.catalog.declare(&table.name, table.settings.clone()).await
}

async fn drop_table(inner: &Inner, name: &str, if_exists: bool) -> Result<()> {
    if inner.settings.rates.default.as_deref() == Some(name) {
        let error =
            SqlError::new(SqlErrorKind::Conflict, format!("`{name}` holds the rates that the settings name"));
        return Err(error.with_hint("change `rates.default` in the settings first"));
    }
    if inner.catalog.remove(name).await? || if_exists {
        return Ok(());
    }
    let error = SqlError::new(SqlErrorKind::NotFound, format!("there is no table `{name}`"));
    let names: Vec<String> = inner.catalog.declared().into_keys().collect();
    Err(match near::hint(name, "tables", &names) {
        Some(hint) => error.with_hint(hint),
        None => error,
    })
}

impl Work {
    async fn rows(self) -> Result<Rows> {
        match self {
            Self::Done(batches) => Ok(Box::pin(stream::iter(batches.into_iter().map(Ok)))),
            Self::Plan(work) => work.rows().await,
            Self::Run { run_id, runs } => {
                let row = call_row(&ended(&run_id, runs.as_ref()).await?)?;
                Ok(Box::pin(stream::iter([Ok(row)])))
            }
        }
    }
}

impl PlanWork {
    async fn rows(self) -> Result<Rows> {
        let Self { query_id, planned, physical, progress, promised, is_explained, role, result_bytes } = self;
        let begun = physical.execution.stream(&query_id, physical.plan, &planned.context, &progress).await;
        let rows = begun.map_err(|error| sized(error.into(), result_bytes))?;
        let rates = planned.rates.clone();
        let told = match rates.as_ref().filter(|_| is_explained) {
            Some(rates) => vec![explained(&promised, rates.describe(role))],
            None => Vec::new(),
        };
        let rows = rows.map(move |batch| {
            // The rates stay pinned until the last row.
            let _pinned = &rates;
            let batch = batch.map_err(|error| sized(TaskFailure::of(&error).into(), result_bytes))?;
            output::conform(&batch, &promised)
        });
        Ok(Box::pin(rows.chain(stream::iter(told))))
    }
}

/// Tells of a result that is too large as of a limit, wherever that was seen: a task's failure comes back as text.
fn sized(error: SqlError, result_bytes: u64) -> SqlError {
    let too_large = too_large(result_bytes);
    if error.message == too_large.message { too_large } else { error }
}

/// A row of EXPLAIN.
fn explained(promised: &SchemaRef, rates: String) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> =
        vec![Arc::new(StringArray::from(vec!["rates"])), Arc::new(StringArray::from(vec![rates]))];
    batch(promised, columns)
}

/// Does what a `CALL` asks for, but does not wait for a run's end: whoever executes the statement learns at once
/// whether the run was accepted.
async fn call(call: &JobCall, runs: &Arc<dyn Runs>, running: &Running) -> Result<Work> {
    let run = match call {
        JobCall::CancelRun { run_id } => runs.cancel(run_id).await?,
        JobCall::Run { job, options, wait } => {
            if !wait && !runs.are_kept() {
                let error = SqlError::invalid("`wait` is false, and a run ends with this process");
                return Err(error.with_hint("leave `wait` out, or call the job at a server"));
            }
            let submitted = runs.submit(job, options.clone()).await?;
            if *wait {
                running.set_run(&submitted.run_id);
                return Ok(Work::Run { run_id: submitted.run_id, runs: Arc::clone(runs) });
            }
            submitted
        }
    };
    Ok(Work::Done(vec![call_row(&run)?]))
}

async fn ended(run_id: &str, runs: &dyn Runs) -> Result<RunRow> {
    let ended = runs.wait(run_id).await?;
    match (&ended.error, ended.state.as_str()) {
        (None, "cancelled") => {
            Err(SqlError::new(SqlErrorKind::Cancelled, format!("the run `{run_id}` was cancelled")))
        }
        (None, "failed") => Err(failed(&ended, "it does not say why")),
        (Some(error), _) => Err(failed(&ended, error)),
        (None, _) => Ok(ended),
    }
}

fn failed(run: &RunRow, error: &str) -> SqlError {
    let message = format!("the run `{}` has not succeeded: {error}", run.run_id);
    let hint = format!("SELECT * FROM system.runs WHERE run_id = '{}'", run.run_id);
    SqlError::new(SqlErrorKind::Data, message).with_hint(hint)
}
