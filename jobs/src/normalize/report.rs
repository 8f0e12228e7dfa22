//! What a run says of itself: the one JSON object at the end, and the account that its commit keeps.

use std::collections::BTreeMap;

use cambist_engine::exact_sum::{CurrencySums, ExactSum};
use cambist_engine::rate_join::TargetCurrency;
use cambist_engine::rates::{LoadedRates, RefusedSnapshot};
use cambist_engine::task::{DamagedFile, TaskCounts};
use cambist_udfs::rate::DayRange;
use serde::{Deserialize, Serialize};

use super::inputs::RunInputs;
use crate::error::{JobError, Result};

/// The version of the conversion rules; part of every run's digest.
pub const RULES_VERSION: &str = "1";

/// Under this key the account of a job that is not ours names the job.
const JOB_KEY: &str = "job";

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Its result is the table's.
    Committed,
    /// An earlier run of the same inputs had committed the same result.
    AlreadyDone,
}

/// A snapshot that a run was allowed to use.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SnapshotUse {
    /// The sha256 of its payload, hex.
    pub id: String,
    /// Its publisher.
    pub provider: String,
    /// Its day.
    pub rate_date: String,
    /// Where it lay.
    pub location: String,
}

/// The account that a commit keeps of its run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunDetails {
    /// The report, as it was printed.
    pub report: RunReport,
    /// The target currencies in column order.
    pub targets: Vec<TargetCurrency>,
    /// How the one rounding was done.
    pub rounding: String,
    /// `date` or `instant`.
    pub rates_mode: String,
    /// The zone in which an event's date was taken.
    pub rate_zone: String,
    /// The age limit in days.
    pub max_age_days: Option<u32>,
    /// Only snapshots known by then counted; RFC 3339.
    pub known_as_of: String,
    /// The editions of ISO 4217 that minor units and validity come from.
    pub iso_4217: [String; 2],
    /// The snapshots that the run was allowed to use.
    pub snapshots: Vec<SnapshotUse>,
    /// The first and the last event day of rows that found no rate, by source currency.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unrated_days: BTreeMap<String, DayRange>,
    /// What it read, by which it can be done again; none in records of older programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<RunInputs>,
}

impl RunDetails {
    /// Reads the account that the commit of `batch` has kept.
    pub(crate) fn of_batch(batch: &str, details: &serde_json::Value) -> Result<Self> {
        if let Some(job) = details.get(JOB_KEY).and_then(serde_json::Value::as_str) {
            return Err(JobError::usage(format!(
                "batch `{batch}` was written by the job `{job}`, expected one that `normalize` has written: the \
                 rows of others cannot be computed again from their columns"
            )));
        }
        serde_json::from_value(details.clone()).map_err(|error| {
            JobError::data(format!("the log's account of batch `{batch}` is not readable: {error}"))
        })
    }
}

/// The summary of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunReport {
    /// The run.
    pub run_id: String,
    /// How it ended.
    pub status: RunStatus,
    /// What it replaced.
    pub batch: String,
    /// The commit's number.
    pub commit: u64,
    /// Records read.
    pub records_in: u64,
    /// Records converted.
    pub converted: u64,
    /// Records quarantined.
    pub quarantined: u64,
    /// Rows that the job's own SQL filtered out.
    pub filtered: u64,
    /// Rows that repeat a record, where the SQL may make several rows of one.
    pub repeated: u64,
    /// Quarantined records by reason code.
    pub quarantined_by_reason: BTreeMap<String, u64>,
    /// Exact sums of the converted rows' source amounts, by source currency.
    pub source_totals: BTreeMap<String, String>,
    /// Exact sums of the quarantined rows' source amounts, where amount and currency are known.
    pub quarantined_source_totals: BTreeMap<String, String>,
    /// Exact sums of the converted amounts, by target.
    pub totals: BTreeMap<String, String>,
    /// Hive partitions written.
    pub partitions: u64,
    /// Data files written, without the quarantine's.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The order-free hash of the converted rows.
    pub content_hash: String,
    /// Snapshots that the run was allowed to use.
    pub snapshots_used: u64,
    /// Snapshot files that were passed over, with reasons.
    pub snapshots_refused: Vec<SnapshotRefusal>,
    /// Single rates that were passed over, by reason.
    pub rates_refused: BTreeMap<String, u64>,
    /// What the ledger of the rates holds back until somebody approves it, by gate; a held snapshot counts once.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rates_held: BTreeMap<String, u64>,
    /// Files that were read only in part.
    pub damaged_files: Vec<DamagedFile>,
    /// Files of earlier runs of the batch that this commit superseded.
    pub superseded_files: u64,
    /// Wall-clock seconds, milliseconds kept.
    pub seconds: f64,
}

/// A snapshot file that was passed over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SnapshotRefusal {
    /// The file.
    pub file: String,
    /// The stable reason code.
    pub reason: String,
    /// What was found.
    pub detail: String,
}

impl From<&RefusedSnapshot> for SnapshotRefusal {
    fn from(refused: &RefusedSnapshot) -> Self {
        Self {
            file: refused.location.clone(),
            reason: refused.reason.to_owned(),
            detail: refused.detail.clone(),
        }
    }
}

/// Writes sums as decimal text, with at least the decimals that `minor_units` gives.
pub(super) fn texts(sums: &CurrencySums, minor_units: impl Fn(&str) -> u8) -> BTreeMap<String, String> {
    let text = |(code, sum): (&String, &ExactSum)| (code.clone(), sum.to_text(minor_units(code)));
    sums.iter().map(text).collect()
}

impl RunReport {
    /// Makes the part of the report that comes from the tasks' counts and the rates.
    pub(super) fn of_counts(
        run_id: &str,
        batch: &str,
        counts: &TaskCounts,
        targets: &[TargetCurrency],
        rates: &LoadedRates,
    ) -> Self {
        let whole = counts.records_in - counts.broken;
        let mut totals = texts(&counts.target_totals, |code| {
            targets.iter().find(|target| target.code == code).map_or(0, |target| target.minor_units)
        });
        for target in targets {
            let zero = || ExactSum::zero(target.minor_units).to_text(target.minor_units);
            totals.entry(target.code.clone()).or_insert_with(zero);
        }
        let mut rates_refused = BTreeMap::new();
        for (_, entry) in &rates.entries {
            *rates_refused.entry(entry.reason.code().to_owned()).or_default() += 1;
        }
        let mut rates_held = BTreeMap::new();
        for held in rates.held.iter().flat_map(|snapshot| &snapshot.held) {
            *rates_held.entry(held.gate.clone()).or_default() += 1;
        }
        Self {
            run_id: run_id.to_owned(),
            status: RunStatus::Committed,
            batch: batch.to_owned(),
            commit: 0,
            records_in: counts.records_in,
            converted: counts.converted,
            quarantined: counts.quarantined(),
            filtered: (whole + counts.repeated).saturating_sub(counts.rows_from_sql),
            repeated: counts.repeated,
            quarantined_by_reason: counts.quarantined_by_reason.clone(),
            source_totals: texts(&counts.source_converted, |_| 0),
            quarantined_source_totals: texts(&counts.source_quarantined, |_| 0),
            totals,
            partitions: 0,
            files: 0,
            bytes: 0,
            content_hash: String::new(),
            snapshots_used: rates.book.snapshots().len() as u64,
            snapshots_refused: rates.refused.iter().map(Into::into).collect(),
            rates_refused,
            rates_held,
            damaged_files: counts.damaged_files.clone(),
            superseded_files: 0,
            seconds: 0.0,
        }
    }
}
