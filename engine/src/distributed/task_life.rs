//! `WhileTaskLives`: stands where rows leave a task, and ends them when nobody waits for the task any more.
//!
//! Ballista's writers work in tasks of the runtime that go on when the one that waits for them is dropped.

use std::fmt;
use std::sync::Arc;

use ballista_core::error::BallistaError;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, stream};
use tokio::sync::watch;

use crate::plan_node::single_child_plan;

/// A task lives until this is dropped.
#[derive(Debug)]
pub struct TaskLife(watch::Sender<()>);

impl TaskLife {
    /// Begins a task.
    pub fn new() -> Self {
        Self(watch::Sender::new(()))
    }

    /// Returns `plan` so that its rows end with an error, and all that makes them is dropped, when the task
    /// does not live any more. The plan yields to others often enough to see it, as all of ours do.
    pub fn bind(&self, plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(WhileTaskLives::new(plan, self.0.subscribe()))
    }
}

impl Default for TaskLife {
    fn default() -> Self {
        Self::new()
    }
}

/// The operator. It is made where the task runs, so that it never travels; it has no metrics, since those of a
/// task are counted against those of the plan that was sent.
#[derive(Debug)]
struct WhileTaskLives {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    life: watch::Receiver<()>,
}

impl WhileTaskLives {
    fn new(input: Arc<dyn ExecutionPlan>, life: watch::Receiver<()>) -> Self {
        let properties = Arc::clone(input.properties());
        Self { input, properties, life }
    }

    #[expect(clippy::unnecessary_wraps, reason = "what operators with one child have in common")]
    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input, self.life.clone()))
    }
}

impl DisplayAs for WhileTaskLives {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WhileTaskLives")
    }
}

impl ExecutionPlan for WhileTaskLives {
    single_child_plan!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let state = (input, self.life.clone());
        let stream = stream::try_unfold(state, async |(mut input, mut life)| {
            // Nothing is ever sent: a change is that the sender is gone.
            let batch = tokio::select! {
                biased;
                _ = life.changed() => return Err(cancelled()),
                batch = input.next() => batch.transpose()?,
            };
            Ok(batch.map(|batch| (batch, (input, life))))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream)))
    }
}

fn cancelled() -> DataFusionError {
    DataFusionError::External(Box::new(BallistaError::Cancelled))
}
