//! Checked options → what will be done: the SELECT, bound, in the columns of a table, and how its rows get there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cambist_engine::athena::{hive_type, output_type};
use cambist_engine::query::{RawTable, Screening, end_stages, join_unmatched_once};
use cambist_engine::rate_join::EVENT_DATE_COLUMN;
use cambist_engine::table::{Column as TableColumn, Staging, TableSchema};
use cambist_engine::task_input::planned_inputs;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, TableReference};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::prelude::SessionContext;
use serde_json::json;

use super::definition::SQL;
use super::options::SqlJobConfig;
use crate::context::RunContext;
use crate::digest::sha256_hex;
use crate::error::{JobError, Result};
use crate::input::planning;
use crate::normalize::{InputFile, RULES_VERSION};
use crate::query::{MAX_BYTES, NamedTables, Question, open};

/// What one run will do.
pub(super) struct SqlJobPlan {
    pub(super) session: SessionContext,
    /// The rows: the columns of the files, then the event date.
    pub(super) rows: Arc<dyn ExecutionPlan>,
    pub(super) way: Way,
    pub(super) tasks: u64,
    pub(super) schema: TableSchema,
    pub(super) raw: Vec<Arc<RawTable>>,
    pub(super) input_bytes: u64,
    pub(super) inputs: BTreeMap<String, Vec<InputFile>>,
    pub(super) rates_digest: Option<String>,
    pub(super) input_digest: String,
}

/// How rows get into files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Each task reads its files and writes its rows.
    MapOnly,
    /// In this process the last stage writes, whatever comes before.
    LastStage,
    /// On a cluster a task that reads an exchange may run twice and see other rows: the result is made first,
    /// kept as one object, and then written.
    Kept,
}

/// Plans a run that stages at `staging`.
pub(super) async fn plan(
    config: &SqlJobConfig,
    context: &RunContext,
    staging: &Staging,
) -> Result<SqlJobPlan> {
    let definition = &config.definition;
    let question = Question {
        name: SQL,
        sql: &definition.sql,
        constants: &|name| config.values.get(name).map(|value| value.constant()),
        tables: &config.tables,
        rates: config.rates.as_ref(),
        screening: Screening::Refuse,
    };
    let opened = open(&question, context, staging).await?;
    let failed = |error| planning(error, &format!("{SQL} cannot be planned"));
    let (logical, schema) = in_columns(opened.plan, &definition.partition_by)?;
    let logical = opened.session.state().optimize(&logical).map_err(failed)?;
    let named = NamedTables::of(&logical, &opened.tables)?;
    let physical = opened.session.state().create_physical_plan(&logical).await.map_err(failed)?;
    let physical = join_unmatched_once(physical).map_err(failed)?;
    let way = Way::of(&physical, context.execution.is_remote()).map_err(failed)?;
    let (rows, tasks) = match way {
        Way::Kept => {
            let bytes_max = usize::try_from(MAX_BYTES).unwrap_or(usize::MAX);
            end_stages(physical, bytes_max).map_err(failed)?
        }
        Way::MapOnly | Way::LastStage => {
            let tasks = physical.properties().partitioning.partition_count();
            (physical, tasks)
        }
    };
    let inputs: BTreeMap<String, Vec<InputFile>> =
        opened.tables.iter().map(|table| (table.name.clone(), table.inputs())).collect();
    Ok(SqlJobPlan {
        session: opened.session,
        rows,
        way,
        tasks: tasks as u64,
        schema,
        raw: named.raw,
        input_bytes: named.bytes,
        input_digest: digest(config, &inputs, opened.rates_digest.as_deref()),
        inputs,
        rates_digest: opened.rates_digest,
    })
}

impl Way {
    fn of(plan: &Arc<dyn ExecutionPlan>, is_remote: bool) -> datafusion::common::Result<Self> {
        let is_exchange = |node: &Arc<dyn ExecutionPlan>| {
            node.is::<RepartitionExec>()
                || node.is::<CoalescePartitionsExec>()
                || node.is::<SortPreservingMergeExec>()
        };
        let has_exchange = plan.exists(|node| Ok(is_exchange(node)))?;
        // Tasks are told apart by the files they read, so they must read some, and not the same.
        let reads = planned_inputs(plan).unwrap_or_default();
        let distinct: BTreeSet<_> = reads.iter().collect();
        let is_map_only = !has_exchange && !reads.is_empty() && distinct.len() == reads.len();
        Ok(match (is_map_only, is_remote) {
            (true, _) => Self::MapOnly,
            (false, false) => Self::LastStage,
            (false, true) => Self::Kept,
        })
    }
}

/// Puts the SELECT into the columns of a table: types that every hive reader knows, names in lower case, and last
/// the date that the table is partitioned by, in days.
fn in_columns(plan: LogicalPlan, partition_by: &str) -> Result<(LogicalPlan, TableSchema)> {
    let mut columns = Vec::new();
    let mut written = Vec::new();
    let mut names = BTreeSet::new();
    let mut event_date = None;
    for (qualifier, field) in plan.schema().iter() {
        let name = column_name(field)?;
        if !names.insert(name.clone()) {
            return Err(JobError::usage(format!(
                "two columns of the result are called `{name}`: rename one with AS"
            )));
        }
        let column = Expr::Column(Column::new(qualifier.cloned() as Option<TableReference>, field.name()));
        if name == partition_by {
            check_date(field)?;
            event_date = Some(cast(cast(column, DataType::Date32), DataType::Int32).alias(EVENT_DATE_COLUMN));
            continue;
        }
        let data_type = written_type(field)?;
        let hive_type = hive_type(&data_type).map_err(|error| planning(error, &name))?;
        written.push(cast(column, data_type).alias(&name));
        columns.push(TableColumn { name, hive_type });
    }
    let Some(event_date) = event_date else {
        return Err(JobError::usage(format!(
            "the result has no column `{partition_by}`, which output.partition_by names; it has {}",
            names.into_iter().collect::<Vec<_>>().join(", ")
        )));
    };
    written.push(event_date);
    let failed = |error| planning(error, &format!("{SQL} cannot be planned"));
    let plan = LogicalPlanBuilder::from(plan).project(written).and_then(LogicalPlanBuilder::build);
    Ok((plan.map_err(failed)?, TableSchema { columns, partition_column: Some(partition_by.to_owned()) }))
}

fn column_name(field: &Field) -> Result<String> {
    let is_plain = |letter: char| letter.is_alphanumeric() || letter == '_';
    if !field.name().is_empty() && field.name().chars().all(is_plain) && field.name() != EVENT_DATE_COLUMN {
        return Ok(field.name().to_lowercase());
    }
    Err(JobError::usage(format!(
        "a column of the result is called `{}`, expected letters, digits and `_`: name it with AS",
        field.name()
    )))
}

fn check_date(field: &Field) -> Result<()> {
    match field.data_type() {
        DataType::Date32
        | DataType::Date64
        | DataType::Timestamp(..)
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Null => Ok(()),
        DataType::Dictionary(_, values) if **values == DataType::Utf8 => Ok(()),
        other => Err(JobError::usage(format!(
            "the column `{}` that the table is partitioned by is of type {other}, expected a date",
            field.name()
        ))),
    }
}

fn written_type(field: &Field) -> Result<DataType> {
    let cannot = |advice: &str| {
        JobError::usage(format!(
            "the column `{}` of type {} cannot be written: {advice}",
            field.name(),
            field.data_type()
        ))
    };
    if field.data_type().is_nested() {
        return Err(cannot("select its parts"));
    }
    output_type(field.data_type()).map_err(|_| cannot("leave it out, or CAST it"))
}

/// Digests what pins a run: the job's file, its parameters, what it reads, the rules' version.
fn digest(config: &SqlJobConfig, inputs: &BTreeMap<String, Vec<InputFile>>, rates: Option<&str>) -> String {
    let files = |files: &Vec<InputFile>| {
        files.iter().map(|file| json!([file.location, file.bytes, file.version])).collect::<Vec<_>>()
    };
    let tables: BTreeMap<&String, _> = inputs.iter().map(|(name, found)| (name, files(found))).collect();
    let parameters: BTreeMap<&String, &str> =
        config.values.iter().map(|(name, value)| (name, value.text())).collect();
    let pinned = json!({
        "rules": RULES_VERSION,
        "job": config.definition.sha256,
        "parameters": parameters,
        "tables": tables,
        "rates": rates,
    });
    sha256_hex(pinned.to_string())
}
