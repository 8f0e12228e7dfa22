//! The names of a ledger's objects, relative to its folder.
//!
//! ```text
//! 2024-05-01.json                                first payload of a day
//! _versions/2024-05-01/<known_at>-<sha12>.json   a later, different payload of the day
//! _ledger/2024/<known_at>-<stem>-<sha12>.json    one entry per admission
//! _approvals/2024/<at>-<sha12>.json              one per decision of a person
//! _index/<recorded_at>-<sha12>.parquet           what all of these hold, to read them fast
//! ```
//!
//! Names that begin with `_` are passed over by everything that reads lakes, so that a plain reader sees one
//! file a day.

use cambist_udfs::rate::{InstantMicros, Snapshot};
use sha2::{Digest, Sha256};

pub(super) const VERSIONS: &str = "_versions";
pub(super) const ENTRIES: &str = "_ledger";
pub(super) const APPROVALS: &str = "_approvals";
pub(super) const INDEX: &str = "_index";

/// What a path below the folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A payload that any reader sees.
    Payload,
    /// A payload that only its entry admits.
    Version,
    Entry,
    Approval,
    Index,
    /// Somebody else's.
    Other,
}

impl Part {
    pub(super) fn of(relative: &str) -> Self {
        match relative.split_once('/').map_or("", |(folder, _)| folder) {
            VERSIONS => Self::Version,
            ENTRIES => Self::Entry,
            APPROVALS => Self::Approval,
            INDEX => Self::Index,
            _ if relative.is_empty() || relative.split('/').any(|name| name.starts_with(['_', '.'])) => {
                Self::Other
            }
            _ => Self::Payload,
        }
    }
}

/// What a payload is called without its extension: its day, or its provider and the days that it spans.
pub(super) fn stem(snapshots: &[Snapshot]) -> Option<String> {
    let (first, last) = (snapshots.first()?, snapshots.last()?);
    if first.rate_date == last.rate_date {
        return Some(first.rate_date.to_string());
    }
    Some(format!("{}_{}_{}", plain(&first.provider), first.rate_date, last.rate_date))
}

/// Returns the stem of a payload's path.
pub(super) fn stem_of(relative: &str) -> &str {
    match relative.strip_prefix(VERSIONS).and_then(|rest| rest.strip_prefix('/')) {
        Some(rest) => rest.split('/').next().unwrap_or(rest),
        None => {
            let name = relative.rsplit('/').next().unwrap_or(relative);
            name.split('.').next().unwrap_or(name)
        }
    }
}

/// Returns the name that dates a payload whose document does not bear a date.
pub(super) fn dating_name(relative: &str) -> String {
    let extension =
        relative.rsplit('/').next().and_then(|name| name.split_once('.')).map_or("", |(_, rest)| rest);
    format!("{}.{extension}", stem_of(relative))
}

/// Returns what follows the first dot of a file's name, or `json`.
pub(super) fn extension(file_name: &str) -> &str {
    let extension = file_name.split_once('.').map_or("", |(_, rest)| rest);
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.';
    let is_usable = !extension.is_empty() && extension.len() <= 16 && extension.bytes().all(is_plain);
    if is_usable { extension } else { "json" }
}

pub(super) fn first_payload(stem: &str, extension: &str) -> String {
    format!("{stem}.{extension}")
}

pub(super) fn version(stem: &str, known_at: InstantMicros, sha256: &str, extension: &str) -> String {
    format!("{VERSIONS}/{stem}/{}-{}.{extension}", compact(known_at), short(sha256))
}

pub(super) fn entry(stem: &str, provider: &str, known_at: InstantMicros, sha256: &str) -> String {
    let at = compact(known_at);
    // Two providers may publish the same bytes for a day only in theory; their entries are apart all the same.
    format!("{ENTRIES}/{}/{at}-{stem}-{}-{}.json", year(&at), plain(provider), short(sha256))
}

pub(super) fn approval(at: InstantMicros, document: &[u8]) -> String {
    let at = compact(at);
    format!("{APPROVALS}/{}/{at}-{}.json", year(&at), short(&sha256_of(document)))
}

pub(super) fn index(recorded_at: InstantMicros, document: &[u8]) -> String {
    format!("{INDEX}/{}-{}.parquet", compact(recorded_at), short(&sha256_of(document)))
}

/// Returns the lower-case hex sha256 of `bytes`.
pub(super) fn sha256_of(bytes: &[u8]) -> String {
    crate::rates::reference::hex(&Sha256::digest(bytes))
}

/// An instant of fixed width, so that names sort by time: `20240501T101500000000Z`.
pub(super) fn compact(at: InstantMicros) -> String {
    match jiff::Timestamp::from_microsecond(at.0) {
        Ok(timestamp) => timestamp.strftime("%Y%m%dT%H%M%S%6fZ").to_string(),
        Err(_) => format!("{:020}", at.0),
    }
}

fn year(compact: &str) -> &str {
    compact.get(..4).unwrap_or(compact)
}

fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

/// A provider's name as part of a file's: what is neither letter nor digit becomes `-`.
fn plain(provider: &str) -> String {
    provider.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_tell_what_they_are() {
        let cases = [
            ("2024-05-01.json", Part::Payload, "2024-05-01", "2024-05-01.json"),
            ("2024/05/2024-05-01.json.gz", Part::Payload, "2024-05-01", "2024-05-01.json.gz"),
            (
                "_versions/2024-05-01/20240502T000000000000Z-abc.json",
                Part::Version,
                "2024-05-01",
                "2024-05-01.json",
            ),
            ("_ledger/2024/x.json", Part::Entry, "x", "x.json"),
            ("_dead_letter/x.json", Part::Other, "x", "x.json"),
            ("a/.b/x.json", Part::Other, "x", "x.json"),
        ];
        for (path, part, stem, dating) in cases {
            assert_eq!((Part::of(path), stem_of(path)), (part, stem), "{path}");
            if part == Part::Payload {
                assert_eq!(dating_name(path), dating);
            }
        }
        assert_eq!(dating_name("_versions/2024-05-01/20240502T000000Z-abc.csv"), "2024-05-01.csv");
    }

    #[test]
    fn names_sort_by_time_and_hold_no_odd_characters() {
        let at = InstantMicros(1_714_558_500_000_001);
        let sha = sha256_of(b"x");
        assert_eq!(
            entry("2024-05-01", "manual:VES", at, &sha),
            "_ledger/2024/20240501T101500000001Z-2024-05-01-manual-VES-2d711642b726.json"
        );
        assert_eq!(
            version("2024-05-01", at, &sha, "json"),
            "_versions/2024-05-01/20240501T101500000001Z-2d711642b726.json"
        );
        assert_eq!((extension("a.csv.gz"), extension("a"), extension("a.J/x")), ("csv.gz", "json", "json"));
    }
}
