//! What every operator of ours has in common: one child, whose partitioning and order it keeps.

/// Implements the structural half of `ExecutionPlan` for an operator with the fields `input` and
/// `properties` and a method `with_input(&self, Arc<dyn ExecutionPlan>) -> Result<Self>`.
///
/// An operator that `keeps_order` may get its input sorted by the planner where its output is to be sorted;
/// `properties` must then tell that order.
macro_rules! single_child_plan {
    () => {
        $crate::plan_node::single_child_plan!(keeps_order: true);
    };
    (keeps_order: $keeps_order:literal) => {
        fn name(&self) -> &str {
            Self::static_name()
        }

        fn properties(&self) -> &std::sync::Arc<datafusion::physical_plan::PlanProperties> {
            &self.properties
        }

        fn children(&self) -> Vec<&std::sync::Arc<dyn ExecutionPlan>> {
            vec![&self.input]
        }

        fn maintains_input_order(&self) -> Vec<bool> {
            vec![$keeps_order]
        }

        fn benefits_from_input_partitioning(&self) -> Vec<bool> {
            vec![false]
        }

        fn apply_expressions(
            &self,
            _visit: &mut dyn FnMut(
                &std::sync::Arc<dyn datafusion::physical_expr::PhysicalExpr>,
            ) -> datafusion::common::Result<
                datafusion::common::tree_node::TreeNodeRecursion,
            >,
        ) -> datafusion::common::Result<datafusion::common::tree_node::TreeNodeRecursion> {
            Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
        }

        fn replace_children(
            self: std::sync::Arc<Self>,
            mut children: Vec<std::sync::Arc<dyn ExecutionPlan>>,
            _options: datafusion::physical_plan::execution_plan::ReplaceChildrenOptions,
        ) -> datafusion::common::Result<std::sync::Arc<dyn ExecutionPlan>> {
            let (Some(input), true) = (children.pop(), children.is_empty()) else {
                return datafusion::common::internal_err!("{} has one child", self.name());
            };
            Ok(std::sync::Arc::new(self.with_input(input)?))
        }

        fn with_new_children(
            self: std::sync::Arc<Self>,
            children: Vec<std::sync::Arc<dyn ExecutionPlan>>,
        ) -> datafusion::common::Result<std::sync::Arc<dyn ExecutionPlan>> {
            use datafusion::physical_plan::execution_plan as plan;
            let recompute = plan::ChildrenPropertiesMode::Recompute;
            self.replace_children(children, plan::ReplaceChildrenOptions::new(recompute))
        }
    };
}

pub(crate) use single_child_plan;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::{ExecutionPlan, Partitioning, PlanProperties};

/// Returns the properties of an operator that yields `schema` in as many partitions as its input.
pub(crate) fn properties_over(input: &Arc<dyn ExecutionPlan>, schema: SchemaRef) -> Arc<PlanProperties> {
    let partitions = input.properties().partitioning.partition_count();
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(partitions),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}
