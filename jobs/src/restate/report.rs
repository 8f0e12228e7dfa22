//! What a restatement says of itself.

use std::collections::BTreeMap;

use cambist_udfs::rate::{PairOutcome, PairQuote, RateDate};
use serde::{Deserialize, Serialize};

use super::touch::TouchedKey;

/// Lines of [`RestateReport::deltas`] that are listed; more are counted.
pub(super) const DELTAS_LISTED: usize = 10_000;

/// Keys that are listed; more are counted.
pub(super) const KEYS_LISTED: usize = 1_000;

/// Batches that are listed; more are counted.
pub(super) const BATCHES_LISTED: usize = 1_000;

/// How a restatement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestateStatus {
    /// What it changed is the table's.
    Committed,
    /// It would have been; nothing was committed, as asked for.
    DryRun,
    /// No row of the table comes out otherwise; nothing was committed.
    NothingToDo,
}

/// The summary of a restatement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RestateReport {
    /// The run.
    pub run_id: String,
    /// How it ended.
    pub status: RestateStatus,
    /// The commit's number; 0 where there is none.
    pub commit: u64,
    /// The instant as of which the table's rates were said to be known; each batch's own where none.
    pub known_from: Option<String>,
    /// The instant as of which they are known now.
    pub known_to: String,
    /// Batches that were looked at.
    pub batches_compared: u64,
    /// Of these, left alone because they know more already.
    pub batches_ahead: u64,
    /// Of these, changed.
    pub batches_restated: u64,
    /// Partitions, within batches, whose files were replaced.
    pub partitions_rewritten: u64,
    /// Partitions of the batches looked at that stay as they are.
    pub partitions_untouched: u64,
    /// Converted rows of the restated batches before.
    pub converted_before: u64,
    /// And after.
    pub converted_after: u64,
    /// Records of the restated batches in the quarantine before.
    pub quarantined_before: u64,
    /// And after.
    pub quarantined_after: u64,
    /// Whether the change is above `materiality`; none where no limit was given.
    pub material: Option<bool>,
    /// The change of each target's total.
    pub targets: Vec<TargetDelta>,
    /// The same by source currency.
    pub pairs: Vec<PairDelta>,
    /// The same by day; only what differs.
    pub deltas: Vec<DayDelta>,
    /// Lines that were left out of `deltas`.
    pub deltas_left_out: u64,
    /// The rates that made the difference.
    pub keys_changed: Vec<KeyChange>,
    /// Lines that were left out of `keys_changed`.
    pub keys_left_out: u64,
    /// The restated batches.
    pub batches: Vec<BatchDelta>,
    /// Batches that were left out of `batches`.
    pub batches_left_out: u64,
    /// Wall-clock seconds, milliseconds kept.
    pub seconds: f64,
}

/// The change of a target's total.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TargetDelta {
    /// The target currency.
    pub target: String,
    /// The total of all batches that were looked at, before.
    pub old_total: String,
    /// And after.
    pub new_total: String,
    /// The difference.
    pub delta: String,
    /// The change of one day's total that is the largest, whatever its sign.
    pub largest_day_delta: String,
    /// Whether either is above `materiality`; none where no limit was given.
    pub material: Option<bool>,
}

/// The change of a pair's total in the partitions that were rewritten.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PairDelta {
    /// The source currency.
    pub source: String,
    /// The target currency.
    pub target: String,
    /// Its rows there before.
    pub rows_before: u64,
    /// And after.
    pub rows_after: u64,
    /// Its total there before.
    pub old_total: String,
    /// And after.
    pub new_total: String,
    /// The difference.
    pub delta: String,
}

/// The change of a pair's total on one day.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DayDelta {
    /// The event day.
    pub day: String,
    /// The pair and its figures of the day.
    #[serde(flatten)]
    pub pair: PairDelta,
}

/// What a pair was converted with, and is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// The source currency.
    pub source: String,
    /// The target currency.
    pub target: String,
    /// The first event day with rows of it; none where they can only be among those set aside.
    pub first_day: Option<String>,
    /// And the last.
    pub last_day: Option<String>,
    /// By the rates as they were known.
    pub before: KeyOutcome,
    /// And as they are known now.
    pub after: KeyOutcome,
}

/// The rates of a pair, or why there are none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum KeyOutcome {
    /// A snapshot's.
    Rates {
        /// The day that the snapshot is for.
        rate_date: String,
        /// The sha256 of its payload, hex.
        snapshot: String,
        /// Units of the source currency per unit of the base, as published.
        rate_source: String,
        /// Units of the target currency per unit of the base, as published.
        rate_target: String,
    },
    /// None.
    Missing {
        /// The stable reason code.
        reason: String,
    },
}

/// What became of a batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BatchDelta {
    /// Its name.
    pub batch: String,
    /// The instant as of which its rates were known.
    pub known_from: String,
    /// Its partitions whose files were replaced.
    pub partitions_rewritten: Vec<String>,
    /// How many of its partitions stay as they are.
    pub partitions_untouched: u64,
    /// Its converted rows before.
    pub converted_before: u64,
    /// And after.
    pub converted_after: u64,
    /// Its records in the quarantine before.
    pub quarantined_before: u64,
    /// And after.
    pub quarantined_after: u64,
}

impl From<&PairOutcome> for KeyOutcome {
    fn from(outcome: &PairOutcome) -> Self {
        match outcome {
            PairOutcome::Refused(reason) => Self::Missing { reason: reason.code().to_owned() },
            PairOutcome::Quoted(PairQuote { snapshot, rate_date, source_rate, target_rate }) => Self::Rates {
                rate_date: rate_date.to_string(),
                snapshot: snapshot.to_string(),
                rate_source: source_rate.to_string(),
                rate_target: target_rate.to_string(),
            },
        }
    }
}

/// Brings the keys of several batches together: one line for each pair and change.
#[derive(Debug, Default)]
pub(super) struct KeyLines(BTreeMap<KeyLine, Option<(RateDate, RateDate)>>);

/// The pair's first day of change comes first, so that the lines are in the order of days.
type KeyLine = (RateDate, String, String, KeyOutcome, KeyOutcome);

impl KeyLines {
    pub(super) fn add(&mut self, key: &TouchedKey) {
        let line = (
            key.change.days.first,
            key.source.to_string(),
            key.target.to_string(),
            KeyOutcome::from(&key.change.before),
            KeyOutcome::from(&key.change.after),
        );
        let days = self.0.entry(line).or_default();
        if let Some(found) = key.event_days {
            let known = days.unwrap_or((found.first, found.last));
            *days = Some((known.0.min(found.first), known.1.max(found.last)));
        }
    }

    /// Returns the first lines, and how many there are more.
    pub(super) fn finish(self) -> (Vec<KeyChange>, u64) {
        let left_out = self.0.len().saturating_sub(KEYS_LISTED) as u64;
        let line = |((_, source, target, before, after), days): (KeyLine, Option<(RateDate, RateDate)>)| {
            let (first_day, last_day) =
                days.map(|(first, last)| (first.to_string(), last.to_string())).unzip();
            KeyChange { source, target, first_day, last_day, before, after }
        };
        (self.0.into_iter().take(KEYS_LISTED).map(line).collect(), left_out)
    }
}
