//! The run: execute the plan, check that nothing was lost or invented, commit, report.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use cambist_engine::exact_sum::{CurrencySums, ExactSum};
use cambist_engine::location::Location;
use cambist_engine::partition_writer::{
    ContentHash, PartitionWriter, PartitionWriterSpec, TaskManifest, WriterLimits, WrittenFile,
    read_manifests,
};
use cambist_engine::quarantine::{self, RawEncoding};
use cambist_engine::record::Encoding;
use cambist_engine::table::{CommitDraft, CommitOutcome, DataFile, Staging, Table, TableKind};
use cambist_engine::task::TaskCounts;
use cambist_engine::task_input::planned_inputs;
use cambist_udfs::rate::InstantMicros;
use datafusion::physical_plan::ExecutionPlan;

use super::config::NormalizeConfig;
use super::plan::{NormalizePlan, plan};
use super::report::{RULES_VERSION, RunDetails, RunReport, RunStatus, SnapshotUse};
use crate::context::{RunContext, RunPhase};
use crate::error::{ErrorKind, JobError, Result};
use crate::input::{of_execution, of_table, running};

/// Runs the job.
///
/// # Errors
/// [`JobError`] with the kind that decides the exit code. Unless the error says otherwise nothing was
/// committed, and what was staged is removed.
pub async fn normalize(config: &NormalizeConfig, context: &RunContext) -> Result<RunReport> {
    let started = Instant::now();
    let root = Location::parse(&config.output_url).map_err(|error| JobError::usage(error.to_string()))?;
    let mut table = Table::open_or_create(&context.stores, &root).await.map_err(|error| of_table(&error))?;
    let now = InstantMicros(context.now.as_microsecond());
    let slots = context.execution.slots().await.map_err(of_execution)?;
    let plan = plan(&context.stores, config, now, slots, context.progress.clone()).await?;
    if let Some(report) = already_done(&table, config, &plan.input_digest)? {
        return Ok(report);
    }
    table.state().check_schema(TableKind::Main, &plan.schema).map_err(|error| {
        of_table(&error).with_hint("write to another output, or bring the columns and their types back")
    })?;
    let tasks = plan.converted.properties().partitioning.partition_count() as u64;
    context.progress.begin(plan.input_bytes, tasks);
    context.observer.reached(RunPhase::Planned { input_bytes: plan.input_bytes, tasks }).await?;
    let staging = table.staging(&context.run_id);
    let executed = execute(config, context, &plan, &staging).await;
    let checked = executed.and_then(|manifests| check(config, manifests));
    let (counts, files) = match checked {
        Ok(done) => done,
        Err(failed) => {
            // What cannot be removed now is removed by `table gc`.
            let _ = staging.discard().await;
            return Err(failed);
        }
    };
    commit(&mut table, config, context, &plan, &counts, &files, started).await
}

fn already_done(table: &Table, config: &NormalizeConfig, digest: &str) -> Result<Option<RunReport>> {
    let Some(batch) = table.state().batch(&config.batch) else {
        return Ok(None);
    };
    if batch.input_digest != digest {
        return Ok(None);
    }
    let details: RunDetails = serde_json::from_value(batch.details.clone()).map_err(|error| {
        JobError::data(format!("the log's account of batch `{}` is not readable: {error}", config.batch))
    })?;
    Ok(Some(RunReport { status: RunStatus::AlreadyDone, commit: batch.number, ..details.report }))
}

/// Brings the tasks' accounts together; nothing goes on that does not balance.
fn check(config: &NormalizeConfig, manifests: Vec<TaskManifest>) -> Result<(TaskCounts, Vec<WrittenFile>)> {
    let mut counts = TaskCounts::default();
    manifests.iter().for_each(|manifest| counts.merge(&manifest.counts));
    check_balance(&counts)?;
    check_quality(config, &counts)?;
    Ok((counts, manifests.into_iter().flat_map(|manifest| manifest.files).collect()))
}

async fn commit(
    table: &mut Table,
    config: &NormalizeConfig,
    context: &RunContext,
    plan: &NormalizePlan,
    counts: &TaskCounts,
    files: &[WrittenFile],
    started: Instant,
) -> Result<RunReport> {
    let mut report = RunReport::of_counts(&context.run_id, &config.batch, counts, &plan.targets, &plan.rates);
    fill_files(&mut report, files);
    report.superseded_files =
        table.state().files(TableKind::Main).filter(|file| file.batch == config.batch).count() as u64;
    report.seconds = seconds(started);
    let partitions = partition_hashes(files, TableKind::Main);
    let draft = CommitDraft {
        run_id: context.run_id.clone(),
        batch: config.batch.clone(),
        kind: "normalize".to_owned(),
        committed_at: context.now,
        input_digest: plan.input_digest.clone(),
        rules_version: RULES_VERSION.to_owned(),
        schema: plan.schema.clone(),
        quarantine_schema: quarantine::hive_schema().map_err(running)?,
        files: files.iter().map(data_file).collect(),
        ready: ready_partitions(config, &partitions),
        partitions,
        quarantine_partitions: partition_hashes(files, TableKind::Quarantine),
        retain_superseded_seconds: config.retain_superseded_seconds,
        details: details(config, context, plan, &report)?,
    };
    let outcome = table.commit(draft).await.map_err(|error| of_table(&error))?;
    match outcome {
        CommitOutcome::Committed { number } => {
            report.commit = number;
            report.seconds = seconds(started);
            Ok(report)
        }
        CommitOutcome::AlreadyDone { .. } => {
            already_done(table, config, &plan.input_digest)?.ok_or_else(|| {
                JobError::new(ErrorKind::Infrastructure, "a commit of equal inputs has vanished from the log")
            })
        }
    }
}

async fn execute(
    config: &NormalizeConfig,
    context: &RunContext,
    plan: &NormalizePlan,
    staging: &Staging,
) -> Result<Vec<TaskManifest>> {
    let spec = PartitionWriterSpec {
        run_id: context.run_id.clone(),
        partition_column: config.partition_by.clone(),
        targets: plan.targets.clone(),
        raw_encoding: match config.source.records.encoding {
            Encoding::Utf8 => RawEncoding::Utf8,
            Encoding::Latin1 => RawEncoding::Latin1,
        },
        limits: WriterLimits::default(),
        resumable: context.execution.is_remote(),
        is_readable: false,
    };
    let writer = PartitionWriter::new(Arc::clone(&plan.converted), Arc::new(spec), staging.clone());
    let planned = planned_inputs(&plan.converted).map_err(running)?;
    let writer: Arc<dyn ExecutionPlan> = Arc::new(writer);
    let batches = context
        .execution
        .collect(&context.run_id, writer, &plan.session, &context.progress)
        .await
        .map_err(of_execution)?;
    read_manifests(&batches, &planned).map_err(running)
}

/// Every record is in exactly one place, and every currency's amounts add up on both sides.
fn check_balance(counts: &TaskCounts) -> Result<()> {
    let whole = counts.records_in.checked_sub(counts.broken);
    let quarantined_late = counts.quarantined().checked_sub(counts.broken);
    let rows_tie = quarantined_late.is_some_and(|late| counts.rows_from_sql == counts.converted + late);
    if whole.is_none() || !rows_tie {
        return Err(out_of_balance(format!(
            "{} records were read and {} rows came from the SQL, but {} were converted and {} quarantined",
            counts.records_in,
            counts.rows_from_sql,
            counts.converted,
            counts.quarantined()
        )));
    }
    for (code, sum) in &counts.source_in {
        let mut out = ExactSum::zero(0);
        for side in [&counts.source_converted, &counts.source_quarantined] {
            if let Some(part) = side.get(code) {
                out.merge(part);
            }
        }
        if !out.equals(sum) {
            return Err(out_of_balance(format!(
                "{code} {sum} went into the conversion, but {code} {out} came out"
            )));
        }
    }
    Ok(())
}

fn out_of_balance(detail: String) -> JobError {
    JobError::new(
        ErrorKind::Infrastructure,
        format!("the run does not balance, nothing was committed: {detail}"),
    )
    .with_hint("this is a defect of Cambist: please report it with the job's spec")
}

fn check_quality(config: &NormalizeConfig, counts: &TaskCounts) -> Result<()> {
    if counts.repeated > 0 && !config.allow_fan_out {
        return Err(JobError::new(
            ErrorKind::Quality,
            format!(
                "the source SQL repeats {} rows: {} records gave {} rows; nothing was committed",
                counts.repeated,
                counts.records_in - counts.broken,
                counts.rows_from_sql
            ),
        )
        .with_hint(
            "a join matches several rows of a small table; make its key unique, or set quality.allow_fan_out",
        ));
    }
    let (quarantined, records) = (counts.quarantined(), counts.records_in);
    let limit = config.max_quarantine_ratio;
    // Counts and a ratio of them, not money.
    #[expect(
        clippy::cast_precision_loss,
        clippy::float_arithmetic,
        reason = "a ratio of counts is compared, no amount"
    )]
    let is_above = quarantined as f64 > limit * records as f64;
    if is_above {
        let reasons: Vec<String> =
            counts.quarantined_by_reason.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        return Err(JobError::new(
            ErrorKind::Quality,
            format!(
                "{quarantined} of {records} records would be quarantined ({}), above the limit of {limit}; nothing was committed",
                reasons.join(", ")
            ),
        )
        .with_hint("mend the source, or raise quality.max_quarantine_ratio (--max-quarantine-ratio)"));
    }
    Ok(())
}

fn partition_hashes(files: &[WrittenFile], kind: TableKind) -> BTreeMap<String, String> {
    let mut hashes: BTreeMap<&str, ContentHash> = BTreeMap::new();
    for file in files.iter().filter(|file| file.staged.table == kind) {
        hashes.entry(&file.partition).or_default().merge(file.content_hash);
    }
    hashes.into_iter().map(|(partition, hash)| (partition.to_owned(), hash.to_string())).collect()
}

pub(crate) fn data_file(file: &WrittenFile) -> DataFile {
    let texts =
        |sums: &CurrencySums| sums.iter().map(|(code, sum)| (code.clone(), sum.to_string())).collect();
    DataFile {
        file: file.staged.clone(),
        rows: file.rows,
        content_hash: file.content_hash.to_string(),
        source_totals: texts(&file.source_totals),
        totals: texts(&file.totals),
        batch: None,
    }
}

fn fill_files(report: &mut RunReport, files: &[WrittenFile]) {
    let main: Vec<&WrittenFile> = files.iter().filter(|file| file.staged.table == TableKind::Main).collect();
    let partitions: std::collections::BTreeSet<&str> =
        main.iter().map(|file| file.partition.as_str()).collect();
    let mut hash = ContentHash::default();
    main.iter().for_each(|file| hash.merge(file.content_hash));
    report.partitions = partitions.len() as u64;
    report.files = main.len() as u64;
    report.bytes = main.iter().map(|file| file.staged.bytes).sum();
    report.content_hash = hash.to_string();
}

/// A dated batch completes its own day; a named one completes every partition it wrote.
fn ready_partitions(config: &NormalizeConfig, partitions: &BTreeMap<String, String>) -> Vec<String> {
    match config.date {
        Some(date) => vec![format!("{}={date}", config.partition_by)],
        None => partitions.keys().cloned().collect(),
    }
}

fn details(
    config: &NormalizeConfig,
    context: &RunContext,
    plan: &NormalizePlan,
    report: &RunReport,
) -> Result<serde_json::Value> {
    let snapshots = plan.rates.book.snapshots().iter().map(|snapshot| SnapshotUse {
        id: snapshot.id.to_string(),
        provider: snapshot.provider.clone(),
        rate_date: snapshot.rate_date.to_string(),
        location: snapshot.location.clone(),
    });
    let known_as_of = config
        .known_as_of
        .map_or(context.now, |known| jiff::Timestamp::from_microsecond(known.0).unwrap_or(context.now));
    let details = RunDetails {
        report: report.clone(),
        targets: plan.targets.clone(),
        rounding: config.rounding.to_string(),
        rates_mode: config.rates_mode.clone(),
        rate_zone: config.rate_zone.clone(),
        max_age_days: config.max_age_days,
        known_as_of: known_as_of.to_string(),
        iso_4217: [cambist_udfs::currency::EDITION, cambist_udfs::currency::HISTORIC_EDITION]
            .map(str::to_owned),
        snapshots: snapshots.collect(),
    };
    serde_json::to_value(details)
        .map_err(|error| JobError::data(format!("the run's account is not writable: {error}")))
}

#[expect(
    clippy::cast_precision_loss,
    clippy::float_arithmetic,
    reason = "a duration for a person, no amount"
)]
fn seconds(started: Instant) -> f64 {
    started.elapsed().as_millis() as f64 / 1000.0
}
