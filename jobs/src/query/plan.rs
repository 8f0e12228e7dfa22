//! Checked options → a physical plan, which may have any number of stages.

use std::sync::Arc;

use cambist_engine::query::{RawTable, Screening, end_stages, join_unmatched_once};
use cambist_engine::table::Staging;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;

use super::encode::written_columns;
use super::options::QueryConfig;
use super::question::{NamedTables, Question, open};
use crate::context::RunContext;
use crate::error::Result;
use crate::input::planning;

/// What errors call the SQL.
const SQL: &str = "query.sql";

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
    let question = Question {
        name: SQL,
        sql: &config.sql,
        constants: &|_| None,
        tables: &config.tables,
        rates: config.rates.as_ref(),
        screening: if config.allow_broken { Screening::Skip } else { Screening::Refuse },
    };
    let opened = open(&question, context, staging).await?;
    let failed = |error| planning(error, "query.sql cannot be planned");
    let logical = opened.session.state().optimize(&opened.plan).map_err(failed)?;
    let named = NamedTables::of(&logical, &opened.tables)?;
    let columns = written_columns(logical.schema().as_arrow())?;
    let physical = opened.session.state().create_physical_plan(&logical).await.map_err(failed)?;
    let physical = join_unmatched_once(physical).map_err(failed)?;
    let (physical, tasks) = end_stages(physical, config.max_bytes).map_err(failed)?;
    Ok(QueryPlan {
        plan: physical,
        columns,
        raw: named.raw,
        input_bytes: named.bytes,
        tasks: tasks as u64,
        session: opened.session,
    })
}
