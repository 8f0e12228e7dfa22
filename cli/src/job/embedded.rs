//! A job in this process, with its clock, cores and stores.

use std::sync::Arc;

use cambist_jobs::context::{RunContext, Unobserved};
use cambist_jobs::error::Result;
use cambist_jobs::registry::PreparedJob;
use cambist_jobs::{InProcess, RunProgress, Stores};
use serde_json::Value;

use crate::clock;
use crate::progress::{ProgressLine, REDRAW};

/// Runs `job` to its end.
pub(super) async fn run(job: &dyn PreparedJob, is_quiet: bool) -> Result<Value> {
    let now = clock::now();
    let context = RunContext {
        run_id: clock::run_id(now),
        attempt: 1,
        now,
        stores: Stores::new(),
        execution: Arc::new(InProcess { cores: clock::cores() }),
        progress: RunProgress::default(),
        observer: Arc::new(Unobserved),
    };
    shown(&context.progress, is_quiet, job.run(&context)).await
}

/// Shows `progress` while `work` goes on.
async fn shown<T>(progress: &RunProgress, is_quiet: bool, work: impl Future<Output = T>) -> T {
    let mut line = ProgressLine::new(is_quiet);
    if line.is_hidden() {
        return work.await;
    }
    let mut redraw = tokio::time::interval(REDRAW);
    tokio::pin!(work);
    loop {
        tokio::select! {
            result = &mut work => {
                line.finish();
                return result;
            }
            _ = redraw.tick() => line.show(progress.counts(), None),
        }
    }
}
