//! The audit log: who asked for what, when, and how it ended.

mod file;

use std::fmt;

pub use file::FileAudit;
use serde::Serialize;

/// One line of the log: the end of a statement, or an attempt to get in.
#[derive(Clone, Debug, Serialize)]
pub struct AuditEntry {
    /// When it ended, RFC 3339 in UTC.
    pub at: String,
    /// The user; empty where nobody was recognised.
    pub user: String,
    /// Where the request came from, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// What was done, such as `select`, `call` or `authenticate`.
    pub action: String,
    /// The query's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The statement, with the values of options that may be secret left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// How it ended: `ok`, `refused`, `failed`, `cancelled` or `timed_out`.
    pub outcome: String,
    /// Why, where it did not end well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The rows that were sent.
    pub rows: u64,
    /// The bytes of these rows in memory.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
}

/// Where the entries go.
pub trait AuditLog: fmt::Debug + Send + Sync {
    /// Notes an entry. A log that cannot be written must not stop the server; it says so in the server's log.
    fn note(&self, entry: &AuditEntry);
}

/// Writes entries to the process's log, under the target `cambist::audit`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracedAudit;

impl AuditLog for TracedAudit {
    fn note(&self, entry: &AuditEntry) {
        match serde_json::to_string(entry) {
            Ok(line) => tracing::info!(target: "cambist::audit", "{line}"),
            Err(error) => tracing::error!(%error, "an audit entry cannot be written"),
        }
    }
}
