//! Why a task failed, in a form that survives the way from an executor to the driver, which is a text.

use std::fmt;

use datafusion::common::DataFusionError;
use serde::{Deserialize, Serialize};

/// Stands before a failure's JSON in an error text.
const MARK: &str = "task failure: ";

/// What should be done about a failed task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The store, the network or the disk had a bad moment: try again.
    Transient,
    /// A store refused: a permission or a bucket is missing. Trying again does not help.
    Refused,
    /// The input cannot be used: mend the data or the options.
    Data,
    /// The machine has not enough memory or disk.
    Resources,
    /// The code panicked: a defect.
    Panic,
    /// Anything else.
    Internal,
}

/// A failed task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFailure {
    /// What should be done.
    pub kind: FailureKind,
    /// What was found, with its causes.
    pub message: String,
}

impl fmt::Display for TaskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl TaskFailure {
    /// Classifies what an operator failed with.
    pub fn of(error: &DataFusionError) -> Self {
        let kind = match error.find_root() {
            DataFusionError::IoError(_) => FailureKind::Transient,
            DataFusionError::ResourcesExhausted(_) => FailureKind::Resources,
            _ => FailureKind::Internal,
        };
        Self { kind, message: error.to_string() }
    }

    /// Finds a failure in the text that a scheduler gives for a failed job.
    pub fn in_text(text: &str) -> Option<Self> {
        let json = &text[text.find(MARK)? + MARK.len()..];
        serde_json::Deserializer::from_str(json).into_iter().next()?.ok()
    }
}
