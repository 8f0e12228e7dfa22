//! Following a run on a cluster to its end: the same progress line as in one process.

use std::time::Duration;

use cambist_jobs::ProgressCounts;
use cambist_jobs::error::{ErrorKind, JobError, Result};
use cambist_scheduler::client::Client;
use cambist_scheduler::service::{RunState, RunView};
use serde_json::Value;
use tokio::signal::unix::SignalKind;
use tokio::sync::mpsc;

use super::interrupt::Wish;
use crate::output;
use crate::progress::{ProgressLine, REDRAW};

/// For how long the scheduler may be away: one that is restarted on another machine takes minutes, and its
/// runs survive.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long a change is waited for where an eye sees the progress, and where none does.
const WATCH: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How following a run ended.
#[derive(Debug)]
pub(crate) enum Followed {
    /// The run's report.
    Report(Value),
    /// It goes on without us.
    Detached(Box<RunView>),
    /// It was cancelled by a signal to this process.
    Cancelled(SignalKind),
}

/// Follows the run that stands at `view`.
///
/// # Errors
/// The run's failure, or where the scheduler stays out of reach.
pub(crate) async fn follow(
    client: &Client,
    mut view: RunView,
    wishes: &mut mpsc::Receiver<Wish>,
    is_quiet: bool,
) -> Result<Followed> {
    let client = client.clone().with_patience(PATIENCE);
    let mut line = ProgressLine::new(is_quiet);
    let wait = if line.is_hidden() { WATCH.1 } else { WATCH.0 };
    let mut redraw = tokio::time::interval(REDRAW);
    let mut is_asking = false;
    let mut cancelled_by = None;
    while !view.state.is_terminal() {
        let id = view.id.clone();
        let change = client.watch(&id, view.version, wait);
        tokio::pin!(change);
        let changed = loop {
            tokio::select! {
                changed = &mut change => break changed,
                Some(wish) = wishes.recv() => {
                    is_asking = wish == Wish::Wait;
                    match wish {
                        Wish::Wait => line.hide(),
                        Wish::Detach => {
                            line.finish();
                            return Ok(Followed::Detached(Box::new(view)));
                        }
                        Wish::Cancel(_) if cancelled_by.is_some() => {
                            line.finish();
                            return Err(unclear_end(&view.id));
                        }
                        Wish::Cancel(signal) => {
                            cancelled_by = Some(signal);
                            break cancel(&client, &view.id).await;
                        }
                    }
                }
                _ = redraw.tick(), if !is_asking => line.show(counts(&view), waiting(&view)),
            }
        };
        match changed {
            Ok(changed) => view = changed,
            Err(failed) => {
                line.finish();
                return Err(failed.with_hint(format!("the run may go on: `cambist runs watch {}`", view.id)));
            }
        }
    }
    line.finish();
    ended(view, cancelled_by)
}

/// Cancels a run, unless it is too late for that.
async fn cancel(client: &Client, id: &str) -> Result<RunView> {
    output::note(&format!("cancelling run {id}"));
    match client.cancel(id).await {
        Err(refused) if refused.kind == ErrorKind::Conflict => {
            output::note(&format!("too late to cancel: {refused}"));
            client.run(id).await
        }
        answer => answer,
    }
}

fn ended(view: RunView, cancelled_by: Option<SignalKind>) -> Result<Followed> {
    match (view.state, view.report, view.error, cancelled_by) {
        (RunState::Published, Some(report), ..) => Ok(Followed::Report(report)),
        (RunState::Cancelled, .., Some(signal)) => Ok(Followed::Cancelled(signal)),
        (RunState::Cancelled, ..) => Err(JobError::new(
            ErrorKind::Infrastructure,
            format!("run {} was cancelled; nothing of it is visible", view.id),
        )),
        (_, _, Some(failure), _) => Err(failure.into()),
        (state, ..) => Err(JobError::new(
            ErrorKind::Infrastructure,
            format!("run {} is {} without a report", view.id, state.as_str()),
        )),
    }
}

fn unclear_end(id: &str) -> JobError {
    JobError::new(ErrorKind::Infrastructure, format!("the end of run {id} was not waited for"))
        .with_hint(format!("`cambist runs show {id}` tells how it ended"))
}

fn counts(view: &RunView) -> ProgressCounts {
    ProgressCounts {
        bytes_total: view.bytes_total,
        bytes_done: view.bytes_done,
        records_done: view.records_done,
        tasks_total: view.tasks_total,
        tasks_done: view.tasks_done,
    }
}

fn waiting(view: &RunView) -> Option<&str> {
    view.waiting.as_deref()
}
