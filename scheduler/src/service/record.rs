//! What is written down of a run: one object per step, none ever changed.

use cambist_engine::progress::ProgressCounts;
use cambist_jobs::error::JobFailure;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::view::RunState;

/// The version of the records' form.
const FORMAT: u32 = 1;
/// The detail of a record that begins an attempt's work: the table had no commit of this run then.
pub(super) const BEGUN: &str = "tasks begin";
/// The detail of a record after which the table's commit may stand.
pub(super) const COMMITTING: &str = "commit begins";

/// One step of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RunRecord {
    /// The version of this form.
    pub(super) format: u32,
    /// Its number among the run's records, from 1 without a gap.
    pub(super) seq: u32,
    /// How far the run is.
    pub(super) state: RunState,
    /// Which attempt reached this; 0 before the first.
    pub(super) attempt: u32,
    /// Which scheduler process wrote this.
    pub(super) scheduler_id: String,
    /// When.
    #[serde(with = "instant")]
    pub(super) at: Timestamp,
    /// What is to be run; in the first record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) submission: Option<Submission>,
    /// What the step is, where the state does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<String>,
    /// What there is to do, or was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) counts: Option<Counts>,
    /// The job's report; in the record of a published run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) report: Option<Value>,
    /// Why it failed; in the record of a failed run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<JobFailure>,
}

impl RunRecord {
    /// Makes a record that says nothing but the state.
    pub(super) fn new(seq: u32, state: RunState, attempt: u32, scheduler_id: &str, at: Timestamp) -> Self {
        Self {
            format: FORMAT,
            seq,
            state,
            attempt,
            scheduler_id: scheduler_id.to_owned(),
            at,
            submission: None,
            detail: None,
            counts: None,
            report: None,
            error: None,
        }
    }

    /// Tells whether the table's commit may stand after this record.
    pub(super) fn begins_commit(&self) -> bool {
        self.state == RunState::Committed || self.detail.as_deref() == Some(COMMITTING)
    }
}

/// What is to be run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Submission {
    /// The job's name.
    pub(super) job: String,
    /// Its options.
    pub(super) options: Map<String, Value>,
}

/// How far a run got on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Raw bytes to read.
    pub(super) bytes_total: u64,
    /// Raw bytes that were read.
    pub(super) bytes_done: u64,
    /// Records that were read.
    pub(super) records_done: u64,
    /// Tasks.
    pub(super) tasks_total: u64,
    /// Finished tasks.
    pub(super) tasks_done: u64,
}

impl From<ProgressCounts> for Counts {
    fn from(counts: ProgressCounts) -> Self {
        Self {
            bytes_total: counts.bytes_total,
            bytes_done: counts.bytes_done,
            records_done: counts.records_done,
            tasks_total: counts.tasks_total,
            tasks_done: counts.tasks_done,
        }
    }
}

/// All records of a run, in their order; never empty, and the first has the submission.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RunLog {
    /// When the run was put on record.
    pub(super) submitted_at: Timestamp,
    /// What is to be run.
    pub(super) submission: Submission,
    /// The records.
    pub(super) records: Vec<RunRecord>,
}

impl RunLog {
    /// Makes a log of a run's records, or nothing where the first is missing.
    pub(super) fn new(mut records: Vec<RunRecord>) -> Option<Self> {
        records.sort_by_key(|record| record.seq);
        let first = records.first_mut()?;
        let submission = first.submission.take()?;
        Some(Self { submitted_at: first.at, submission, records })
    }

    /// Returns when the present attempt began.
    pub(super) fn started_at(&self) -> Option<Timestamp> {
        let attempt = self.records.last()?.attempt;
        self.records.iter().find(|record| record.attempt == attempt && attempt > 0).map(|record| record.at)
    }

    /// Tells whether the table's commit may stand, so that the run can no longer be cancelled.
    pub(super) fn is_past_cancel(&self) -> bool {
        let decides = |record: &&RunRecord| record.begins_commit() || record.detail.as_deref() == Some(BEGUN);
        self.records.iter().rev().find(decides).is_some_and(RunRecord::begins_commit)
    }

    /// Returns the newest account of what there is to do and was done.
    pub(super) fn counts(&self) -> Option<Counts> {
        self.records.iter().rev().find_map(|record| record.counts)
    }
}

/// Instants as ISO 8601 text in UTC.
mod instant {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(at)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
