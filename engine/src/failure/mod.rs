//! Why a task failed, in a form that survives the way from an executor to the driver, which is a text.
//!
//! One classification serves plans that run in this process and on a cluster: it is done where the typed
//! error still is, inside the task, and only its outcome travels.

mod carried;
mod chain;
mod classify;
#[cfg(test)]
mod tests;

use std::fmt;

pub use chain::chain;
use serde::{Deserialize, Serialize};

/// What should be done about a failed task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The store, the network or the disk had a bad moment: try again.
    Transient,
    /// A store or the system refused: a permission, a bucket or an object is missing. Trying again does
    /// not help.
    Refused,
    /// The options do not fit the input: mend the options.
    Usage,
    /// The input cannot be used: mend the data.
    Data,
    /// The machine has not enough memory or disk; another one may have.
    Resources,
    /// The code panicked: a defect.
    Panic,
    /// Anything else.
    Internal,
}

impl FailureKind {
    /// Tells whether the same task may succeed when it runs again, perhaps on another machine.
    pub const fn is_worth_another_task(self) -> bool {
        matches!(self, Self::Transient | Self::Resources | Self::Panic)
    }
}

/// A failed task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFailure {
    /// What should be done.
    pub kind: FailureKind,
    /// What was found, with its causes.
    pub message: String,
    /// What to do next, where the message does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl fmt::Display for TaskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl TaskFailure {
    /// Makes a failure of `kind` that says what was found.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    fn with_hint(mut self, hint: &str) -> Self {
        self.hint = Some(hint.to_owned());
        self
    }
}
