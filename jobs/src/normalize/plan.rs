//! Checked options → what will be done: which files, which snapshots, which columns, which operators.
//!
//! Planning reads names, schemas and rates. It writes nothing but what tasks in other processes must find:
//! the rates and the small tables, as objects of the run.

use std::sync::Arc;

use cambist_engine::athena::hive_type;
use cambist_engine::rate_join::{
    EVENT_DATE_COLUMN, EventTimeKind, KeptColumn, RateJoin, RateJoinSpec, TargetCurrency, output_schema,
};
use cambist_engine::rates::{self, LoadedRates, RateBooks};
use cambist_engine::record::GroupPlan;
use cambist_engine::session::{session, session_config};
use cambist_engine::table::{Column, Staging, TableSchema};
use cambist_udfs::rate::InstantMicros;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;

use super::config::NormalizeConfig;
use super::inputs::{FoundInputs, RunInputs};
use super::source_sql::{self, EVENT_TIME, SourceInputs, is_own_column, is_text_format, plan_source};
use crate::context::RunContext;
use crate::error::{JobError, Result};
use crate::input::{of_rates, of_table, planning};

/// What one run will do.
pub struct NormalizePlan {
    /// The session that the operators run in.
    pub session: SessionContext,
    /// Scan to conversion, one task per partition.
    pub converted: Arc<dyn ExecutionPlan>,
    /// The target currencies with their decimals.
    pub targets: Vec<TargetCurrency>,
    /// The columns of the table.
    pub schema: TableSchema,
    /// The rates.
    pub rates: LoadedRates,
    /// The digest of all that determines the result.
    pub input_digest: String,
    /// Raw bytes to read.
    pub input_bytes: u64,
    /// The account of what is read.
    pub inputs: RunInputs,
}

/// Plans a run that stages at `staging` and may use `slots` tasks at once.
///
/// # Errors
/// Usage errors for everything that the caller can mend; data errors where no rates can be used.
pub async fn plan(
    config: &NormalizeConfig,
    context: &RunContext,
    staging: &Staging,
    slots: usize,
) -> Result<NormalizePlan> {
    let inputs = FoundInputs::list(&context.stores, config).await?;
    inputs.refuse_empty(config)?;
    let known_as_of = config.known_as_of.unwrap_or(InstantMicros(context.now.as_microsecond()));
    let rates = rates::load(&context.stores, &config.rates_url, &config.book_options(known_as_of))
        .await
        .map_err(|error| of_rates(&error))?;
    plan_over(config, context, staging, slots, inputs, None, rates).await
}

/// Plans a run over files and rates that were found before; `record` is the account of these files where it is
/// another than what they are now.
pub(super) async fn plan_over(
    config: &NormalizeConfig,
    context: &RunContext,
    staging: &Staging,
    slots: usize,
    inputs: FoundInputs,
    record: Option<RunInputs>,
    mut rates: LoadedRates,
) -> Result<NormalizePlan> {
    let stores = &context.stores;
    let source = &inputs.source;
    let pins = context.execution.is_remote().then_some(staging);
    if let Some(staging) = pins {
        rates.reference = rates::pin(&rates, staging).await.map_err(|error| of_table(&error))?;
    }
    let targets = targets(config, &rates)?;
    let books = Arc::new(RateBooks::default());
    books.add(&rates.reference, Arc::clone(&rates.book));
    let groups = group_plan(config, slots, context.execution.is_remote());
    let no_session = |error| planning(error, "the session cannot be made");
    let session = session(session_config(groups.slots, books), stores).map_err(no_session)?;
    rates::bind(&session, &rates.reference, &rates.book).map_err(no_session)?;
    let source_inputs = SourceInputs {
        session: &session,
        stores,
        config: &config.source,
        files: source,
        groups,
        pins,
        progress: context.progress.clone(),
    };
    let planned = plan_source(source_inputs).await?;
    check_event_time(config, &planned.plan.schema())?;
    let spec = Arc::new(rate_join_spec(config, &rates, targets.clone(), &planned.columns)?);
    let schema = table_schema(config, &spec, &planned.plan.schema())?;
    let converted =
        RateJoin::try_new(planned.plan, spec).map_err(|error| planning(error, "the conversion"))?;
    let inputs = record.unwrap_or_else(|| inputs.record(config, &rates.reference.digest));
    Ok(NormalizePlan {
        session,
        converted: Arc::new(converted),
        targets,
        schema,
        input_digest: inputs.digest(config),
        rates,
        input_bytes: inputs.source.iter().map(|file| file.bytes).sum(),
        inputs,
    })
}

/// In one process all tasks run at once, so there are as many as cores and they write the fewest files; a
/// cluster loses little with a task that is small.
fn group_plan(config: &NormalizeConfig, slots: usize, is_remote: bool) -> GroupPlan {
    match config.parallelism {
        Some(tasks) => GroupPlan::per_slot(tasks),
        None if is_remote => GroupPlan { slots, task_bytes: Some(config.task_bytes) },
        None => GroupPlan::per_slot(slots),
    }
}

fn targets(config: &NormalizeConfig, rates: &LoadedRates) -> Result<Vec<TargetCurrency>> {
    let table = rates.book.currencies();
    config
        .currencies
        .iter()
        .map(|code| {
            let parsed = table.parse(code.as_bytes()).ok().filter(|parsed| !parsed.hundredths);
            let Some(parsed) = parsed else {
                return Err(JobError::usage(format!(
                    "target currency `{code}` is not known, expected an ISO 4217 code or one that the rates carry"
                )));
            };
            let entry = table.entry(parsed.currency);
            let minor_units = config.scales.get(code).copied().or(entry.minor_units).ok_or_else(|| {
                JobError::usage(format!(
                    "target currency `{code}` has no minor units in ISO 4217; give its decimals: [target.scales] {code} = 8"
                ))
            })?;
            Ok(TargetCurrency { code: entry.code.to_string(), minor_units })
        })
        .collect()
}

/// A time that may lack a zone needs the source's.
fn check_event_time(config: &NormalizeConfig, schema: &SchemaRef) -> Result<()> {
    let column = schema.field_with_name(EVENT_TIME).map_err(|error| JobError::usage(error.to_string()))?;
    let needs_zone = match column.data_type() {
        DataType::Timestamp(_, zone) => zone.is_none(),
        DataType::Date32 | DataType::Date64 | DataType::Null => false,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            !matches!(config.source.time_kind, Some(EventTimeKind::Date | EventTimeKind::Instant))
        }
        other => {
            return Err(JobError::usage(format!(
                "the event time is of type {other}, expected text, a date or a timestamp"
            )));
        }
    };
    if needs_zone && config.source.time_zone.is_none() {
        return Err(JobError::usage(
            "event times may come without a zone and source.time_zone is not given: give the zone the source \
             writes in, such as `Europe/London` or `UTC` (--time-zone)",
        ));
    }
    Ok(())
}

fn rate_join_spec(
    config: &NormalizeConfig,
    rates: &LoadedRates,
    targets: Vec<TargetCurrency>,
    columns: &[String],
) -> Result<RateJoinSpec> {
    let kept = columns
        .iter()
        .filter(|name| is_own_column(name))
        .map(|name| KeptColumn { input: name.clone(), output: name.to_lowercase() })
        .collect();
    Ok(RateJoinSpec {
        amount: source_sql::AMOUNT.to_owned(),
        currency: source_sql::CURRENCY.to_owned(),
        event_time: EVENT_TIME.to_owned(),
        kept,
        time_format: config.source.time_format.clone(),
        time_zone: config.source.time_zone.clone(),
        rate_zone: config.rate_zone.clone(),
        targets,
        rounding: config.rounding,
        lineage: config.lineage,
        book: rates.reference.clone(),
    })
}

fn table_schema(config: &NormalizeConfig, spec: &RateJoinSpec, input: &SchemaRef) -> Result<TableSchema> {
    let output = output_schema(spec, input).map_err(|error| {
        let failed = planning(error, "the conversion cannot be planned");
        if is_text_format(config.source.records.format) {
            failed.with_hint(
                "types of text columns are declared in [source.types] (--types column=decimal(18,4))",
            )
        } else {
            failed
        }
    })?;
    let mut columns = Vec::new();
    for field in output.fields().iter().filter(|field| field.name() != EVENT_DATE_COLUMN) {
        if *field.name() == config.partition_by {
            return Err(JobError::usage(format!(
                "the column `{}` bears the partition's name: rename it in the source SQL, or set output.partition_by",
                field.name()
            )));
        }
        let hive_type = hive_type(field.data_type()).map_err(|error| planning(error, field.name()))?;
        columns.push(Column { name: field.name().clone(), hive_type });
    }
    Ok(TableSchema { columns, partition_column: Some(config.partition_by.clone()) })
}
