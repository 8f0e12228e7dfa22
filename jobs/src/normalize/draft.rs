//! What a run asks the table to commit, and the account that the commit keeps of it.

use std::collections::{BTreeMap, BTreeSet};

use cambist_engine::exact_sum::CurrencySums;
use cambist_engine::partition_writer::{ContentHash, WrittenFile};
use cambist_engine::quarantine;
use cambist_engine::table::{CommitDraft, DataFile, Table, TableKind};
use cambist_engine::task::TaskCounts;

use super::config::NormalizeConfig;
use super::pass::PassResult;
use super::plan::NormalizePlan;
use super::report::{RULES_VERSION, RunDetails, RunReport, SnapshotUse};
use crate::context::RunContext;
use crate::error::{JobError, Result};
use crate::input::running;

/// Completes the report and makes the draft of the commit that will keep it.
pub(super) fn draft(
    table: &Table,
    config: &NormalizeConfig,
    context: &RunContext,
    plan: &NormalizePlan,
    result: &PassResult,
    report: &mut RunReport,
) -> Result<CommitDraft> {
    let files = &result.files;
    fill_files(report, files);
    report.superseded_files =
        table.state().files(TableKind::Main).filter(|file| file.batch == config.batch).count() as u64;
    let partitions = partition_hashes(files, TableKind::Main);
    Ok(CommitDraft {
        run_id: context.run_id.clone(),
        staging: context.staging_name(),
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
        details: details(config, context, plan, report, &result.counts)?,
    })
}

pub(crate) fn partition_hashes<'a>(
    files: impl IntoIterator<Item = &'a WrittenFile>,
    kind: TableKind,
) -> BTreeMap<String, String> {
    let mut hashes: BTreeMap<&str, ContentHash> = BTreeMap::new();
    for file in files.into_iter().filter(|file| file.staged.table == kind) {
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
    let partitions: BTreeSet<&str> = main.iter().map(|file| file.partition.as_str()).collect();
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

/// Returns the account that a commit keeps of a batch's run.
pub(super) fn details(
    config: &NormalizeConfig,
    context: &RunContext,
    plan: &NormalizePlan,
    report: &RunReport,
    counts: &TaskCounts,
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
        unrated_days: counts.unrated_days.clone(),
        inputs: Some(plan.inputs.clone()),
    };
    serde_json::to_value(details)
        .map_err(|error| JobError::data(format!("the run's account is not writable: {error}")))
}
