//! What is told of a run, over HTTP and in its record of the past.

use cambist_jobs::error::JobFailure;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// How far a run is. A run never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It is on record, and waits for its turn or is being planned.
    Submitted,
    /// Its inputs and options were read and checked.
    Planned,
    /// Its tasks run.
    Running,
    /// The table's commit record stands: it will be visible whatever happens now.
    Committed,
    /// Done: readers see it.
    Published,
    /// It ended without a result; `error` says why.
    Failed,
    /// Somebody cancelled it; nothing of it is visible.
    Cancelled,
}

impl RunState {
    /// Every state, in the order in which a run passes them.
    pub const ALL: [Self; 7] = [
        Self::Submitted,
        Self::Planned,
        Self::Running,
        Self::Committed,
        Self::Published,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Tells whether nothing follows.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Published | Self::Failed | Self::Cancelled)
    }

    /// Returns the name that JSON has.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Committed => "committed",
            Self::Published => "published",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Tells whether a record of state `next` may follow one of this state.
    ///
    /// A state may follow itself: that is another attempt, or another step within the state.
    pub fn may_become(self, next: Self) -> bool {
        if self.is_terminal() {
            return false;
        }
        // What is committed can only become visible; whoever cannot publish it says so as a failure.
        next >= self && !(self == Self::Committed && next == Self::Cancelled)
    }
}

/// A run as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunView {
    /// Its id.
    pub id: String,
    /// Its job.
    pub job: String,
    /// The job's options as they were submitted.
    #[schema(value_type = Object)]
    pub options: Map<String, Value>,
    /// How far it is.
    pub state: RunState,
    /// What it waits for, such as `no executors` or `2 runs ahead`.
    pub waiting: Option<String>,
    /// What it does at the moment, such as `planning`, `running` or `publishing`.
    pub stage: Option<String>,
    /// Which attempt at it this is, from 1; 0 before the first.
    pub attempt: u32,
    /// Finished tasks of the present stage.
    pub tasks_done: u64,
    /// Tasks of the present stage; 0 until they are known.
    pub tasks_total: u64,
    /// Raw bytes (as stored, before decompression) that were read.
    pub bytes_done: u64,
    /// Raw bytes that there are to read; 0 until they are known.
    pub bytes_total: u64,
    /// Records that were read.
    pub records_done: u64,
    /// When it was put on record, UTC.
    #[schema(format = DateTime)]
    pub submitted_at: String,
    /// When the present attempt began, UTC.
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When it ended, UTC.
    #[schema(format = DateTime)]
    pub finished_at: Option<String>,
    /// Seconds since the present attempt began, until its end; 0 before.
    pub elapsed_seconds: f64,
    /// An estimate of the seconds left, where one can be made.
    pub remaining_seconds: Option<f64>,
    /// The job's report, once it is published.
    #[schema(value_type = Option<Object>)]
    pub report: Option<Value>,
    /// Why it failed.
    #[schema(value_type = Option<crate::http::ErrorBody>)]
    pub error: Option<JobFailure>,
    /// Grows with each change; see `since`.
    pub version: u64,
}

#[cfg(test)]
mod tests {
    use super::RunState;

    #[test]
    fn a_run_never_goes_back_and_ends_once() {
        for from in RunState::ALL {
            for to in RunState::ALL {
                let goes_back = to < from;
                let revokes = from == RunState::Committed && to == RunState::Cancelled;
                let expected = !from.is_terminal() && !goes_back && !revokes;
                assert_eq!(from.may_become(to), expected, "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn names_are_those_of_the_json() {
        for state in RunState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }
}
