//! The statements that run, and the last ones that did: limits, cancellation, `system.queries`.

mod registry;
mod rows;
#[cfg(test)]
mod tests;

pub(crate) use registry::{Queries, Refusal, Running, too_large};
pub(crate) use rows::forward;
use serde::Serialize;

/// How far a query is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryState {
    /// It runs, or its rows are being sent.
    Running,
    /// All its rows were sent.
    Done,
    /// It failed.
    Failed,
    /// It was cancelled, or its client went away.
    Cancelled,
}

/// A query as `system.queries` shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QueryView {
    /// Its id.
    pub query_id: String,
    /// Who sent it.
    pub user: String,
    /// The statement, with the values of options that may be secret left out.
    pub statement: String,
    /// How far it is.
    pub state: QueryState,
    /// When it was begun.
    pub started_at: jiff::Timestamp,
    /// When it ended.
    pub ended_at: Option<jiff::Timestamp>,
    /// Rows that were sent.
    pub rows: u64,
    /// Bytes of these rows in memory.
    pub bytes: u64,
    /// Why it failed.
    pub error: Option<String>,
}
