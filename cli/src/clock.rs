//! The clock and the names that are made from it: read here, passed in everywhere else.

use std::process;

use jiff::Timestamp;

/// Returns the present instant.
#[expect(clippy::disallowed_methods, reason = "the command line is where the clock is read")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// Returns a run id: sortable by time, unique by nanosecond and process.
pub(crate) fn run_id(now: Timestamp) -> String {
    let nanosecond = now.subsec_nanosecond().unsigned_abs();
    format!("{}-{nanosecond:08x}{:x}", now.strftime("%Y%m%dT%H%M%SZ"), process::id())
}

/// Returns the machine's cores.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
