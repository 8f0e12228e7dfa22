//! `StageEnd`: stands where rows leave a task, so that a failure says what it is wherever it happened, and
//! a result that is too large is refused before it fills a memory.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use ballista_core::error::BallistaError;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, stream};

use super::yielding_join::yield_in_joins;
use crate::failure::{FailureKind, TaskFailure};
use crate::fault;
use crate::plan_node::single_child_plan;
use crate::progress::RunProgress;

/// The operator; its rows are those of its input, in the same partitions and order.
#[derive(Debug)]
pub struct StageEnd {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    bytes_max: Option<usize>,
    /// Bytes that have passed, of all partitions in this process.
    bytes: Arc<AtomicUsize>,
}

impl StageEnd {
    /// Ends the stage of `input`; with `bytes_max` no more bytes of rows may pass.
    pub fn new(input: Arc<dyn ExecutionPlan>, bytes_max: Option<usize>) -> Self {
        let properties = Arc::clone(input.properties());
        Self { input, properties, bytes_max, bytes: Arc::default() }
    }

    /// Returns how many bytes of rows may pass.
    pub fn bytes_max(&self) -> Option<usize> {
        self.bytes_max
    }

    #[expect(clippy::unnecessary_wraps, reason = "what operators with one child have in common")]
    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input, self.bytes_max))
    }
}

impl DisplayAs for StageEnd {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes_max {
            Some(bytes) => write!(f, "StageEnd: bytes_max={bytes}"),
            None => f.write_str("StageEnd"),
        }
    }
}

impl ExecutionPlan for StageEnd {
    single_child_plan!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let progress = context.session_config().get_extension::<RunProgress>();
        let input = self.input.execute(partition, context).map_err(carried)?;
        let (bytes, bytes_max) = (Arc::clone(&self.bytes), self.bytes_max);
        let stream = stream::try_unfold(input, move |mut input| {
            let (bytes, progress) = (Arc::clone(&bytes), progress.clone());
            async move {
                let Some(batch) = input.next().await.transpose().map_err(carried)? else {
                    let last = if bytes_max.is_some() { "query.result_end" } else { "query.stage_end" };
                    fault::task_point(last).map_err(DataFusionError::IoError).map_err(carried)?;
                    if let Some(progress) = progress {
                        progress.add_task();
                    }
                    return Ok(None);
                };
                let each = if bytes_max.is_some() { "query.result" } else { "query.passing" };
                fault::task_point(each).map_err(DataFusionError::IoError).map_err(carried)?;
                if let Some(bytes_max) = bytes_max {
                    let of_batch = bytes_of(&batch)?;
                    if bytes.fetch_add(of_batch, Ordering::Relaxed).saturating_add(of_batch) > bytes_max {
                        return Err(too_large(bytes_max).into_error());
                    }
                }
                Ok(Some((batch, input)))
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream)))
    }
}

/// What a result's rows take, whatever else their buffers hold.
fn bytes_of(batch: &RecordBatch) -> Result<usize> {
    let mut bytes = 0;
    for column in batch.columns() {
        bytes += column.to_data().get_slice_memory_size()?;
    }
    Ok(bytes)
}

fn too_large(bytes_max: usize) -> TaskFailure {
    TaskFailure::new(FailureKind::Usage, format!("the result has more than {bytes_max} bytes"))
}

/// Sorts an error while it still has its type: from a task of a cluster only its text comes back.
fn carried(error: DataFusionError) -> DataFusionError {
    // Results of an earlier stage that were lost: Ballista itself must see that.
    if is_of_ballista(&error) { error } else { TaskFailure::of(&error).into_error() }
}

fn is_of_ballista(error: &(dyn StdError + 'static)) -> bool {
    error.is::<BallistaError>() || error.source().is_some_and(is_of_ballista)
}

/// Puts an end to every stage of `plan`: below each exchange, and at the top, where no more than
/// `bytes_max` bytes of rows may come out. Its joins give way to others from then on, so that every stage can
/// be cancelled. Returns the plan and the number of its tasks.
///
/// # Errors
/// Where an operator refuses its new child.
pub fn end_stages(plan: Arc<dyn ExecutionPlan>, bytes_max: usize) -> Result<(Arc<dyn ExecutionPlan>, usize)> {
    let mut tasks = 0;
    let ended = yield_in_joins(plan)?.transform_up(|node| {
        let is_exchange = node.is::<RepartitionExec>()
            || node.is::<CoalescePartitionsExec>()
            || node.is::<SortPreservingMergeExec>();
        let [input] = node.children()[..] else { return Ok(Transformed::no(node)) };
        if !is_exchange {
            return Ok(Transformed::no(node));
        }
        tasks += input.properties().partitioning.partition_count();
        let end: Arc<dyn ExecutionPlan> = Arc::new(StageEnd::new(Arc::clone(input), None));
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        Ok(Transformed::yes(node.replace_children(vec![end], options)?))
    })?;
    tasks += ended.data.properties().partitioning.partition_count();
    Ok((Arc::new(StageEnd::new(ended.data, Some(bytes_max))), tasks))
}
