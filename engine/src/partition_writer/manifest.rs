//! What a task reports to the driver: what it read, the files it staged and what it counted.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DataFusionError, Result, internal_err};
use serde::{Deserialize, Serialize};

use super::content_hash::ContentHash;
use super::figures::TalliedPartition;
use crate::exact_sum::CurrencySums;
use crate::table::{StagedFile, TableKind};
use crate::task::TaskCounts;
use crate::task_input::InputRange;

/// A staged file and what is in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WrittenFile {
    /// Its hive partition such as `dt=2024-05-01`; empty in the quarantine.
    pub partition: String,
    /// Where it will lie and how it is staged.
    pub staged: StagedFile,
    /// Its rows.
    pub rows: u64,
    /// The order-free hash of its rows.
    pub content_hash: ContentHash,
    /// Sums of `source_amount` by source currency.
    pub source_totals: CurrencySums,
    /// Sums of the converted amounts by target currency.
    pub totals: CurrencySums,
}

/// All that one task did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskManifest {
    /// Its place among the planned tasks; known to the driver only.
    #[serde(skip)]
    pub task: u32,
    /// What it read; this is what tells tasks apart.
    pub inputs: Vec<InputRange>,
    /// What it staged, in the order it was finished.
    pub files: Vec<WrittenFile>,
    /// What it counted.
    pub counts: TaskCounts,
    /// Its rows by partition, written or not, where the spec asks for a tally.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tallied: Option<Vec<TalliedPartition>>,
}

/// Returns the schema of manifest rows: one row per task, its manifest as JSON.
pub(super) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("manifest", DataType::Utf8, false)]))
}

impl TaskManifest {
    pub(super) fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| DataFusionError::External(Box::new(error)))
    }

    pub(super) fn from_json(json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json).map_err(|error| DataFusionError::External(Box::new(error)))
    }

    /// The manifest as the row that the task yields.
    pub(super) fn to_batch(&self) -> Result<RecordBatch> {
        let column = StringArray::from(vec![self.to_json()?]);
        Ok(RecordBatch::try_new(schema(), vec![Arc::new(column)])?)
    }

    /// Tells whether both report the same result: equal counts, equal rows in equal partitions.
    fn agrees_with(&self, other: &Self) -> bool {
        self.counts == other.counts && self.tallied == other.tallied && self.contents() == other.contents()
    }

    fn contents(&self) -> BTreeMap<(TableKind, &str), (u64, ContentHash)> {
        let mut contents = BTreeMap::<_, (u64, ContentHash)>::new();
        for file in &self.files {
            let (rows, hash) = contents.entry((file.staged.table, file.partition.as_str())).or_default();
            *rows += file.rows;
            hash.merge(file.content_hash);
        }
        contents
    }
}

/// Reads the manifests of the tasks whose inputs are `planned`
/// ([`planned_inputs`](crate::task_input::planned_inputs)), in that order.
///
/// A task that ran twice may report twice, with equal content; the first report stands.
///
/// # Errors
/// Where a planned task has not reported, an unknown one has, two reports of one task disagree, or the
/// rows are no manifests.
pub fn read_manifests(batches: &[RecordBatch], planned: &[Vec<InputRange>]) -> Result<Vec<TaskManifest>> {
    let places: HashMap<&[InputRange], usize> =
        planned.iter().enumerate().map(|(place, inputs)| (inputs.as_slice(), place)).collect();
    if places.len() < planned.len() {
        return internal_err!("two of {} tasks were planned over the same input", planned.len());
    }
    let mut manifests: Vec<Option<TaskManifest>> = vec![None; planned.len()];
    let texts = batches.iter().flat_map(|batch| batch.column(0).as_string::<i32>().iter().flatten());
    for text in texts {
        let manifest = TaskManifest::from_json(text.as_bytes())?;
        let Some(&place) = places.get(manifest.inputs.as_slice()) else {
            return internal_err!(
                "a task has reported over {}, which was not planned",
                shown(&manifest.inputs)
            );
        };
        match &manifests[place] {
            None => {
                let task = u32::try_from(place).unwrap_or(u32::MAX);
                manifests[place] = Some(TaskManifest { task, ..manifest });
            }
            Some(first) if first.agrees_with(&manifest) => {}
            Some(_) => {
                return internal_err!(
                    "two runs of the task over {} have given different results",
                    shown(&manifest.inputs)
                );
            }
        }
    }
    if let Some(missing) = manifests.iter().position(Option::is_none) {
        return internal_err!(
            "task {missing} of {}, over {}, has reported no manifest",
            planned.len(),
            shown(&planned[missing])
        );
    }
    Ok(manifests.into_iter().flatten().collect())
}

/// The first input stands for all: a task may read thousands of files.
fn shown(inputs: &[InputRange]) -> String {
    match inputs {
        [] => "no input".to_owned(),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            format!("`{}` bytes {}..{}{more}", first.path, first.start, first.end)
        }
    }
}
