//! The compaction: merge, compare, commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use cambist_engine::merge::{MergePass, MergeTask, check, figures_of_live, figures_of_written, plan_tasks};
use cambist_engine::partition_writer::{PartitionWriterSpec, WriterLimits, WrittenFile};
use cambist_engine::quarantine::RawEncoding;
use cambist_engine::rates::RateBooks;
use cambist_engine::session::{session, session_config};
use cambist_engine::table::{
    Compaction, CompactionOutcome, DataFile, Replacement, Staging, Table, TableKind,
};
use datafusion::prelude::SessionContext;

use super::options::CompactConfig;
use super::plan::{CompactPlan, RowKind, plan};
use super::report::{CompactReport, CompactStatus};
use crate::context::{RunContext, RunPhase, seconds_since};
use crate::error::{JobError, Result};
use crate::input::{of_execution, of_merge, of_table, planning};
use crate::normalize::{RULES_VERSION, data_file};
use crate::table_reader::TableReader;

/// Commits of a table that are searched for one's own, whose driver died right after it.
const OWN_COMMITS_SEARCHED: u64 = 64;

/// A merged file may come out larger than its parts suggest before it is cut in two.
const FILE_BYTES_MARGIN: u64 = 2;

/// Runs the job.
///
/// # Errors
/// [`JobError`] with the kind that decides the exit code. Unless the error says otherwise nothing was
/// committed, and what was staged is removed.
pub async fn compact(config: &CompactConfig, context: &RunContext) -> Result<CompactReport> {
    let started = Instant::now();
    let mut reader = TableReader::open(&context.stores, &config.output_url).await?;
    if context.attempt > 1
        && let Some(report) = committed_before(&reader.table, &context.run_id).await?
    {
        return Ok(report);
    }
    let plan = plan(&reader, config).await?;
    let mut report = report(context, &plan);
    if plan.sets.is_empty() {
        report.seconds = seconds_since(started);
        return Ok(report);
    }
    let slots = context.execution.slots().await.map_err(of_execution)?;
    let tasks = plan_tasks(plan.sets.clone(), config.target_bytes, slots);
    context.progress.begin(report.bytes_before, tasks.len() as u64);
    let planned = RunPhase::Planned { input_bytes: report.bytes_before, tasks: tasks.len() as u64 };
    context.observer.reached(planned).await?;
    let staging = reader.table.staging(&context.staging_name());
    let merged = merge(config, context, &reader, &plan, &tasks, &staging).await;
    let checked = match merged {
        Ok(merged) => context.observer.reached(RunPhase::Executed).await.map(|()| merged),
        Err(failed) => Err(failed),
    };
    let merged = match checked {
        Ok(merged) => merged,
        Err(failed) => {
            // What cannot be removed now is removed by `table gc`.
            let _ = staging.discard().await;
            return Err(failed);
        }
    };
    context.progress.set_done(report.bytes_before, report.rows, tasks.len() as u64);
    report.files_after = merged.len() as u64;
    report.bytes_after = merged.iter().map(|(_, file)| file.staged.bytes).sum();
    report.seconds = seconds_since(started);
    commit(&mut reader.table, context, &plan, &merged, report, started).await
}

/// Merges the tasks' files and returns what they became, each with its batch.
async fn merge(
    config: &CompactConfig,
    context: &RunContext,
    reader: &TableReader,
    plan: &CompactPlan,
    tasks: &[MergeTask],
    staging: &Staging,
) -> Result<Vec<(String, WrittenFile)>> {
    let session = session_of(context).await?;
    let partition_column = partition_column(&reader.table)?;
    let mut merged = Vec::new();
    for kind in &plan.kinds {
        let tasks: Vec<MergeTask> =
            tasks.iter().filter(|task| kind.batches.contains(&task.owner)).cloned().collect();
        let spec = writer_spec(config, context, kind, &partition_column);
        let pass = MergePass {
            name: &context.run_id,
            execution: context.execution.as_ref(),
            session: &session,
            progress: &context.progress,
            spec: &spec,
            staging,
        };
        let manifests = pass.run(&kind.columns, &tasks).await.map_err(of_merge)?;
        for (task, manifest) in tasks.into_iter().zip(manifests) {
            merged.extend(manifest.files.into_iter().map(|file| (task.owner.clone(), file)));
        }
    }
    let before = figures_of_live(&plan.files)
        .ok_or_else(|| JobError::data("the commit log holds a hash or a sum that is none"))?;
    let after = figures_of_written(merged.iter().map(|(owner, file)| (owner.as_str(), file)));
    check(&before, &after).map_err(|changed| of_merge(changed.into()))?;
    Ok(merged)
}

fn writer_spec(
    config: &CompactConfig,
    context: &RunContext,
    kind: &RowKind,
    partition_column: &str,
) -> PartitionWriterSpec {
    let defaults = WriterLimits::default();
    let file_bytes = usize::try_from(config.target_bytes.saturating_mul(FILE_BYTES_MARGIN));
    PartitionWriterSpec {
        run_id: context.run_id.clone(),
        partition_column: partition_column.to_owned(),
        targets: kind.targets.clone(),
        raw_encoding: RawEncoding::Utf8,
        limits: WriterLimits {
            file_bytes: defaults.file_bytes.max(file_bytes.unwrap_or(usize::MAX)),
            ..defaults
        },
        // Tasks of several plans may write to one partition: names must be told apart by more than a number.
        resumable: true,
        is_readable: false,
        by_place: false,
        tally: None,
    }
}

async fn session_of(context: &RunContext) -> Result<SessionContext> {
    let slots = context.execution.slots().await.map_err(of_execution)?;
    let config = session_config(slots, Arc::new(RateBooks::default()));
    session(config, &context.stores).map_err(|error| planning(error, "the session cannot be made"))
}

fn partition_column(table: &Table) -> Result<String> {
    let schema = table.state().schema(TableKind::Main);
    schema
        .and_then(|schema| schema.partition_column.clone())
        .ok_or_else(|| JobError::usage("the table has no partitions, which is not what `normalize` writes"))
}

async fn commit(
    table: &mut Table,
    context: &RunContext,
    plan: &CompactPlan,
    merged: &[(String, WrittenFile)],
    mut report: CompactReport,
    started: Instant,
) -> Result<CompactReport> {
    let newest = table.log(1).await.map_err(|error| of_table(&error))?;
    let compaction = Compaction {
        run_id: context.staging_name(),
        committed_at: context.now,
        rules_version: RULES_VERSION.to_owned(),
        replacements: replacements(plan, merged),
        // Whoever reads the table while it is compacted gets the time that its runs give them.
        retain_superseded_seconds: newest.first().map_or(0, |record| record.retain_superseded_seconds),
        details: serde_json::to_value(&report)
            .map_err(|error| JobError::data("the report is not JSON").caused_by(error))?,
    };
    match table.compact(compaction).await.map_err(|error| of_table(&error))? {
        CompactionOutcome::Committed { number, overtaken } => {
            report.commit = number;
            report.overtaken = overtaken as u64;
            context.observer.reached(RunPhase::Committed { commit: number }).await?;
        }
        CompactionOutcome::Overtaken => {
            report.status = CompactStatus::Overtaken;
            report.overtaken = plan.sets.len() as u64;
        }
    }
    report.seconds = seconds_since(started);
    Ok(report)
}

/// What takes the place of what: one replacement for each batch in each partition.
fn replacements(plan: &CompactPlan, merged: &[(String, WrittenFile)]) -> Vec<Replacement> {
    let mut replaced: BTreeMap<(&str, &str), Replacement> = BTreeMap::new();
    let empty = |batch: &str| Replacement { batch: batch.to_owned(), remove: Vec::new(), add: Vec::new() };
    for file in &plan.files {
        let of_file = replaced.entry((&file.batch, file.partition())).or_insert_with(|| empty(&file.batch));
        of_file.remove.push(file.path.clone());
    }
    for (batch, file) in merged {
        let of_file = replaced.entry((batch, &file.partition)).or_insert_with(|| empty(batch));
        of_file.add.push(DataFile { batch: Some(batch.clone()), ..data_file(file) });
    }
    replaced.into_values().collect()
}

/// The commit that an earlier attempt at this run has made.
async fn committed_before(table: &Table, run_id: &str) -> Result<Option<CompactReport>> {
    let records = table.log(OWN_COMMITS_SEARCHED).await.map_err(|error| of_table(&error))?;
    for record in records.into_iter().filter(|record| record.replaced_batches().next().is_none()) {
        let Ok(report) = serde_json::from_value::<CompactReport>(record.details) else { continue };
        if report.run_id == run_id {
            return Ok(Some(CompactReport { commit: record.number, ..report }));
        }
    }
    Ok(None)
}

fn report(context: &RunContext, plan: &CompactPlan) -> CompactReport {
    let status = if plan.sets.is_empty() { CompactStatus::NothingToDo } else { CompactStatus::Committed };
    let partitions: BTreeSet<&str> = plan.sets.iter().map(|set| set.partition.as_str()).collect();
    let batches: BTreeSet<&str> = plan.sets.iter().map(|set| set.owner.as_str()).collect();
    CompactReport {
        run_id: context.run_id.clone(),
        status,
        commit: 0,
        partitions: partitions.len() as u64,
        batches: batches.len() as u64,
        files_before: plan.files.len() as u64,
        files_after: 0,
        bytes_before: plan.files.iter().map(|file| file.bytes).sum(),
        bytes_after: 0,
        rows: plan.files.iter().map(|file| file.rows).sum(),
        overtaken: 0,
        seconds: 0.0,
    }
}
