//! `InlineJoin`: a join of the source with a small table that stays inside its task.
//!
//! A distributed planner makes the build side of a hash join a stage of its own, and a plan with two
//! stages is not recovered exactly when an executor dies. Here the build side is part of the operator:
//! the plan has one child, the source, and every task reads the small table for itself (the tasks of one
//! process-wide plan share it).

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use crate::plan_node::single_child_plan;
use crate::record_gate::RecordGate;

/// The operator. Its rows are those of the join that it holds, whose probe side is its child.
#[derive(Debug)]
pub struct InlineJoin {
    input: Arc<dyn ExecutionPlan>,
    join: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl InlineJoin {
    /// Holds `join`, an operator with two children of which the first is the small one.
    ///
    /// # Errors
    /// Where it has not two children.
    pub fn try_new(join: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let children = join.children();
        let [_, probe] = children.as_slice() else {
            return Err(internal_datafusion_err!("{} is no join", join.name()));
        };
        let input = Arc::clone(probe);
        let properties = Arc::clone(join.properties());
        Ok(Self { input, join, properties })
    }

    /// Returns the join, with both its sides.
    pub fn join(&self) -> &Arc<dyn ExecutionPlan> {
        &self.join
    }

    /// Returns the same join over another probe side.
    ///
    /// # Errors
    /// Where the probe side's columns do not fit.
    pub fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let build = self.join.children().into_iter().next().cloned();
        let build = build.ok_or_else(|| internal_datafusion_err!("{} has no sides", self.join.name()))?;
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        Self::try_new(Arc::clone(&self.join).replace_children(vec![build, input], options)?)
    }
}

impl DisplayAs for InlineJoin {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one_line = DisplayableExecutionPlan::new(self.join.as_ref()).one_line().to_string();
        write!(f, "InlineJoin: {}", one_line.trim_end())?;
        if let Some(build) = self.join.children().first() {
            let build = DisplayableExecutionPlan::new(build.as_ref()).one_line().to_string();
            write!(f, ", build=[{}]", build.trim_end())?;
        }
        Ok(())
    }
}

impl ExecutionPlan for InlineJoin {
    single_child_plan!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.join.execute(partition, context)
    }
}

/// Puts every join of the source with a small table into an [`InlineJoin`].
#[derive(Debug)]
pub struct InlineBuildSides;

impl PhysicalOptimizerRule for InlineBuildSides {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let inlined = plan.transform_up(|node| {
            let is_inlined = is_join(&node)
                && matches!(node.children().as_slice(), [build, probe] if holds_gate(probe) && !holds_gate(build));
            if !is_inlined {
                return Ok(Transformed::no(node));
            }
            Ok(Transformed::yes(Arc::new(InlineJoin::try_new(node)?) as Arc<dyn ExecutionPlan>))
        })?;
        Ok(inlined.data)
    }

    fn name(&self) -> &str {
        "InlineBuildSides"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn is_join(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<HashJoinExec>().is_some()
        || plan.downcast_ref::<NestedLoopJoinExec>().is_some()
        || plan.downcast_ref::<CrossJoinExec>().is_some()
}

fn holds_gate(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<RecordGate>().is_some() || plan.children().into_iter().any(holds_gate)
}
