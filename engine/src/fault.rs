//! Places where a test can let the process die.
//!
//! `CAMBIST_KILL_AT=name` or `name:n` in the environment makes the n-th pass of that place kill the process,
//! as `kill -9` does. Builds without debug assertions contain none of this.

/// Every place that [`point`] is called with, in the order in which a run passes them.
pub const POINTS: &[&str] = &[
    "write.staged",
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
];

/// Kills the process here if the environment asks for it.
#[cfg(not(debug_assertions))]
#[inline]
pub fn point(_name: &'static str) {}

/// Kills the process here if the environment asks for it.
#[cfg(debug_assertions)]
pub fn point(name: &'static str) {
    armed::point(name);
}

#[cfg(debug_assertions)]
mod armed {
    use std::process::Command;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Target {
        name: String,
        passes_left: AtomicU64,
    }

    static TARGET: OnceLock<Option<Target>> = OnceLock::new();

    pub(super) fn point(name: &'static str) {
        debug_assert!(super::POINTS.contains(&name), "fault point `{name}` is not listed");
        let Some(target) = TARGET.get_or_init(from_environment) else { return };
        if target.name == name && target.passes_left.fetch_sub(1, Ordering::SeqCst) == 1 {
            die();
        }
    }

    fn from_environment() -> Option<Target> {
        let setting = std::env::var("CAMBIST_KILL_AT").ok()?;
        let (name, pass) = setting.split_once(':').unwrap_or((&setting, "1"));
        Some(Target { name: name.to_owned(), passes_left: AtomicU64::new(pass.parse().ok()?) })
    }

    /// The signal comes from outside, so that nothing of this process runs on the way out.
    fn die() {
        let killed = Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
        if killed.is_err() {
            std::process::abort();
        }
        loop {
            std::thread::park();
        }
    }
}
