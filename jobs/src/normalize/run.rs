//! The run: execute the plan, check that nothing was lost or invented, commit, report.

use std::time::Instant;

use cambist_engine::location::Location;
use cambist_engine::table::{BatchState, Staging, Table, TableKind};

use super::config::NormalizeConfig;
use super::draft::draft;
use super::pass::Pass;
use super::plan::plan;
use super::report::{RunDetails, RunReport, RunStatus};
use crate::commit::{Worked, conclude};
use crate::context::{RunContext, RunPhase, seconds_since};
use crate::error::{JobError, Result};
use crate::input::{of_execution, of_table};
use crate::staged::StagingGuard;

/// Runs the job.
///
/// A run that has committed before, in this attempt or an earlier one, yields the report of its commit.
///
/// # Errors
/// [`JobError`] with the kind that decides the exit code. Unless the error says otherwise nothing was
/// committed, and what was staged is removed.
pub async fn normalize(config: &NormalizeConfig, context: &RunContext) -> Result<RunReport> {
    let started = Instant::now();
    let root = Location::parse(&config.output_url).map_err(|error| JobError::usage(error.to_string()))?;
    let mut table = Table::open_or_create(&context.stores, &root).await.map_err(|error| of_table(&error))?;
    if let Some(report) = committed_before(&table, config, context)? {
        return Ok(report);
    }
    let staged = StagingGuard::new(table.staging(&context.staging_name()));
    let worked = prepare_commit(&table, config, context, staged.staging(), started).await;
    let committed = |report: &mut RunReport, number| {
        report.commit = number;
        report.seconds = seconds_since(started);
    };
    let before = |table: &Table, digest: &str| already_done(table, config, context, digest);
    conclude(&mut table, context, staged, worked, committed, before).await
}

/// Plans, executes and checks; all but the commit.
async fn prepare_commit(
    table: &Table,
    config: &NormalizeConfig,
    context: &RunContext,
    staging: &Staging,
    started: Instant,
) -> Result<Worked<RunReport>> {
    let slots = context.execution.slots().await.map_err(of_execution)?;
    let plan = plan(config, context, staging, slots).await?;
    if let Some(report) = already_done(table, config, context, &plan.input_digest)? {
        return Ok(Worked::AlreadyDone(Box::new(report)));
    }
    table.state().check_schema(TableKind::Main, &plan.schema).map_err(|error| {
        of_table(&error).with_hint("write to another output, or bring the columns and their types back")
    })?;
    let tasks = plan.converted.properties().partitioning.partition_count() as u64;
    context.progress.begin(plan.input_bytes, tasks);
    context.observer.reached(RunPhase::Planned { input_bytes: plan.input_bytes, tasks }).await?;
    let pass = Pass { config, context, plan: &plan, staging, tally: None };
    let result = pass.run().await?;
    // A cluster tells what was read by and by; short tasks are over before it does.
    context.progress.begin(plan.input_bytes, tasks);
    context.progress.set_done(plan.input_bytes, result.counts.records_in, tasks);
    context.observer.reached(RunPhase::Executed).await?;
    let mut report =
        RunReport::of_counts(&context.run_id, &config.batch, &result.counts, &plan.targets, &plan.rates);
    report.seconds = seconds_since(started);
    let draft = draft(table, config, context, &plan, &result, &mut report)?;
    Ok(Worked::Commit(Box::new(report), Box::new(draft)))
}

/// Returns the report of this run's own commit, where an earlier attempt or a lost answer left one.
fn committed_before(
    table: &Table,
    config: &NormalizeConfig,
    context: &RunContext,
) -> Result<Option<RunReport>> {
    match table.state().batch(&config.batch) {
        Some(batch) if batch.run_id == context.run_id => report_of(batch, config, context).map(Some),
        _ => Ok(None),
    }
}

/// Returns the report of the batch's commit, where that was made from the same inputs.
fn already_done(
    table: &Table,
    config: &NormalizeConfig,
    context: &RunContext,
    digest: &str,
) -> Result<Option<RunReport>> {
    match table.state().batch(&config.batch) {
        Some(batch) if batch.input_digest == digest => report_of(batch, config, context).map(Some),
        _ => Ok(None),
    }
}

fn report_of(batch: &BatchState, config: &NormalizeConfig, context: &RunContext) -> Result<RunReport> {
    let details = RunDetails::of_batch(&config.batch, &batch.details)?;
    let is_own = batch.run_id == context.run_id;
    let status = if is_own { RunStatus::Committed } else { RunStatus::AlreadyDone };
    Ok(RunReport { status, commit: batch.number, ..details.report })
}
