//! One SELECT over tables that options name: opened, bound to rates, read and checked.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use cambist_engine::query::{RawSchemas, RawTable, Screening};
use cambist_engine::rates::{self, RateBooks};
use cambist_engine::record::GroupPlan;
use cambist_engine::session::{query_session_config, session};
use cambist_engine::table::{Staging, TableSnapshots};
use cambist_udfs::rate::{BookOptions, InstantMicros};
use datafusion::common::TableReference;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SQLOptions, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Expr, Value, visit_expressions_mut};

use super::options::{RatesConfig, TableConfig};
use super::tables::{Opening, QueryTable, of_named};
use crate::context::RunContext;
use crate::error::{JobError, Result};
use crate::input::{of_execution, of_rates, of_table, planning, within_limits};
use crate::table_reader::TableReader;

/// Bytes that a task of a cluster reads, as for `normalize`.
const TASK_BYTES: u64 = 128 << 20;

/// What is asked, and of what.
pub(crate) struct Question<'a> {
    /// What errors call the SQL.
    pub(crate) name: &'a str,
    /// One SELECT.
    pub(crate) sql: &'a str,
    /// The constant that stands for a placeholder such as `$day`; nothing where there is none of that name.
    pub(crate) constants: &'a (dyn Fn(&str) -> Option<Expr> + Sync),
    /// The tables, by name.
    pub(crate) tables: &'a BTreeMap<String, TableConfig>,
    /// The rates, where the SQL may use some.
    pub(crate) rates: Option<&'a RatesConfig>,
    /// What becomes of broken records.
    pub(crate) screening: Screening,
}

/// A question that can be planned.
pub(crate) struct Opened {
    pub(crate) session: SessionContext,
    /// The SELECT, not optimized.
    pub(crate) plan: LogicalPlan,
    pub(crate) tables: Vec<QueryTable>,
    /// What tells the snapshots that may be used from others.
    pub(crate) rates_digest: Option<String>,
}

/// Opens the tables, reads the SQL and checks that it is a SELECT; where tasks run in other processes the rates
/// are pinned in `staging`.
pub(crate) async fn open(question: &Question<'_>, context: &RunContext, staging: &Staging) -> Result<Opened> {
    let slots = context.execution.slots().await.map_err(of_execution)?;
    let books = Arc::new(RateBooks::default());
    let session = session(query_session_config(slots, Arc::clone(&books)), &context.stores)
        .map_err(|error| planning(error, "the session cannot be made"))?;
    let rates_digest = match question.rates {
        Some(rates) => Some(bind_rates(rates, context, staging, &session, &books).await?),
        None => None,
    };
    let tables = register_tables(question, context, slots, &session).await?;
    let plan = logical_plan(&session, question).await?;
    Ok(Opened { session, plan, tables, rates_digest })
}

async fn bind_rates(
    config: &RatesConfig,
    context: &RunContext,
    staging: &Staging,
    session: &SessionContext,
    books: &RateBooks,
) -> Result<String> {
    let options = BookOptions {
        mode: config.mode,
        max_age_days: config.max_age_days,
        known_as_of: config.known_as_of.unwrap_or(InstantMicros(context.now.as_microsecond())),
    };
    let loaded = rates::load(&context.stores, &config.url, &options).await;
    let mut loaded = loaded.map_err(|error| of_rates(&error))?;
    if context.execution.is_remote() {
        loaded.reference = rates::pin(&loaded, staging).await.map_err(|error| of_table(&error))?;
    }
    books.add(&loaded.reference, Arc::clone(&loaded.book));
    rates::bind(session, &loaded.reference, &loaded.book)
        .map_err(|error| planning(error, "the rates cannot be bound"))?;
    Ok(loaded.reference.digest)
}

async fn register_tables(
    question: &Question<'_>,
    context: &RunContext,
    slots: usize,
    session: &SessionContext,
) -> Result<Vec<QueryTable>> {
    let schemas = RawSchemas::default();
    let snapshots = TableSnapshots::new(context.stores.clone());
    let opening = Opening {
        stores: &context.stores,
        schemas: &schemas,
        snapshots: &snapshots,
        groups: GroupPlan { slots, task_bytes: context.execution.is_remote().then_some(TASK_BYTES) },
        screening: question.screening,
        progress: &context.progress,
    };
    let mut tables = Vec::new();
    for (name, table) in question.tables {
        if table.records.is_none() {
            // A job may write: a commit that its writer could not publish is published first.
            let published = TableReader::open(&context.stores, &table.url).await;
            published.map_err(|failed| of_named(name, failed))?;
        }
        let opened = opening.open(name, table).await?;
        session
            .register_table(TableReference::bare(name.as_str()), Arc::clone(&opened.provider))
            .map_err(|error| planning(error, &format!("tables.{name}")))?;
        tables.push(opened);
    }
    Ok(tables)
}

async fn logical_plan(session: &SessionContext, question: &Question<'_>) -> Result<LogicalPlan> {
    let name = question.name;
    let state = session.state();
    let failed = |error| match error {
        // Several statements, of which the message says that they are not supported yet.
        DataFusionError::NotImplemented(_) => {
            planning(error, &format!("{name} is not supported, expected one SELECT"))
        }
        error => planning(error, &format!("{name} cannot be planned")),
    };
    within_limits(question.sql, name)?;
    let dialect = state.config().options().sql_parser.dialect;
    let mut statement = state.sql_to_statement(question.sql, &dialect).map_err(failed)?;
    bind_constants(&mut statement, question)?;
    let plan = state.statement_to_plan(statement).await.map_err(failed)?;
    let not_a_select = format!("{name} is not a SELECT");
    if matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_)) {
        return Err(JobError::usage(not_a_select));
    }
    let read_only =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    read_only.verify_plan(&plan).map_err(|error| planning(error, &not_a_select))?;
    Ok(plan)
}

/// Puts a constant in the place of each placeholder: so a function sees its value when it is planned.
fn bind_constants(statement: &mut Statement, question: &Question<'_>) -> Result<()> {
    let Statement::Statement(statement) = statement else { return Ok(()) };
    let bound = visit_expressions_mut(statement.as_mut(), |expression| {
        let Expr::Value(value) = expression else { return ControlFlow::Continue(()) };
        let Value::Placeholder(placeholder) = &value.value else { return ControlFlow::Continue(()) };
        match (question.constants)(placeholder.trim_start_matches('$')) {
            Some(constant) => *expression = constant,
            None => return ControlFlow::Break(placeholder.clone()),
        }
        ControlFlow::Continue(())
    });
    match bound {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(unknown) => Err(JobError::usage(format!(
            "{} has the parameter `{unknown}`, which is not declared",
            question.name
        ))),
    }
}

/// The tables that a plan scans.
pub(crate) struct NamedTables {
    /// Those of raw files.
    pub(crate) raw: Vec<Arc<RawTable>>,
    /// Bytes of all.
    pub(crate) bytes: u64,
}

impl NamedTables {
    /// Finds which of `tables` the plan scans, those of its subqueries too.
    pub(crate) fn of(plan: &LogicalPlan, tables: &[QueryTable]) -> Result<Self> {
        let mut names = BTreeSet::new();
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                names.insert(scan.table_name.table().to_owned());
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .map_err(|error| planning(error, "the tables of the SELECT"))?;
        let named = || tables.iter().filter(|table| names.contains(&table.name));
        Ok(Self {
            raw: named().filter_map(|table| table.raw.clone()).collect(),
            bytes: named().map(|table| table.bytes).sum(),
        })
    }
}
