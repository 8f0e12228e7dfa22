//! Whose turn it is when vcores are free.
//!
//! Ballista asks its running plans in the order of a hash map: under many short queries some wait for as long as
//! others come. Here the plan that holds the fewest vcores is asked first, and of several such the oldest. So
//! each query moves on in turn, and a long one leaves room for the short ones that come after it.

use std::collections::HashMap;

use ballista_core::JobId;
use ballista_scheduler::state::execution_graph::ExecutionGraph;
use ballista_scheduler::state::task_manager::JobInfoCache;

/// Returns the plans in the order in which they are asked for tasks. All of them: one whose next stage has become
/// ready shows no task before it is asked.
pub(super) async fn in_turn(plans: &HashMap<JobId, JobInfoCache>) -> Vec<(JobId, JobInfoCache)> {
    let mut turns = Vec::with_capacity(plans.len());
    for (id, plan) in plans {
        let graph = plan.execution_graph.read().await;
        turns.push((vcores_of(&**graph), graph.start_time(), id, plan));
    }
    turns.sort_unstable_by_key(|(vcores, started_at, id, _)| (*vcores, *started_at, *id));
    turns.into_iter().map(|(_, _, id, plan)| (id.clone(), plan.clone())).collect()
}

/// Returns the vcores that a plan's running tasks take.
fn vcores_of(graph: &dyn ExecutionGraph) -> u32 {
    graph.running_tasks().iter().map(|task| graph.task_vcores(task.stage_id, task.task_id).unwrap_or(1)).sum()
}
