//! What a task reads, which is what makes it the same task wherever and however often it runs.
//!
//! A cluster gives every task a plan of its own in which its partition is number 0, so a task is known by
//! the parts of files that it reads, and by nothing else.

use std::sync::Arc;

use datafusion::common::{Result, internal_err};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

use crate::record_gate::RecordGate;

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InputRange {
    /// The file, as its store names it.
    pub path: String,
    /// The first byte.
    pub start: u64,
    /// The byte after the last.
    pub end: u64,
}

/// Returns the parts of files that partition `partition` of `plan` reads: those of the scan below its
/// [`RecordGate`], or of the one scan that it leads down to.
///
/// # Errors
/// An internal error where there is no such scan, or it has no such partition.
pub fn inputs_of_scan(plan: &Arc<dyn ExecutionPlan>, partition: usize) -> Result<Vec<InputRange>> {
    match planned_inputs(plan)?.into_iter().nth(partition) {
        Some(inputs) => Ok(inputs),
        None => internal_err!("a scan without partition {partition}"),
    }
}

/// Returns the parts of files that each partition of `plan` reads.
///
/// # Errors
/// An internal error where there is no such scan.
pub fn planned_inputs(plan: &Arc<dyn ExecutionPlan>) -> Result<Vec<Vec<InputRange>>> {
    let start = gate(plan).unwrap_or(plan);
    let Some(scan) = scan(start) else {
        return internal_err!("a task that reads no files: {}", start.name());
    };
    let ranges = |group: &datafusion::datasource::physical_plan::FileGroup| {
        let ranges = group.files().iter().map(|file| {
            let size = file.object_meta.size;
            let (start, end) = match &file.range {
                Some(range) => (unsigned(range.start), unsigned(range.end)),
                None => (0, size),
            };
            InputRange { path: file.object_meta.location.to_string(), start, end }
        });
        ranges.collect()
    };
    Ok(scan.file_groups.iter().map(ranges).collect())
}

/// Returns what stands for the input of each of `tasks` tasks that are known by their places alone.
pub fn inputs_of_places(tasks: usize) -> Vec<Vec<InputRange>> {
    (0..tasks).map(input_of_place).collect()
}

/// Returns what stands for the input of the task at `place`.
pub(crate) fn input_of_place(place: usize) -> Vec<InputRange> {
    vec![InputRange { path: format!("task {place}"), start: 0, end: 0 }]
}

/// Returns the name under which a task's results are known: 32 hex digits of its inputs.
pub(crate) fn task_key(inputs: &[InputRange]) -> String {
    let mut bytes = Vec::new();
    for input in inputs {
        // Lengths first, so that no two lists give the same bytes.
        bytes.extend((input.path.len() as u64).to_le_bytes());
        bytes.extend(input.path.as_bytes());
        bytes.extend(input.start.to_le_bytes());
        bytes.extend(input.end.to_le_bytes());
    }
    format!("{:032x}", XxHash3_128::oneshot(&bytes))
}

/// Raw bytes of `inputs`.
pub(crate) fn input_bytes(inputs: &[InputRange]) -> u64 {
    inputs.iter().map(|input| input.end.saturating_sub(input.start)).sum()
}

fn unsigned(offset: i64) -> u64 {
    u64::try_from(offset).unwrap_or_default()
}

/// A source SQL may read small tables beside the source; only the source is behind a gate.
fn gate(plan: &Arc<dyn ExecutionPlan>) -> Option<&Arc<dyn ExecutionPlan>> {
    if plan.downcast_ref::<RecordGate>().is_some() {
        return Some(plan);
    }
    plan.children().into_iter().find_map(gate)
}

fn scan(plan: &Arc<dyn ExecutionPlan>) -> Option<&FileScanConfig> {
    let mut node = plan;
    loop {
        if let Some(source) = node.downcast_ref::<DataSourceExec>() {
            let source: &dyn std::any::Any = source.data_source().as_ref();
            return source.downcast_ref::<FileScanConfig>();
        }
        let [child] = node.children()[..] else { return None };
        node = child;
    }
}
