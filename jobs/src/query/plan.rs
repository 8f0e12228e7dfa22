//! Checked options → a physical plan, which may have any number of stages.

use std::collections::BTreeSet;
use std::sync::Arc;

use cambist_engine::query::{RawSchemas, RawTable, Screening, end_stages, join_unmatched_once};
use cambist_engine::rates::{self, RateBooks};
use cambist_engine::record::GroupPlan;
use cambist_engine::session::{query_session_config, session};
use cambist_engine::table::{Staging, TableSnapshots};
use cambist_udfs::rate::{BookOptions, InstantMicros};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::TableReference;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SQLOptions, SessionContext};

use super::encode::written_columns;
use super::options::{QueryConfig, RatesConfig};
use super::tables::{Opening, QueryTable, of_named};
use crate::context::RunContext;
use crate::error::{JobError, Result};
use crate::input::{of_execution, of_rates, of_table, planning};
use crate::table_reader::TableReader;

/// Bytes that a task of a cluster reads, as for `normalize`.
const TASK_BYTES: u64 = 128 << 20;

/// What one run will do.
pub(super) struct QueryPlan {
    pub(super) session: SessionContext,
    pub(super) plan: Arc<dyn ExecutionPlan>,
    /// The columns of the file.
    pub(super) columns: SchemaRef,
    /// The raw tables that the SQL names.
    pub(super) raw: Vec<Arc<RawTable>>,
    /// Bytes of all tables that the SQL names.
    pub(super) input_bytes: u64,
    /// Tasks of all stages.
    pub(super) tasks: u64,
}

/// Plans the query; where tasks run in other processes its rates are pinned in `staging`.
pub(super) async fn plan(config: &QueryConfig, context: &RunContext, staging: &Staging) -> Result<QueryPlan> {
    let slots = context.execution.slots().await.map_err(of_execution)?;
    let books = Arc::new(RateBooks::default());
    let session = session(query_session_config(slots, Arc::clone(&books)), &context.stores)
        .map_err(|error| planning(error, "the session cannot be made"))?;
    if let Some(rates) = &config.rates {
        bind_rates(rates, context, staging, &session, &books).await?;
    }
    let tables = register_tables(config, context, slots, &session).await?;
    let logical = logical_plan(&session, &config.sql).await?;
    let named = named_tables(&logical)?;
    let is_named = |table: &&QueryTable| named.contains(&table.name);
    let columns = written_columns(logical.schema().as_arrow())?;
    let failed = |error| planning(error, "query.sql cannot be planned");
    let physical = session.state().create_physical_plan(&logical).await.map_err(failed)?;
    let physical = join_unmatched_once(physical).map_err(failed)?;
    let (physical, tasks) = end_stages(physical, config.max_bytes).map_err(failed)?;
    Ok(QueryPlan {
        session,
        plan: physical,
        columns,
        raw: tables.iter().filter(is_named).filter_map(|table| table.raw.clone()).collect(),
        input_bytes: tables.iter().filter(is_named).map(|table| table.bytes).sum(),
        tasks: tasks as u64,
    })
}

async fn bind_rates(
    config: &RatesConfig,
    context: &RunContext,
    staging: &Staging,
    session: &SessionContext,
    books: &RateBooks,
) -> Result<()> {
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
        .map_err(|error| planning(error, "the rates cannot be bound"))
}

async fn register_tables(
    config: &QueryConfig,
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
        screening: if config.allow_broken { Screening::Skip } else { Screening::Refuse },
        progress: &context.progress,
    };
    let mut tables = Vec::new();
    for (name, table) in &config.tables {
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

async fn logical_plan(session: &SessionContext, sql: &str) -> Result<LogicalPlan> {
    let state = session.state();
    let plan = state.create_logical_plan(sql).await.map_err(|error| match error {
        // Several statements, of which the message says that they are not supported yet.
        DataFusionError::NotImplemented(_) => {
            planning(error, "query.sql is not supported, expected one SELECT")
        }
        error => planning(error, "query.sql cannot be planned"),
    })?;
    if matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_)) {
        return Err(JobError::usage("query.sql is not a SELECT"));
    }
    let read_only =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    read_only.verify_plan(&plan).map_err(|error| planning(error, "query.sql is not a SELECT"))?;
    state.optimize(&plan).map_err(|error| planning(error, "query.sql cannot be planned"))
}

/// The tables that a plan scans, those of its subqueries too.
fn named_tables(plan: &LogicalPlan) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            names.insert(scan.table_name.table().to_owned());
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(|error| planning(error, "query.sql"))?;
    Ok(names)
}
