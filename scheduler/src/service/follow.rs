//! Runs that another scheduler drives: read from their records, never touched.

use std::sync::Arc;
use std::time::Duration;

use super::error::ServiceError;
use super::ids;
use super::job_service::{Inner, lock};
use super::records::Written;
use super::run::{Place, Run};
use super::view::RunState;

/// The pauses between looks grow from the first to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// How often a cancellation may be overtaken by the driver's next step.
const CANCEL_TRIES_MAX: u32 = 5;

impl Inner {
    /// Finds a run in memory, or else in the store.
    pub(super) async fn find(self: &Arc<Self>, id: &str) -> Result<Arc<Run>, ServiceError> {
        if let Some(known) = self.known(id) {
            return Ok(known);
        }
        let not_found = || ServiceError::NotFound { id: id.to_owned() };
        if !ids::is_valid(id) {
            return Err(not_found());
        }
        let log = self.records.log(id).await?.ok_or_else(not_found)?;
        let is_over = log.records.last().is_some_and(|last| last.state.is_terminal());
        if is_over {
            return Ok(Run::of_log(id, log, Place::Past, self.first_version()));
        }
        let run = self.remember(Run::of_log(id, log, Place::Followed, self.first_version()));
        if run.live().place == Place::Followed {
            self.follow(&run);
        }
        Ok(run)
    }

    /// Reads the records of a run that another scheduler drives until it is over.
    pub(super) fn follow(self: &Arc<Self>, run: &Arc<Run>) {
        run.update(|live| {
            live.place = Place::Followed;
            live.waiting = None;
            live.stage = Some("driven by another scheduler".to_owned());
        });
        let (inner, run) = (Arc::clone(self), Arc::clone(run));
        let mut readers = lock(&self.readers);
        while readers.try_join_next().is_some() {}
        readers.spawn(async move {
            let mut pause = PAUSES.0;
            loop {
                if let Err(error) = inner.refresh(&run).await {
                    tracing::warn!(run = run.id, error = %crate::chain(&error), "the run cannot be followed");
                }
                if run.live().place != Place::Followed {
                    return;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        });
    }

    /// Takes over what the records say by now.
    async fn refresh(&self, run: &Run) -> Result<(), ServiceError> {
        if let Some(log) = self.records.log(&run.id).await? {
            let is_news = log.records.last().is_some_and(|last| last.seq > run.live().seq);
            if is_news {
                run.take_over(log);
            }
        }
        Ok(())
    }

    /// Cancels a run that another scheduler drives by taking its next step away.
    pub(super) async fn cancel_followed(self: &Arc<Self>, run: &Arc<Run>) -> Result<(), ServiceError> {
        for _ in 0..CANCEL_TRIES_MAX {
            self.refresh(run).await?;
            let (state, is_past_cancel) = {
                let live = run.live();
                (live.state, live.is_past_cancel)
            };
            if state == RunState::Cancelled {
                return Ok(());
            }
            if is_past_cancel || state.is_terminal() {
                return Err(ServiceError::too_late(&run.id, state.max(RunState::Committed)));
            }
            if self.write(run, RunState::Cancelled, |_| {}).await? == Written::Ours {
                self.finished(run).await;
                return Ok(());
            }
        }
        Err(ServiceError::too_late(&run.id, run.live().state))
    }
}
