//! The names of everything that a table keeps beside its data files.

/// The folder of the log.
pub(super) const COMMITS: &str = "_commits";
/// The folder of files that wait for their commit.
pub(super) const STAGING: &str = "_staging";
/// The folder of superseded files.
pub(super) const HISTORY: &str = "_history";
/// The folder, which does not exist, of files as they were read at some commit: see `SnapshotStore`.
pub(super) const READ: &str = "_read";
/// What the name of a superseded file ends with.
const SUPERSEDED: &str = ".superseded";
/// The folder of what Athena reads.
pub(super) const MANIFESTS: &str = "_symlink_format_manifest";
/// The folder of what sensors read.
pub(super) const READY: &str = "_ready";
/// Everything in a table's folder that is ours and no data.
pub(super) const OURS: [&str; 5] = [COMMITS, STAGING, HISTORY, MANIFESTS, READY];

/// The sibling's name is the table's with this at its end.
pub(super) const QUARANTINE_SUFFIX: &str = "_quarantine";
/// The local publishing lock.
pub(super) const LOCK: &str = "_commits/.lock";
/// Where the newest checkpoint is named, so that a long log need not be listed whole.
pub(super) const LAST_CHECKPOINT: &str = "_commits/_last_checkpoint";

const NUMBER_DIGITS: usize = 20;

/// What an object in the log's folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogName {
    Record(u64),
    Published(u64),
    Checkpoint(u64),
}

impl LogName {
    /// Tells what a file name is; nothing for foreign names, such as the leftovers of killed writers.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (digits, suffix) = name.split_at_checked(NUMBER_DIGITS)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number = digits.parse().ok()?;
        match suffix {
            ".json" => Some(Self::Record(number)),
            ".published" => Some(Self::Published(number)),
            ".checkpoint.json" => Some(Self::Checkpoint(number)),
            _ => None,
        }
    }
}

pub(super) fn record(number: u64) -> String {
    format!("{COMMITS}/{number:020}.json")
}

pub(super) fn published(number: u64) -> String {
    format!("{COMMITS}/{number:020}.published")
}

pub(super) fn checkpoint(number: u64) -> String {
    format!("{COMMITS}/{number:020}.checkpoint.json")
}

/// Sorts right before everything that belongs to commit `number`.
pub(super) fn log_offset(number: u64) -> String {
    format!("{COMMITS}/{number:020}")
}

pub(super) fn manifest(partition: &str) -> String {
    if partition.is_empty() {
        format!("{MANIFESTS}/manifest")
    } else {
        format!("{MANIFESTS}/{partition}/manifest")
    }
}

pub(super) fn ready(partition: &str) -> String {
    format!("{READY}/{partition}.json")
}

/// Where the file `path` lies after commit `number` superseded it.
pub(super) fn history(number: u64, path: &str) -> String {
    format!("{HISTORY}/{number:020}/{path}{SUPERSEDED}")
}

/// Sorts right before everything that commits after `number` have superseded.
pub(super) fn history_after(number: u64) -> String {
    format!("{HISTORY}/{:020}", number.saturating_add(1))
}

/// Returns the path that a file had before it came to the history, of its path below that folder.
pub(super) fn superseded_path(in_history: &str) -> Option<&str> {
    in_history.split_once('/')?.1.strip_suffix(SUPERSEDED)
}

/// The name under which the file `path` is read as it was after commit `number`, wherever it lies by now.
pub(super) fn read_at(number: u64, path: &str) -> String {
    format!("{READ}/{number:020}/{path}")
}

/// Takes a path apart that ends in a name of [`read_at`]: the table's folder, the commit and the file's path.
pub(super) fn parse_read_at(path: &str) -> Option<(&str, u64, &str)> {
    let start = path.rfind("_read/")?;
    // It is a whole segment of the path.
    let root = if start == 0 { "" } else { path[..start].strip_suffix('/')? };
    let (digits, file) = path[start + READ.len() + 1..].split_once('/')?;
    let is_number = digits.len() == NUMBER_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    Some((root, digits.parse().ok().filter(|_| is_number)?, file))
}

pub(super) fn staging(run_id: &str) -> String {
    format!("{STAGING}/{run_id}")
}

/// Where a local file waits for its commit.
pub(super) fn staged(run_id: &str, path: &str) -> String {
    format!("{STAGING}/{run_id}/{path}.staged")
}

/// Where an open upload is remembered until its commit.
pub(super) fn upload_journal(run_id: &str, path: &str) -> String {
    format!("{STAGING}/{run_id}/{path}.upload")
}

/// Where a small object that belongs to the run lies; no hive folder begins with `_`.
pub(super) fn staged_object(run_id: &str, name: &str) -> String {
    format!("{STAGING}/{run_id}/_objects/{name}")
}

/// Returns the partition of a data file's path: its folder, empty for an unpartitioned table.
pub(super) fn partition_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(partition, _)| partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_read() {
        assert_eq!(LogName::parse("00000000000000000042.json"), Some(LogName::Record(42)));
        assert_eq!(LogName::parse("00000000000000000042.published"), Some(LogName::Published(42)));
        assert_eq!(LogName::parse("00000000000000000064.checkpoint.json"), Some(LogName::Checkpoint(64)));
        let foreign =
            ["00000000000000000042.json#1", ".lock", "42.json", "+0000000000000000042.json", "ünïcödé", ""];
        for name in foreign {
            assert_eq!(LogName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn no_superseded_or_staged_name_looks_like_data() {
        assert!(history(7, "dt=2024-05-01/a.parquet").ends_with("a.parquet.superseded"));
        assert!(staged("run", "a.parquet").ends_with("a.parquet.staged"));
    }

    #[test]
    fn a_file_that_is_read_as_of_a_commit_tells_its_table_and_its_path() {
        for root in ["", "lake/processed data", "lake/_read/00000000000000000001/x"] {
            for file in ["a.parquet", "dt=2024-05-01/a_read.parquet"] {
                let slash = if root.is_empty() { "" } else { "/" };
                let path = format!("{root}{slash}{}", read_at(42, file));
                assert_eq!(parse_read_at(&path), Some((root, 42, file)), "{path}");
            }
        }
        for other in ["lake/a.parquet", "lake/x_read/00000000000000000001/a", "_read/1/a", "_read/", ""] {
            assert_eq!(parse_read_at(other), None, "{other}");
        }
    }

    #[test]
    fn what_came_to_the_history_tells_where_it_was() {
        let moved = history(7, "dt=2024-05-01/a.parquet");
        let below = moved.strip_prefix("_history/").unwrap();
        assert_eq!(superseded_path(below), Some("dt=2024-05-01/a.parquet"));
        assert!(history_after(6) < moved && history_after(7) > moved);
    }

    #[test]
    fn the_offset_sorts_right_before_its_commit() {
        assert!(log_offset(42) < record(42) && log_offset(42) < checkpoint(42));
        assert!(log_offset(42) > published(41) && log_offset(42) > record(41));
    }
}
