//! Places where a test can let something go wrong.
//!
//! `CAMBIST_FAULT=point:action[:n]` in the environment does `action` at the n-th pass of that point, once;
//! with `*` for n, at every pass. Several are separated by commas. The actions:
//!
//! - `kill` ends the process as `kill -9` does, `pause` stops it as SIGSTOP does; `panic` panics;
//! - `io_error` and `enospc` are what a flaky and a full disk give; only the points of a task raise them.
//!
//! With `CAMBIST_FAULT_TOKEN=path` it happens in one process only: the first one to create that file. With
//! `CAMBIST_FAULT_LOG=path` every firing adds a line to that file. `CAMBIST_KILL_AT=point[:n]` is short for
//! the action `kill`. Builds without debug assertions contain none of this.

#[cfg(debug_assertions)]
mod armed;
#[cfg(test)]
#[cfg(debug_assertions)]
mod tests;

use std::io;

/// The points inside a task, in the order in which it passes them.
const TASK_POINTS: &[&str] = &[
    "task.scanning",
    "task.writing",
    "task.before_manifest",
    "task.after_manifest",
    "query.passing",
    "query.stage_end",
    "query.result",
    "query.result_end",
];

/// Every point, in the order in which a run passes them first.
pub const POINTS: &[&str] = &[
    TASK_POINTS[0],
    TASK_POINTS[1],
    "write.staged",
    TASK_POINTS[2],
    TASK_POINTS[3],
    "commit.before_record",
    "commit.after_record",
    "publish.quarantine_file",
    "publish.quarantine_files",
    "publish.quarantine_record",
    "publish.quarantine_manifest",
    "publish.file",
    "publish.files",
    "publish.manifest",
    "publish.manifests",
    "publish.superseded_file",
    "publish.superseded",
    "publish.staging",
    "publish.ready",
    "publish.before_marker",
    "publish.after_marker",
    "publish.checkpoint",
    "gc.history",
    "gc.staging",
    // A query has other tasks; only the driver of a cluster fetches what tasks have left.
    TASK_POINTS[4],
    TASK_POINTS[5],
    TASK_POINTS[6],
    TASK_POINTS[7],
    "cluster.fetching",
];

/// Does here what the environment asks for.
#[cfg(not(debug_assertions))]
#[inline]
pub fn point(_name: &'static str) {}

/// Does here what the environment asks for.
#[cfg(debug_assertions)]
pub fn point(name: &'static str) {
    // The environment's setting was refused if it asks for an error here.
    let _ = armed::pass(name);
}

/// Does here what the environment asks for, inside a task.
///
/// # Errors
/// The one that the environment asks for.
#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn task_point(_name: &'static str) -> io::Result<()> {
    Ok(())
}

/// Does here what the environment asks for, inside a task.
///
/// # Errors
/// The one that the environment asks for.
#[cfg(debug_assertions)]
pub(crate) fn task_point(name: &'static str) -> io::Result<()> {
    debug_assert!(TASK_POINTS.contains(&name), "`{name}` is not a point of a task");
    armed::pass(name)
}
