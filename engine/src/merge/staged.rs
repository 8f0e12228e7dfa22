//! The files of a run's first pass: which partitions have too many, and their merge before the commit.

use std::collections::BTreeMap;

use super::tasks::{MergeFile, MergeSet};
use crate::partition_writer::WrittenFile;
use crate::table::{StagedAs, Staging, TableError, TableKind};

/// What is to become of a run's files.
#[derive(Clone, Debug, Default)]
pub struct StagedLayout {
    /// Files of partitions that have few enough, and of the quarantine: committed as they are.
    pub kept: Vec<WrittenFile>,
    /// Files that are merged.
    pub merged: Vec<WrittenFile>,
    /// The same by partition.
    pub sets: Vec<MergeSet>,
}

/// Sorts out the partitions of which `files` holds more than `files_max` files; each is to become files of
/// about `file_bytes`, but at most `files_max`.
///
/// Only files that were staged to be read ([`Staging::create_readable`]) can be merged; the others are kept.
/// `files` are in the order of their tasks, and so are the rows of what becomes of them.
///
/// # Errors
/// Where a file's place is no valid path.
pub fn staged_layout(
    files: Vec<WrittenFile>,
    staging: &Staging,
    files_max: usize,
    file_bytes: u64,
) -> Result<StagedLayout, TableError> {
    let mut by_partition: BTreeMap<String, Vec<WrittenFile>> = BTreeMap::new();
    let mut layout = StagedLayout::default();
    for file in files {
        let is_readable = matches!(file.staged.staged, StagedAs::Local { .. });
        if is_readable && file.staged.table == TableKind::Main {
            by_partition.entry(file.partition.clone()).or_default().push(file);
        } else {
            layout.kept.push(file);
        }
    }
    for (partition, files) in by_partition {
        if files.len() <= files_max.max(1) {
            layout.kept.extend(files);
            continue;
        }
        let bytes: u64 = files.iter().map(|file| file.staged.bytes).sum();
        let outputs = usize::try_from(bytes.div_ceil(file_bytes.max(1))).unwrap_or(usize::MAX);
        let sources = files.iter().map(|file| merge_file(file, staging)).collect::<Result<_, _>>()?;
        layout.sets.push(MergeSet {
            owner: String::new(),
            partition,
            files: sources,
            outputs: outputs.clamp(1, files_max.max(1)),
        });
        layout.merged.extend(files);
    }
    Ok(layout)
}

fn merge_file(file: &WrittenFile, staging: &Staging) -> Result<MergeFile, TableError> {
    let place = match &file.staged.staged {
        StagedAs::Local { path } => path,
        StagedAs::Multipart { .. } => &file.staged.path,
    };
    Ok(MergeFile { location: staging.root().join(place)?.path().clone(), bytes: file.staged.bytes })
}
