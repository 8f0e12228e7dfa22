//! From the source's files and the job's SQL to a plan that yields rows with amount, currency and event
//! time, each with the record it came from.

use std::sync::Arc;

use cambist_engine::files::{self, Files};
use cambist_engine::lineage::{SOURCE_TABLE, carry_records, check_single_stage};
use cambist_engine::pinned_table::pin_table;
use cambist_engine::progress::RunProgress;
use cambist_engine::record::{
    DETAIL_FIELD, FAULT_COLUMN, Format, GroupPlan, RECORD_COLUMN, RecordConfig, RecordSource, infer,
    plan_groups,
};
use cambist_engine::source_table::SourceTable;
use cambist_engine::store::Stores;
use cambist_engine::table::Staging;
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::{MemTable, TableProvider};
use datafusion::error::DataFusionError;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SQLOptions, SessionContext};

use super::config::{RoleExpressions, SourceConfig};
use crate::error::{JobError, Result};
use crate::input::{of_files, of_record, of_table, planning, running, within_limits};

/// The columns that the roles come out as; no source has names with such a beginning.
pub(super) const AMOUNT: &str = "__amount";
pub(super) const CURRENCY: &str = "__currency";
pub(super) const EVENT_TIME: &str = "__event_time";

/// A small table is read whole into memory; beyond this it is not small.
const SMALL_TABLE_BYTES: u64 = 64 << 20;

/// The planned source.
pub(super) struct PlannedSource {
    /// Yields the SQL's columns, the roles and the record.
    pub(super) plan: Arc<dyn ExecutionPlan>,
    /// The SQL's own columns, in order.
    pub(super) columns: Vec<String>,
}

/// What the source is planned from.
pub(super) struct SourceInputs<'a> {
    /// The session of the run.
    pub(super) session: &'a SessionContext,
    pub(super) stores: &'a Stores,
    pub(super) config: &'a SourceConfig,
    /// The transactions.
    pub(super) files: &'a Files,
    /// How they are spread over tasks.
    pub(super) groups: GroupPlan,
    /// Where small tables are pinned for tasks in other processes.
    pub(super) pins: Option<&'a Staging>,
    /// How the scan gets on.
    pub(super) progress: RunProgress,
}

/// Plans the job's SQL, or `SELECT *`, over the source's files.
pub(super) async fn plan_source(inputs: SourceInputs<'_>) -> Result<PlannedSource> {
    let SourceInputs { session: context, stores, config, files, groups, pins, progress } = inputs;
    let table = source_table(context, &config.records, files, &groups, progress).await?;
    for (name, table) in &config.tables {
        let rows = small_table(context, stores, name, &table.url, &table.records).await?;
        let small: Arc<dyn TableProvider> = match pins {
            Some(staging) => Arc::new(pin_table(&rows, staging).await.map_err(|error| of_table(&error))?),
            None => {
                let in_memory = MemTable::try_new(rows.schema(), vec![vec![rows]]);
                Arc::new(in_memory.map_err(|error| planning(error, name))?)
            }
        };
        context.register_table(name.as_str(), small).map_err(|error| planning(error, "source.tables"))?;
    }
    let declared = table.declared_schema();
    let (own_sql, from) = match &config.sql {
        Some(sql) => (sql.clone(), format!("(\n{}\n) AS {SOURCE_TABLE}", sql.trim().trim_end_matches(';'))),
        None => {
            let columns = own_columns(&declared, &config.records);
            (format!("SELECT {columns} FROM {SOURCE_TABLE}"), SOURCE_TABLE.to_owned())
        }
    };
    // The SQL is planned over the declared columns alone, so that `*` means these.
    let stub = Arc::new(EmptyTable::new(Arc::clone(&declared)));
    context.register_table(SOURCE_TABLE, stub).map_err(|error| planning(error, "source"))?;
    let shape = logical_plan(context, &own_sql).await?;
    let columns: Vec<String> = shape.schema().fields().iter().map(|field| field.name().clone()).collect();
    // Roles may be paths, which are columns of the source that its `*` leaves out.
    let (visible, all) = match &config.sql {
        Some(_) => (shape.schema().as_arrow(), "*".to_owned()),
        None => (declared.as_ref(), own_columns(&declared, &config.records)),
    };
    let sql = format!("SELECT {all}, {} FROM {from}", role_columns(&config.roles, visible));
    let logical = logical_plan(context, &sql).await?;
    let table: Arc<dyn TableProvider> = Arc::new(table);
    let logical = carry_records(logical, &table).map_err(|error| planning(error, "source.sql"))?;
    let plan = context
        .state()
        .create_physical_plan(&logical)
        .await
        .map_err(|error| planning(error, "the source SQL cannot be planned"))?;
    check_single_stage(&plan).map_err(|error| planning(error, "source.sql"))?;
    Ok(PlannedSource { plan, columns })
}

async fn logical_plan(context: &SessionContext, sql: &str) -> Result<LogicalPlan> {
    within_limits(sql, "the source SQL")?;
    let plan = context.state().create_logical_plan(sql).await.map_err(|error| match error {
        // Several statements, of which the message says that they are not supported yet.
        DataFusionError::NotImplemented(_) => {
            planning(error, "the source SQL is not supported, expected one SELECT")
        }
        error => planning(error, "the source SQL cannot be planned"),
    })?;
    let read_only =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    read_only.verify_plan(&plan).map_err(|error| planning(error, "the source SQL is not a SELECT"))?;
    Ok(plan)
}

/// The columns of the source without those made for a path: their record's own columns hold them already.
fn own_columns(declared: &Schema, records: &RecordConfig) -> String {
    let own = declared.fields().iter().filter(|field| !records.paths.contains(field.name()));
    let quoted: Vec<String> = own.map(|field| quoted(field.name())).collect();
    if quoted.is_empty() { "1 AS one".to_owned() } else { quoted.join(", ") }
}

/// A role that is a column's name, as it stands, is that column; anything else is an expression.
fn role_columns(roles: &RoleExpressions, columns: &Schema) -> String {
    let expression = |text: &str| match columns.field_with_name(text) {
        Ok(_) => quoted(text),
        Err(_) => format!("({text})"),
    };
    format!(
        "{} AS {}, {} AS {}, {} AS {}",
        expression(&roles.amount),
        quoted(AMOUNT),
        expression(&roles.currency),
        quoted(CURRENCY),
        expression(&roles.event_time),
        quoted(EVENT_TIME)
    )
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

async fn source_table(
    context: &SessionContext,
    records: &RecordConfig,
    files: &Files,
    groups: &GroupPlan,
    progress: RunProgress,
) -> Result<SourceTable> {
    let schema = infer(&files.store, &files.objects, records).await.map_err(|error| of_record(&error))?;
    let url = store_url(context, files)?;
    let source = RecordSource::new(Arc::new(records.clone()), schema).with_progress(progress);
    let groups = plan_groups(&files.objects, records, groups);
    SourceTable::try_new(source, url, groups).map_err(|error| planning(error, "source"))
}

fn store_url(context: &SessionContext, files: &Files) -> Result<ObjectStoreUrl> {
    let url = ObjectStoreUrl::parse(files.root.store_url()).map_err(|error| planning(error, "source.url"))?;
    context.register_object_store(url.as_ref(), Arc::clone(&files.store));
    Ok(url)
}

/// Reads a small table whole; a broken record in it is an error, because it has no quarantine.
async fn small_table(
    context: &SessionContext,
    stores: &Stores,
    name: &str,
    url: &str,
    records: &RecordConfig,
) -> Result<RecordBatch> {
    let files = files::list(stores, url).await.map_err(|error| of_files(&error))?;
    if files.objects.is_empty() {
        return Err(JobError::usage(format!("source.tables.{name}: nothing found at `{url}`")));
    }
    if files.bytes() > SMALL_TABLE_BYTES {
        return Err(JobError::usage(format!(
            "source.tables.{name}: `{url}` has {} bytes, expected at most {SMALL_TABLE_BYTES}; make it the source, or smaller",
            files.bytes()
        )));
    }
    let table =
        source_table(context, records, &files, &GroupPlan::per_slot(1), RunProgress::default()).await?;
    let declared = table.declared_schema();
    let all: Vec<usize> = (0..declared.fields().len()).collect();
    let scan = table.scan_columns(&all).map_err(|error| planning(error, name))?;
    let batches = collect(scan, context.task_ctx()).await.map_err(running)?;
    for batch in &batches {
        refuse_faults(batch, name)?;
    }
    let failed = |error: datafusion::arrow::error::ArrowError| {
        JobError::data(format!("source.tables.{name}: {error}"))
    };
    let kept: Vec<RecordBatch> =
        batches.iter().map(|batch| batch.project(&all)).collect::<Result<_, _>>().map_err(failed)?;
    concat_batches(&declared, &kept).map_err(failed)
}

fn refuse_faults(batch: &RecordBatch, name: &str) -> Result<()> {
    let Some(faults) = batch.column_by_name(FAULT_COLUMN) else { return Ok(()) };
    let Some(row) = (0..faults.len()).find(|&row| faults.is_valid(row)) else { return Ok(()) };
    let details = faults.as_struct().column_by_name(DETAIL_FIELD);
    let detail = details
        .filter(|details| details.data_type() == &DataType::Utf8)
        .map_or("", |details| details.as_string::<i32>().value(row));
    Err(JobError::data(format!("source.tables.{name} has a broken record: {detail}")))
}

/// Tells whether the SQL's own column is kept in the output.
pub(super) fn is_own_column(name: &str) -> bool {
    ![AMOUNT, CURRENCY, EVENT_TIME, RECORD_COLUMN].contains(&name)
}

/// Tells whether the format has text columns whose types are declared, for a hint.
pub(super) fn is_text_format(format: Format) -> bool {
    format != Format::Parquet
}
