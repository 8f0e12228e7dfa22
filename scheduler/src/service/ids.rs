//! The names of runs and of scheduler processes.

use std::hash::{BuildHasher, Hasher, RandomState};

use jiff::Timestamp;

/// Leaves room for suffixes in file names, which have at most 255 bytes.
const LENGTH_MAX: usize = 100;

/// Tells whether `id` can name a run: it becomes part of paths and URLs as it stands.
pub(super) fn is_valid(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    id.len() <= LENGTH_MAX
        && id.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && id.bytes().all(is_plain)
}

/// Returns a new id that sorts by time.
pub(super) fn new(now: Timestamp) -> String {
    // The standard library's only source of randomness that needs no further crate.
    let random = RandomState::new().build_hasher().finish();
    format!("{}-{random:016x}", now.strftime("%Y%m%dT%H%M%SZ"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_ids_are_valid_and_differ() {
        let now = Timestamp::UNIX_EPOCH;
        assert!(is_valid(&new(now)), "{}", new(now));
        assert_ne!(new(now), new(now));
    }

    #[test]
    fn what_leaves_a_folder_or_a_url_is_no_id() {
        for id in ["", "..", "a/b", "a b", "-a", "_a", ".a", "a.b", "ä", "a%2f", &"a".repeat(101)] {
            assert!(!is_valid(id), "{id}");
        }
        for id in ["a", "A-1_b", "2024-05-01", &"a".repeat(100)] {
            assert!(is_valid(id), "{id}");
        }
    }
}
