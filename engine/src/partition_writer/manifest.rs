//! What a task reports to the driver: the files it staged and what it counted.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, StringArray, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use datafusion::common::{DataFusionError, Result, exec_err};
use serde::{Deserialize, Serialize};

use super::content_hash::ContentHash;
use crate::exact_sum::CurrencySums;
use crate::table::StagedFile;
use crate::task::TaskCounts;

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
    /// The input partition.
    pub task: u32,
    /// What it staged, in the order it was finished.
    pub files: Vec<WrittenFile>,
    /// What it counted.
    pub counts: TaskCounts,
}

/// Returns the schema of manifest rows: the task's number, its manifest as JSON.
pub(super) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("task", DataType::UInt32, false),
        Field::new("manifest", DataType::Utf8, false),
    ]))
}

impl TaskManifest {
    pub(super) fn to_batch(&self) -> Result<RecordBatch> {
        let json = serde_json::to_string(self).map_err(|error| DataFusionError::External(Box::new(error)))?;
        let columns: Vec<arrow::array::ArrayRef> =
            vec![Arc::new(UInt32Array::from(vec![self.task])), Arc::new(StringArray::from(vec![json]))];
        Ok(RecordBatch::try_new(schema(), columns)?)
    }
}

/// Reads the manifests of a run of `tasks` tasks, in task order.
///
/// A task that ran twice reports twice, with equal content; the first report stands.
///
/// # Errors
/// Where a task has not reported, or the rows are no manifests.
pub fn read_manifests(batches: &[RecordBatch], tasks: usize) -> Result<Vec<TaskManifest>> {
    let mut manifests: Vec<Option<TaskManifest>> = vec![None; tasks];
    for batch in batches {
        let numbers = batch.column(0).as_primitive::<UInt32Type>().values();
        let texts = batch.column(1).as_string::<i32>();
        for (number, text) in numbers.iter().zip(texts.iter().flatten()) {
            let manifest =
                serde_json::from_str(text).map_err(|error| DataFusionError::External(Box::new(error)))?;
            match manifests.get_mut(*number as usize) {
                Some(slot) => slot.get_or_insert(manifest),
                None => return exec_err!("manifest of task {number}, expected {tasks} tasks"),
            };
        }
    }
    let missing = manifests.iter().position(Option::is_none);
    if let Some(task) = missing {
        return exec_err!("task {task} of {tasks} has reported no manifest");
    }
    Ok(manifests.into_iter().flatten().collect())
}
