//! Which of a table's files are merged, and how the files of each batch are written again.

use std::collections::{BTreeMap, BTreeSet};

use cambist_engine::merge::{MergeFile, MergeSet, merge_columns};
use cambist_engine::rate_join::TargetCurrency;
use cambist_engine::table::{LiveFile, TableKind};
use datafusion::arrow::datatypes::SchemaRef;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use serde::Deserialize;

use super::options::CompactConfig;
use crate::error::{JobError, Result};
use crate::table_reader::{Part, TableReader};

/// Footers that are read at once.
const FOOTERS_AT_ONCE: usize = 16;

/// What will be merged.
pub(super) struct CompactPlan {
    /// The files, by batch and partition.
    pub(super) sets: Vec<MergeSet>,
    /// The same files as the log knows them.
    pub(super) files: Vec<LiveFile>,
    /// The batches, by how their rows are written.
    pub(super) kinds: Vec<RowKind>,
}

/// Batches whose rows are written alike.
pub(super) struct RowKind {
    /// The columns of their files.
    pub(super) columns: SchemaRef,
    /// The currencies whose totals are kept.
    pub(super) targets: Vec<TargetCurrency>,
    /// The batches.
    pub(super) batches: BTreeSet<String>,
}

/// Plans the compaction of the live files of `reader`'s table.
pub(super) async fn plan(reader: &TableReader, config: &CompactConfig) -> Result<CompactPlan> {
    let mut groups: BTreeMap<(String, String), Vec<LiveFile>> = BTreeMap::new();
    for file in reader.live_files(TableKind::Main) {
        let is_meant = config.partition.as_deref().is_none_or(|partition| file.partition() == partition);
        if is_meant && file.bytes < config.target_bytes {
            groups.entry((file.batch.clone(), file.partition().to_owned())).or_default().push(file);
        }
    }
    let mut plan = CompactPlan { sets: Vec::new(), files: Vec::new(), kinds: Vec::new() };
    for ((owner, partition), files) in groups {
        let bytes: u64 = files.iter().map(|file| file.bytes).sum();
        let outputs = usize::try_from(bytes.div_ceil(config.target_bytes)).unwrap_or(usize::MAX).max(1);
        // What would not become fewer would be merged again by every run.
        if files.len() <= config.files_max || files.len() <= outputs {
            continue;
        }
        let sources = files.iter().map(|file| merge_file(reader, file)).collect::<Result<_>>()?;
        plan.sets.push(MergeSet { owner, partition, files: sources, outputs });
        plan.files.extend(files);
    }
    plan.kinds = row_kinds(reader, &plan.files).await?;
    Ok(plan)
}

fn merge_file(reader: &TableReader, file: &LiveFile) -> Result<MergeFile> {
    let place = reader.table.location(TableKind::Main).join(&file.path);
    let place = place.map_err(|error| JobError::data(error.to_string()))?;
    Ok(MergeFile { location: place.path().clone(), bytes: file.bytes })
}

/// Sorts batches by the columns of their files, of which one stands for all, and by their targets.
async fn row_kinds(reader: &TableReader, files: &[LiveFile]) -> Result<Vec<RowKind>> {
    let mut first_files: BTreeMap<&str, &LiveFile> = BTreeMap::new();
    for file in files {
        first_files.entry(&file.batch).or_insert(file);
    }
    // Boxed: a closure over borrowed files makes the whole future impossible to send between threads.
    let footers: Vec<_> = first_files.into_values().map(|file| row_kind(reader, file).boxed()).collect();
    let mut kinds: Vec<RowKind> = Vec::new();
    let mut found = stream::iter(footers).buffered(FOOTERS_AT_ONCE);
    while let Some((batch, columns, targets)) = found.try_next().await? {
        match kinds.iter_mut().find(|kind| kind.columns == columns && kind.targets == targets) {
            Some(kind) => drop(kind.batches.insert(batch)),
            None => kinds.push(RowKind { columns, targets, batches: BTreeSet::from([batch]) }),
        }
    }
    Ok(kinds)
}

async fn row_kind(reader: &TableReader, file: &LiveFile) -> Result<(String, SchemaRef, Vec<TargetCurrency>)> {
    let (columns, _) = reader.read(TableKind::Main, file, Part::default()).await?;
    Ok((file.batch.clone(), merge_columns(&columns), targets(reader, file)?))
}

/// What a merge must know of a batch's account, whichever job has written it.
#[derive(Deserialize)]
struct KeptTotals {
    targets: Vec<TargetCurrency>,
}

fn targets(reader: &TableReader, file: &LiveFile) -> Result<Vec<TargetCurrency>> {
    let damaged =
        |detail: String| JobError::data(format!("the log's account of batch `{}`: {detail}", file.batch));
    let batch = reader.table.state().batch(&file.batch).ok_or_else(|| damaged("missing".to_owned()))?;
    let kept: KeptTotals =
        serde_json::from_value(batch.details.clone()).map_err(|error| damaged(error.to_string()))?;
    Ok(kept.targets)
}
