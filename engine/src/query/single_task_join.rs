//! Joins whose build side's rows must be looked at once and not once per task.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinType, Result};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::joins::NestedLoopJoinExec;

/// Makes joins without equalities that also yield build rows by whether any probe row matched run in one
/// task. In one process the partitions of such a join tell one another which build rows matched; tasks of a
/// cluster cannot, and each would yield the others' rows as unmatched. Hash joins are mended by Ballista's
/// planner.
///
/// # Errors
/// Where an operator refuses its new child.
pub fn join_unmatched_once(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let joined = plan.transform_up(|node| {
        let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() else { return Ok(Transformed::no(node)) };
        let is_by_probe_row = matches!(
            join.join_type(),
            JoinType::Inner
                | JoinType::Right
                | JoinType::RightSemi
                | JoinType::RightAnti
                | JoinType::RightMark
        );
        let is_spread = join.right().properties().partitioning.partition_count() > 1;
        if is_by_probe_row || !is_spread {
            return Ok(Transformed::no(node));
        }
        let build = Arc::clone(join.left());
        let probe: Arc<dyn ExecutionPlan> = Arc::new(CoalescePartitionsExec::new(Arc::clone(join.right())));
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        Ok(Transformed::yes(node.replace_children(vec![build, probe], options)?))
    })?;
    Ok(joined.data)
}
