//! Reads Ballista's record of a plan: how far it is, whether its result may be trusted, why it failed.

use ballista_core::serde::protobuf::PartitionLocation;
use ballista_core::serde::protobuf::failed_task::FailedReason;
use ballista_core::serde::protobuf::task_status::Status as TaskStatus;
use ballista_scheduler::state::execution_graph::ExecutionGraph;
use ballista_scheduler::state::execution_stage::ExecutionStage;
use cambist_engine::failure::{FailureKind, TaskFailure};
use datafusion::physical_plan::metrics::MetricsSet;

/// The counters by which our readers report progress, as the metrics of a task carry them.
const BYTES_METRIC: &str = "input_bytes";
const RECORDS_METRIC: &str = "input_records";

/// How far a plan is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) tasks_done: u64,
    pub(super) tasks_running: u64,
    pub(super) bytes: u64,
    pub(super) records: u64,
}

pub(super) fn reach(graph: &dyn ExecutionGraph) -> Reach {
    let mut reach = Reach::default();
    for stage in graph.stages().values() {
        let (done, running, metrics): (usize, usize, Option<&[MetricsSet]>) = match stage {
            ExecutionStage::Running(stage) => {
                (stage.successful_tasks(), stage.running_tasks().len(), stage.stage_metrics.as_deref())
            }
            ExecutionStage::Successful(stage) => (stage.partitions, 0, Some(stage.stage_metrics.as_slice())),
            _ => continue,
        };
        reach.tasks_done += done as u64;
        reach.tasks_running += running as u64;
        for set in metrics.into_iter().flatten() {
            reach.bytes += sum(set, BYTES_METRIC);
            reach.records += sum(set, RECORDS_METRIC);
        }
    }
    reach
}

fn sum(set: &MetricsSet, name: &str) -> u64 {
    set.sum_by_name(name).map_or(0, |value| value.as_usize() as u64)
}

/// Tells why the result of a finished plan of several stages may not be trusted: Ballista has run one of its
/// stages again, and can then have counted rows twice.
pub(super) fn distrust(graph: &dyn ExecutionGraph) -> Option<String> {
    graph.stages().values().find_map(|stage| {
        let (id, attempt) = match stage {
            ExecutionStage::Successful(stage) => (stage.stage_id, stage.stage_attempt_num),
            other => return Some(format!("a stage of the finished plan is {}", other.variant_name())),
        };
        (attempt > 0).then(|| format!("stage {id} was run again"))
    })
}

/// Leaves out the results of tasks that were run again because their executor was lost: Ballista lists them
/// beside those of the tasks that took their place.
pub(super) fn standing(
    locations: Vec<PartitionLocation>,
    graph: &dyn ExecutionGraph,
) -> Vec<PartitionLocation> {
    let stands = |location: &PartitionLocation| {
        // What Ballista calls the map partition is the number of the task.
        let task = location.map_partition_id as usize;
        let stage = location.partition_id.as_ref().map(|partition| partition.stage_id as usize);
        let infos = stage.and_then(|stage| graph.stages().get(&stage)).and_then(ExecutionStage::task_infos);
        infos
            .and_then(|infos| infos.get(task))
            .is_none_or(|info| matches!(info.task_status, TaskStatus::Successful(_)))
    };
    locations.into_iter().filter(stands).collect()
}

/// Why a submission came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Setback {
    /// A task failed.
    Task(TaskFailure),
    /// Executors or their results were lost, or nothing moved: the plan itself is not to blame.
    Lost(String),
}

/// Classifies what Ballista gives as a failed plan's error.
pub(super) fn setback(error: &str, graph: Option<&dyn ExecutionGraph>, executors_lost: bool) -> Setback {
    if let Some(failure) = TaskFailure::in_text(error) {
        return Setback::Task(failure);
    }
    let failed_task = graph.and_then(failed_task);
    match failed_task {
        Some(FailedReason::IoError(_)) => {
            Setback::Task(TaskFailure { kind: FailureKind::Transient, message: error.to_owned(), hint: None })
        }
        Some(
            FailedReason::FetchPartitionError(_)
            | FailedReason::ExecutorLost(_)
            | FailedReason::ResultLost(_)
            | FailedReason::TaskKilled(_),
        ) => Setback::Lost(error.to_owned()),
        None if executors_lost => Setback::Lost(error.to_owned()),
        Some(FailedReason::ExecutionError(_)) | None => {
            Setback::Task(TaskFailure { kind: FailureKind::Internal, message: error.to_owned(), hint: None })
        }
    }
}

/// Returns the reason of a task that failed by itself; the others of its stage were then stopped.
fn failed_task(graph: &dyn ExecutionGraph) -> Option<FailedReason> {
    let infos = graph.stages().values().filter_map(ExecutionStage::task_infos).flatten();
    let mut reasons = infos.filter_map(|info| match &info.task_status {
        TaskStatus::Failed(failed) => failed.failed_reason.clone(),
        _ => None,
    });
    let by_itself = |reason: &FailedReason| !matches!(reason, FailedReason::TaskKilled(_));
    reasons.find(by_itself)
}
