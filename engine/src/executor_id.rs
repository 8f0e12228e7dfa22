//! The ids of executors: one per start of a process, and telling which version it runs.
//!
//! Plans are understood only by the version that made them, so a scheduler takes no others; an executor that
//! was refused says both versions.

/// What this build's plans are understood by.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Stands between an id and the version.
const SEPARATOR: char = '@';

/// Ends every refusal for another version.
const MISMATCH: &str = "expected the same version";

/// Makes the id of an executor of this build from a name that no other process has.
pub fn executor_id(unique: &str) -> String {
    format!("{unique}{SEPARATOR}{VERSION}")
}

/// Returns why an executor of this id may not join, if its version is another.
pub fn version_mismatch(executor_id: &str) -> Option<String> {
    let version = executor_id.split_once(SEPARATOR).map(|(_, version)| version);
    (version != Some(VERSION)).then(|| {
        format!(
            "the executor runs cambist {}, the scheduler {VERSION}; {MISMATCH}",
            version.unwrap_or("of an unknown version")
        )
    })
}

/// Tells whether an error that came from a scheduler is a refusal for another version.
pub fn is_version_mismatch(error: &str) -> bool {
    error.contains(MISMATCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_version_is_taken() {
        assert_eq!(version_mismatch(&executor_id("a")), None);
        assert_eq!(
            version_mismatch("a@0.0.9").unwrap(),
            format!("the executor runs cambist 0.0.9, the scheduler {VERSION}; expected the same version")
        );
        assert!(version_mismatch("a").is_some());
    }
}
