//! What a start finds: runs that have not ended are taken up, those of the past are read for lists.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};

use super::error::ServiceError;
use super::job_service::{Inner, lock};
use super::records::OpenRun;
use super::run::{Place, Run};

/// Runs that are looked at at once.
const RUNS_AT_ONCE: usize = 16;
/// A mark without records that is older was left by a submission that never came about.
const MARK_WITHOUT_RECORDS_MAX: Duration = Duration::from_secs(3600);

impl Inner {
    /// Takes up all runs that have not ended, in the order in which they were submitted.
    pub(super) async fn recover(self: &Arc<Self>) -> Result<(), ServiceError> {
        let open = self.records.open_runs().await?;
        let runs: Vec<Option<Arc<Run>>> = stream::iter(open)
            .map(|open| self.recovered(open))
            .buffer_unordered(RUNS_AT_ONCE)
            .collect()
            .await;
        let mut runs: Vec<Arc<Run>> = runs.into_iter().flatten().collect();
        runs.sort_by_key(|run| (run.submitted_at, run.id.clone()));
        for run in runs {
            let over = run.live().place == Place::Past;
            self.take_up(Arc::clone(&run));
            if over {
                self.finished(&run).await;
            }
        }
        self.read_the_past();
        self.pump();
        Ok(())
    }

    /// Reads one run; what cannot be read now is left to the next start.
    async fn recovered(&self, open: OpenRun) -> Option<Arc<Run>> {
        let log = match self.records.log(&open.id).await {
            Ok(log) => log,
            Err(error) => {
                tracing::error!(
                    run = open.id, error = %crate::chain(&error),
                    "the run is not taken up: its records cannot be read"
                );
                return None;
            }
        };
        let Some(log) = log else {
            let age = (self.clock)().duration_since(open.since);
            let is_left_over = Duration::try_from(age).is_ok_and(|age| age > MARK_WITHOUT_RECORDS_MAX);
            if is_left_over && let Err(error) = self.records.unmark_open(&open.id).await {
                tracing::warn!(run = open.id, error = %crate::chain(&error), "a left-over mark stays");
            }
            return None;
        };
        let last = log.records.last()?;
        let place = if last.state.is_terminal() { Place::Past } else { Place::Queued };
        if place == Place::Queued {
            tracing::warn!(
                run = open.id,
                state = last.state.as_str(),
                attempt = last.attempt,
                scheduler = last.scheduler_id,
                at = %last.at,
                "taking up a run that another scheduler process has left"
            );
            self.metrics.recovered.inc();
        }
        Some(Run::of_log(&open.id, log, place, self.first_version()))
    }

    /// Reads the runs of the past in the background: nothing but lists waits for them.
    fn read_the_past(self: &Arc<Self>) {
        let inner = Arc::clone(self);
        lock(&self.readers).spawn(async move {
            match inner.records.done_runs(inner.settings.history_max).await {
                Ok(views) => {
                    for run in views.into_iter().filter_map(Run::of_view) {
                        inner.remember(run);
                    }
                    inner.forget_oldest();
                }
                Err(error) => {
                    tracing::warn!(error = %crate::chain(&error), "runs of the past are not on the list");
                }
            }
            inner.is_past_known.send_replace(true);
        });
    }
}
