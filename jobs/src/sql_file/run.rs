//! The run: execute, commit, report.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use cambist_engine::files;
use cambist_engine::location::Location;
use cambist_engine::partition_writer::{ContentHash, WrittenFile};
use cambist_engine::quarantine;
use cambist_engine::table::{BatchState, CommitDraft, Staging, Table, TableKind};

use super::options::{SqlJobConfig, batch_of};
use super::plan::{SqlJobPlan, plan};
use super::report::{SqlJobDetails, SqlJobReport, SqlJobStatus};
use super::write::Writing;
use crate::commit::{Worked, conclude};
use crate::context::{RunContext, RunPhase, seconds_since};
use crate::error::{JobError, Result};
use crate::input::{of_files, of_table, running};
use crate::normalize::{RULES_VERSION, data_file, partition_hashes};
use crate::staged::StagingGuard;

/// What kind of run the log calls it.
const KIND: &str = "sql";

/// How far below a table's folder its files lie: in the folder of their partition.
const PARTITION_DEPTH: usize = 1;

/// Runs the job.
///
/// A run that has committed before, in this attempt or an earlier one, yields the report of its commit.
pub(super) async fn run(config: &SqlJobConfig, context: &RunContext) -> Result<SqlJobReport> {
    let started = Instant::now();
    let root = Location::parse(&config.output_url).map_err(|error| JobError::usage(error.to_string()))?;
    refuse_own_input(config, &root)?;
    let mut table = Table::open_or_create(&context.stores, &root).await.map_err(|error| of_table(&error))?;
    if let Some(batch) = table.state().batch(&config.batch)
        && batch.run_id == context.run_id
    {
        return report_of(batch, config, context);
    }
    refuse_other_parameters(&table, config)?;
    let staged = StagingGuard::new(table.staging(&context.staging_name()));
    let worked = work(&table, config, context, staged.staging(), started).await;
    let committed = |report: &mut SqlJobReport, number| {
        report.commit = number;
        report.seconds = seconds_since(started);
    };
    let before = |table: &Table, digest: &str| already_done(table, config, context, digest);
    conclude(&mut table, context, staged, worked, committed, before).await
}

async fn work(
    table: &Table,
    config: &SqlJobConfig,
    context: &RunContext,
    staging: &Staging,
    started: Instant,
) -> Result<Worked<SqlJobReport>> {
    let plan = plan(config, context, staging).await?;
    if let Some(report) = already_done(table, config, context, &plan.input_digest)? {
        return Ok(Worked::AlreadyDone(Box::new(report)));
    }
    table.state().check_schema(TableKind::Main, &plan.schema).map_err(|error| {
        of_table(&error).with_hint("write to another output, or bring the columns and their types back")
    })?;
    context.progress.begin(plan.input_bytes, plan.tasks);
    context.observer.reached(RunPhase::Planned { input_bytes: plan.input_bytes, tasks: plan.tasks }).await?;
    let files = Writing { config, context, plan: &plan, staging }.run().await?;
    let mut report = report(table, config, context, &files);
    // A cluster tells what was read by and by; short tasks are over before it does.
    context.progress.begin(plan.input_bytes, plan.tasks);
    context.progress.set_done(plan.input_bytes, report.rows, plan.tasks);
    context.observer.reached(RunPhase::Executed).await?;
    report.seconds = seconds_since(started);
    let draft = draft(config, context, &plan, &files, &report)?;
    Ok(Worked::Commit(Box::new(report), Box::new(draft)))
}

/// A job that reads what it writes would never be done.
fn refuse_own_input(config: &SqlJobConfig, output: &Location) -> Result<()> {
    for (name, table) in &config.tables {
        let is_output = Location::parse(&table.url).is_ok_and(|place| place.absolute() == output.absolute());
        if is_output {
            return Err(JobError::usage(format!(
                "the output `{}` is also tables.{name}, expected another folder",
                config.output_url
            )));
        }
        // The files of a table are those of its log, wherever others lie.
        let is_listed = table.records.is_some();
        if is_listed
            && files::may_list(&table.url, output, PARTITION_DEPTH).map_err(|error| of_files(&error))?
        {
            return Err(JobError::usage(format!(
                "what is written to the output `{}` would be read as tables.{name}, which is `{}`; expected a \
                 folder that it does not name",
                config.output_url, table.url
            )));
        }
    }
    Ok(())
}

/// Batches that were named by other parameters are never replaced by those of this job: their rows would be there
/// twice. Who names the batch decides that.
fn refuse_other_parameters(table: &Table, config: &SqlJobConfig) -> Result<()> {
    if config.batch != batch_of(&config.definition.name, &config.values) {
        return Ok(());
    }
    let live: BTreeSet<&str> = table.state().files(TableKind::Main).map(|file| file.batch.as_str()).collect();
    let list = |names: &BTreeSet<&str>| {
        let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        if quoted.is_empty() { "none".to_owned() } else { quoted.join(", ") }
    };
    let now: BTreeSet<&str> = config.values.keys().map(String::as_str).collect();
    for (name, batch) in table.state().batches() {
        if !live.contains(name) || batch.details["job"] != config.definition.name {
            continue;
        }
        let Some(parameters) = batch.details["report"]["parameters"].as_object() else { continue };
        let before: BTreeSet<&str> = parameters.keys().map(String::as_str).collect();
        if before != now {
            return Err(JobError::usage(format!(
                "the batch `{name}` of `{}` was written with other parameters, {}, than the job has now, {}: it would \
                 stay beside the new ones, and its rows be there twice",
                config.output_url,
                list(&before),
                list(&now)
            ))
            .with_hint("write to another output, or say with run.batch which batch is replaced"));
        }
    }
    Ok(())
}

fn report(table: &Table, config: &SqlJobConfig, context: &RunContext, files: &[WrittenFile]) -> SqlJobReport {
    let partitions: BTreeSet<&str> = files.iter().map(|file| file.partition.as_str()).collect();
    let mut hash = ContentHash::default();
    files.iter().for_each(|file| hash.merge(file.content_hash));
    let superseded = table.state().files(TableKind::Main).filter(|file| file.batch == config.batch);
    SqlJobReport {
        run_id: context.run_id.clone(),
        status: SqlJobStatus::Committed,
        job: config.definition.name.clone(),
        parameters: texts(config),
        output: config.output_url.clone(),
        batch: config.batch.clone(),
        commit: 0,
        rows: files.iter().map(|file| file.rows).sum(),
        partitions: partitions.len() as u64,
        files: files.len() as u64,
        bytes: files.iter().map(|file| file.staged.bytes).sum(),
        content_hash: hash.to_string(),
        superseded_files: superseded.count() as u64,
        seconds: 0.0,
    }
}

fn texts(config: &SqlJobConfig) -> BTreeMap<String, String> {
    config.values.iter().map(|(name, value)| (name.clone(), value.text().to_owned())).collect()
}

fn draft(
    config: &SqlJobConfig,
    context: &RunContext,
    plan: &SqlJobPlan,
    files: &[WrittenFile],
    report: &SqlJobReport,
) -> Result<CommitDraft> {
    let partitions = partition_hashes(files, TableKind::Main);
    let details = SqlJobDetails {
        job: config.definition.name.clone(),
        report: report.clone(),
        targets: Vec::new(),
        file_sha256: config.definition.sha256.clone(),
        inputs: plan.inputs.clone(),
        rates_digest: plan.rates_digest.clone(),
    };
    Ok(CommitDraft {
        run_id: context.run_id.clone(),
        staging: context.staging_name(),
        batch: config.batch.clone(),
        kind: KIND.to_owned(),
        committed_at: context.now,
        input_digest: plan.input_digest.clone(),
        rules_version: RULES_VERSION.to_owned(),
        schema: plan.schema.clone(),
        quarantine_schema: quarantine::hive_schema().map_err(running)?,
        files: files.iter().map(data_file).collect(),
        ready: partitions.keys().cloned().collect(),
        partitions,
        quarantine_partitions: BTreeMap::new(),
        retain_superseded_seconds: 0,
        details: serde_json::to_value(details)
            .map_err(|error| JobError::data("the run's account is not JSON").caused_by(error))?,
    })
}

/// Returns the report of the batch's commit, where that was made from the same inputs.
fn already_done(
    table: &Table,
    config: &SqlJobConfig,
    context: &RunContext,
    digest: &str,
) -> Result<Option<SqlJobReport>> {
    match table.state().batch(&config.batch) {
        Some(batch) if batch.input_digest == digest => report_of(batch, config, context).map(Some),
        _ => Ok(None),
    }
}

fn report_of(batch: &BatchState, config: &SqlJobConfig, context: &RunContext) -> Result<SqlJobReport> {
    let details: SqlJobDetails = serde_json::from_value(batch.details.clone()).map_err(|error| {
        JobError::data(format!("the log's account of batch `{}` is not readable: {error}", config.batch))
    })?;
    let is_own = batch.run_id == context.run_id;
    let status = if is_own { SqlJobStatus::Committed } else { SqlJobStatus::AlreadyDone };
    Ok(SqlJobReport { status, commit: batch.number, ..details.report })
}
