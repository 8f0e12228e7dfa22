//! Driving a run: one attempt after the other until a terminal record stands.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use cambist_jobs::context::RunContext;
use cambist_jobs::error::{ErrorKind, JobError, JobFailure};
use futures::FutureExt;
use serde_json::Value;

use super::error::ServiceError;
use super::job_service::Inner;
use super::observe::{ObservedExecution, Observer, Stopped};
use super::records::Written;
use super::run::Run;
use super::view::RunState;

/// The pauses between attempts at a suspended run grow from the first to the second.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How an attempt ended.
enum Attempt {
    /// A terminal record of ours stands.
    Over,
    /// Another scheduler drives the run now.
    Fenced,
    /// Its outcome could not be written down, or what it committed could not be published: another attempt
    /// has to find out.
    Suspended(String),
}

/// What a job's future came to.
enum Outcome {
    Published(Option<Value>),
    Failed(JobFailure),
    Cancelled,
}

impl Inner {
    /// Drives a run to its end, or until another scheduler does.
    pub(super) async fn drive(self: &Arc<Self>, run: &Arc<Run>) {
        let mut pause = PAUSES.0;
        loop {
            let why = match self.attempt(run).await {
                Attempt::Over => return self.finished(run).await,
                Attempt::Fenced => return self.follow(run),
                Attempt::Suspended(why) => why,
            };
            tracing::error!(run = run.id, why, "the run is suspended");
            self.metrics.suspended.inc();
            run.update(|live| {
                live.waiting = Some(format!("suspended: {why}"));
                live.stage = None;
            });
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn attempt(self: &Arc<Self>, run: &Arc<Run>) -> Attempt {
        let (state, attempt) = {
            let live = run.live();
            (live.state, live.attempt)
        };
        if run.is_cancel_requested() && state != RunState::Committed {
            return self.end(run, Outcome::Cancelled).await;
        }
        if attempt >= self.settings.attempts_max {
            return self.end(run, Outcome::Failed(given_up(attempt))).await;
        }
        // The claim: whoever creates it is the run's driver.
        let claimed = self.write(run, state, |record| {
            record.attempt = attempt + 1;
            record.detail = Some("taken up".to_owned());
        });
        match claimed.await {
            Ok(Written::Ours) => {}
            other => return ended(other),
        }
        run.update(|live| {
            live.waiting = None;
            live.stage = Some("planning".to_owned());
        });
        self.metrics.attempts.inc();
        let observer = Arc::new(Observer::new(Arc::clone(self), Arc::clone(run)));
        let outcome = self.run_job(run, Arc::clone(&observer)).await;
        let outcome = match (observer.stopped(), outcome) {
            (Some(Stopped::Fenced), _) => return Attempt::Fenced,
            (Some(Stopped::Store(error)), _) => return Attempt::Suspended(crate::chain(&error)),
            (Some(Stopped::Superseded), _) => Outcome::Published(None),
            // The job may have seen the request before we did.
            (None, Outcome::Failed(_)) if run.is_cancel_requested() => Outcome::Cancelled,
            (None, Outcome::Failed(failure)) if run.live().state == RunState::Committed => {
                // The rows are committed: only what publishes them can be tried again.
                if attempt + 1 < self.settings.attempts_max && failure.kind.is_retryable() {
                    return Attempt::Suspended(failure.to_string());
                }
                Outcome::Failed(failure)
            }
            (None, outcome) => outcome,
        };
        self.end(run, outcome).await
    }

    /// Runs the job's future to its end, to its panic, or to its cancellation.
    async fn run_job(self: &Arc<Self>, run: &Arc<Run>, observer: Arc<Observer>) -> Outcome {
        let job = match (self.prepare)(&run.job, Value::Object(run.options.clone())) {
            Ok(job) => job,
            Err(error) => return Outcome::Failed((&error).into()),
        };
        let context = RunContext {
            run_id: run.id.clone(),
            attempt: run.live().attempt,
            now: run.submitted_at,
            stores: self.stores.clone(),
            execution: Arc::new(ObservedExecution::new(Arc::clone(&self.execution), Arc::clone(run))),
            progress: run.progress.clone(),
            observer,
        };
        let work = AssertUnwindSafe(job.run(&context)).catch_unwind();
        tokio::select! {
            biased;
            () = run.cancel_requested() => Outcome::Cancelled,
            done = work => match done {
                Ok(Ok(report)) => Outcome::Published(Some(report)),
                Ok(Err(error)) => Outcome::Failed((&error).into()),
                Err(panic) => Outcome::Failed(panicked(panic.as_ref())),
            },
        }
    }

    async fn end(&self, run: &Arc<Run>, outcome: Outcome) -> Attempt {
        let counts = run.counts();
        let written = match outcome {
            Outcome::Published(report) => {
                let publish = self.write(run, RunState::Published, |record| {
                    record.counts = Some(counts);
                    record.report = report;
                });
                publish.await
            }
            Outcome::Failed(failure) => {
                let fail = self.write(run, RunState::Failed, |record| {
                    record.counts = Some(counts);
                    record.error = Some(failure);
                });
                fail.await
            }
            Outcome::Cancelled => {
                self.write(run, RunState::Cancelled, |record| record.counts = Some(counts)).await
            }
        };
        ended(written)
    }

    /// Notes for lists and the next start that a run is over.
    pub(super) async fn finished(self: &Arc<Self>, run: &Arc<Run>) {
        let view = self.view(run);
        tracing::info!(
            run = run.id,
            state = view.state.as_str(),
            seconds = view.elapsed_seconds,
            "run ended"
        );
        self.metrics.finished(&view);
        if let Err(error) = self.records.mark_done(&view, run.submitted_at).await {
            // The next start sees from the records that it is over.
            tracing::warn!(run = run.id, error = %crate::chain(&error), "the run's end is not on the list");
        }
        self.forget_oldest();
    }
}

fn ended(written: Result<Written, ServiceError>) -> Attempt {
    match written {
        Ok(Written::Ours) => Attempt::Over,
        Ok(Written::Lost) => Attempt::Fenced,
        Err(error) => Attempt::Suspended(crate::chain(&error)),
    }
}

fn given_up(attempts: u32) -> JobFailure {
    let message =
        format!("given up after {attempts} attempts: none of their schedulers lived to see the end");
    (&JobError::new(ErrorKind::Infrastructure, message).with_hint("the schedulers' logs tell why")).into()
}

fn panicked(panic: &(dyn Any + Send)) -> JobFailure {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    let error = JobError::new(ErrorKind::Infrastructure, format!("the job panicked: {text}"));
    (&error.with_hint("this is a defect of Cambist: please report it with the job's options")).into()
}
