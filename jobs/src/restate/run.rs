//! The restatement: survey, do the touched batches again, compare, commit all of them at once.

use std::time::Instant;

use cambist_engine::table::{RESTATE_KIND, Restatement, Table, TableError, TableKind};
use cambist_udfs::rate::InstantMicros;

use super::batch::{RestatedBatch, Work};
use super::delta::Deltas;
use super::options::RestateConfig;
use super::report::{BATCHES_LISTED, KeyLines, RestateReport, RestateStatus};
use super::source;
use super::survey::{Survey, SurveyedBatch, book_kind, survey};
use crate::context::{RunContext, RunPhase, seconds_since};
use crate::error::{ErrorKind, JobError, Result};
use crate::input::of_table;
use crate::normalize::{FoundInputs, RULES_VERSION, partition_hashes};
use crate::staged::{StagingGuard, discard};
use crate::table_reader::TableReader;

/// Commits of a table that are searched for one's own, whose driver died right after it.
const OWN_COMMITS_SEARCHED: u64 = 64;

/// Runs the job.
///
/// # Errors
/// [`JobError`] with the kind that decides the exit code. Unless the error says otherwise nothing was
/// committed, and what was staged is removed.
pub async fn restate(config: &RestateConfig, context: &RunContext) -> Result<RestateReport> {
    let started = Instant::now();
    let mut reader = TableReader::open(&context.stores, &config.output_url).await?;
    if context.attempt > 1
        && let Some(report) = committed_before(&reader.table, &context.run_id).await?
    {
        return Ok(report);
    }
    let known_to = config.known_to.unwrap_or(InstantMicros(context.now.as_microsecond()));
    if let Some(from) = config.known_from.filter(|from| *from > known_to) {
        return Err(JobError::usage(format!("known.from is {from}, later than known.to, {known_to}")));
    }
    let found = survey(&context.stores, reader.table.state(), config, known_to).await?;
    let mut deltas = deltas(&reader, config)?;
    check_currencies(config, &deltas)?;
    let mut report = report(config, context, known_to, &found, &reader);
    let mut inputs = Vec::with_capacity(found.touched.len());
    for batch in &found.touched {
        inputs.push(source::find(&context.stores, batch).await?);
    }
    if !found.touched.is_empty() {
        let input_bytes = inputs.iter().map(|inputs| inputs.source.bytes()).sum();
        context.progress.begin(input_bytes, 0);
        context.observer.reached(RunPhase::Planned { input_bytes, tasks: 0 }).await?;
    }
    let mut guards = Vec::new();
    let done = work(&reader, config, context, &found, inputs, &mut deltas, &mut guards).await;
    let restated = match done {
        Ok(restated) if !restated.is_empty() && !config.dry_run => {
            context.observer.reached(RunPhase::Executed).await.map(|()| restated)
        }
        done => done,
    };
    fill(&mut report, config, &deltas, &found, restated.as_deref().unwrap_or_default());
    report.seconds = seconds_since(started);
    let restated = match restated {
        Ok(restated) if report.status == RestateStatus::Committed => restated,
        finished => {
            for guard in guards {
                guard.discard().await;
            }
            return finished.map(|_| report);
        }
    };
    // From here on the files may belong to a commit: they are no longer ours to remove.
    let stagings: Vec<_> = guards.into_iter().map(StagingGuard::release).collect();
    let restatement = restatement(context, &found, restated, &report)?;
    let number = match reader.table.append_restatement(&restatement).await {
        Ok(number) => number,
        Err(refused) => {
            if is_refused_unwritten(&refused) {
                for staging in &stagings {
                    discard(staging).await;
                }
            }
            return Err(of_table(&refused));
        }
    };
    context.observer.reached(RunPhase::Committed { commit: number }).await?;
    reader.table.publish(number).await.map_err(|error| of_table(&error))?;
    for staging in stagings {
        // What was staged for batches that came out as they were, and by attempts before this one.
        discard(&staging).await;
    }
    for name in context.earlier_staging_names() {
        for place in 0..found.touched.len() {
            discard(&reader.table.staging(&staging_name(&name, place))).await;
        }
    }
    report.commit = number;
    report.seconds = seconds_since(started);
    Ok(report)
}

/// Does the touched batches again, one after the other.
async fn work(
    reader: &TableReader,
    config: &RestateConfig,
    context: &RunContext,
    found: &Survey,
    inputs: Vec<FoundInputs>,
    deltas: &mut Deltas,
    guards: &mut Vec<StagingGuard>,
) -> Result<Vec<RestatedBatch>> {
    let mut restated = Vec::new();
    for (place, (batch, inputs)) in found.touched.iter().zip(inputs).enumerate() {
        let staging = reader.table.staging(&staging_name(&context.staging_name(), place));
        guards.push(StagingGuard::new(staging.clone()));
        let work = Work { reader, context, batch, staging: &staging, is_dry: config.dry_run };
        let rates = found.rates.get(&book_kind(&batch.config)).cloned().ok_or_else(|| {
            JobError::new(
                ErrorKind::Infrastructure,
                format!("the rates of batch `{}` were not kept", batch.name),
            )
        })?;
        restated.extend(work.restate(inputs, rates, deltas).await.map_err(|error| of_batch(error, batch))?);
    }
    Ok(restated)
}

/// Each batch stages apart: tasks of two batches may read the same files.
fn staging_name(run: &str, place: usize) -> String {
    format!("{run}-b{place}")
}

fn of_batch(mut error: JobError, batch: &SurveyedBatch) -> JobError {
    if !error.message.contains(&format!("`{}`", batch.name)) {
        error.message = format!("batch `{}`: {}", batch.name, error.message);
    }
    error
}

fn deltas(reader: &TableReader, config: &RestateConfig) -> Result<Deltas> {
    let mut deltas = Deltas::default();
    let state = reader.table.state();
    let is_chosen = |batch: &str| config.batches.is_empty() || config.batches.contains(batch);
    for file in state.files(TableKind::Main).filter(|file| is_chosen(&file.batch)) {
        deltas.add_old_total(file)?;
    }
    for (_, batch) in state.batches().filter(|(name, _)| is_chosen(name)) {
        let details = serde_json::from_value::<crate::normalize::RunDetails>(batch.details.clone());
        deltas.add_targets(&details.map(|details| details.targets).unwrap_or_default());
    }
    Ok(deltas)
}

fn check_currencies(config: &RestateConfig, deltas: &Deltas) -> Result<()> {
    let targets: Vec<&str> = deltas.targets().collect();
    match config.materiality.currencies().find(|code| !targets.contains(code)) {
        None => Ok(()),
        Some(code) => Err(JobError::usage(format!(
            "materiality names `{code}`, which the table is not converted into, expected {}",
            targets.join(", ")
        ))),
    }
}

fn report(
    config: &RestateConfig,
    context: &RunContext,
    known_to: InstantMicros,
    found: &Survey,
    reader: &TableReader,
) -> RestateReport {
    let is_chosen = |batch: &str| config.batches.is_empty() || config.batches.contains(batch);
    let files = reader.table.state().files(TableKind::Main).filter(|file| is_chosen(&file.batch));
    let partitions: std::collections::BTreeSet<_> =
        files.map(|file| (file.batch.as_str(), file.partition())).collect();
    RestateReport {
        run_id: context.run_id.clone(),
        status: RestateStatus::NothingToDo,
        commit: 0,
        known_from: config.known_from.map(|from| from.to_string()),
        known_to: known_to.to_string(),
        batches_compared: found.compared,
        batches_ahead: found.ahead,
        batches_restated: 0,
        partitions_rewritten: 0,
        partitions_untouched: partitions.len() as u64,
        converted_before: 0,
        converted_after: 0,
        quarantined_before: 0,
        quarantined_after: 0,
        material: None,
        targets: Vec::new(),
        pairs: Vec::new(),
        deltas: Vec::new(),
        deltas_left_out: 0,
        keys_changed: Vec::new(),
        keys_left_out: 0,
        batches: Vec::new(),
        batches_left_out: 0,
        seconds: 0.0,
    }
}

/// Tells in the report what was found.
fn fill(
    report: &mut RestateReport,
    config: &RestateConfig,
    deltas: &Deltas,
    found: &Survey,
    restated: &[RestatedBatch],
) {
    report.status = match (restated.is_empty(), config.dry_run) {
        (true, _) => RestateStatus::NothingToDo,
        (false, true) => RestateStatus::DryRun,
        (false, false) => RestateStatus::Committed,
    };
    let mut keys = KeyLines::default();
    for one in restated {
        let delta = &one.delta;
        report.batches_restated += 1;
        report.partitions_untouched = report.partitions_untouched.saturating_sub(one.partitions_replaced);
        report.partitions_rewritten += delta.partitions_rewritten.len() as u64;
        report.converted_before += delta.converted_before;
        report.converted_after += delta.converted_after;
        report.quarantined_before += delta.quarantined_before;
        report.quarantined_after += delta.quarantined_after;
        let batch = found.touched.iter().find(|batch| batch.name == delta.batch);
        if let Some(batch) = batch {
            batch.touch.keys.iter().for_each(|key| keys.add(key));
        }
    }
    (report.keys_changed, report.keys_left_out) = keys.finish();
    (report.deltas, report.deltas_left_out) = deltas.by_day();
    report.pairs = deltas.by_pair();
    report.targets = deltas.by_target(&config.materiality);
    let is_material = || report.targets.iter().any(|target| target.material == Some(true));
    report.material = config.materiality.is_given().then(is_material);
    report.batches = restated.iter().take(BATCHES_LISTED).map(|one| one.delta.clone()).collect();
    report.batches_left_out = restated.len().saturating_sub(BATCHES_LISTED) as u64;
}

fn restatement(
    context: &RunContext,
    found: &Survey,
    restated: Vec<RestatedBatch>,
    report: &RestateReport,
) -> Result<Restatement> {
    let written = || restated.iter().flat_map(|one| &one.written);
    let retain = found.touched.iter().map(|batch| batch.config.retain_superseded_seconds).max();
    Ok(Restatement {
        run_id: context.run_id.clone(),
        committed_at: context.now,
        rules_version: RULES_VERSION.to_owned(),
        partitions: partition_hashes(written(), TableKind::Main),
        quarantine_partitions: partition_hashes(written(), TableKind::Quarantine),
        retain_superseded_seconds: retain.unwrap_or(0),
        details: serde_json::to_value(report)
            .map_err(|error| JobError::data("the report is not JSON").caused_by(error))?,
        batches: restated.into_iter().map(|one| one.change).collect(),
    })
}

/// Tells whether the table refused a restatement before anything of it could be written.
fn is_refused_unwritten(error: &TableError) -> bool {
    use TableError::{Conflict, DuplicatePath, StagedFileMissing};
    matches!(error, StagedFileMissing { .. } | DuplicatePath { .. } | Conflict { .. })
}

/// The commit that an earlier attempt at this run has made.
async fn committed_before(table: &Table, run_id: &str) -> Result<Option<RestateReport>> {
    let records = table.log(OWN_COMMITS_SEARCHED).await.map_err(|error| of_table(&error))?;
    let own = records.into_iter().find(|record| record.kind == RESTATE_KIND && record.run_id == run_id);
    let Some(record) = own else { return Ok(None) };
    let report: RestateReport = serde_json::from_value(record.details)
        .map_err(|error| JobError::data("the log's account of this run is not readable").caused_by(error))?;
    Ok(Some(RestateReport { commit: record.number, ..report }))
}
