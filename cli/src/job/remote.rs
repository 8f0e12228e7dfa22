//! A job on a cluster: submitted, followed, cancelled or left there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cambist_jobs::error::{ErrorKind, JobError, Result};
use cambist_jobs::registry::PreparedJob;
use cambist_scheduler::client::Client;
use cambist_scheduler::http::SubmitRequest;
use serde_json::Value;

use super::interrupt::{CtrlC, listen};
use super::{Followed, Outcome, follow};
use crate::{clock, output};

/// For how long a scheduler may be out of reach before anything of ours runs there: it may be restarting, or
/// the URL is wrong.
const PATIENCE: Duration = Duration::from_secs(15);

/// A scheduler that stays away is complained of at the first and at every so-manieth try, which are 2 s apart.
const COMPLAINT_TRIES: u32 = 15;

/// Returns a client of the scheduler at `url`.
pub(crate) fn connect(url: &str) -> Result<Client> {
    let tries = AtomicU32::new(0);
    let complain = move |reason: &str| {
        if tries.fetch_add(1, Ordering::Relaxed).is_multiple_of(COMPLAINT_TRIES) {
            output::note(&format!("{reason}; trying again"));
        }
    };
    Ok(Client::new(url)?.with_patience(PATIENCE).with_on_trouble(Arc::new(complain)))
}

/// Submits `job`, and follows it to its end unless told to `detach`.
pub(super) async fn run(url: &str, job: &dyn PreparedJob, detach: bool, is_quiet: bool) -> Result<Outcome> {
    let client = connect(url)?;
    // Listened for before the run exists: a signal in between must not leave it behind.
    let mut wishes = listen(CtrlC::Asks)?;
    let options = match job.options() {
        Value::Object(options) => options.clone(),
        other => return Err(JobError::usage(format!("the options are {other}, expected an object"))),
    };
    // An id of ours makes it safe to submit again when the answer was lost.
    let id = clock::run_id(clock::now());
    let request = SubmitRequest { job: job.name().to_owned(), options, id: Some(id) };
    let view = client.submit(&request).await?;
    if detach {
        return detached(&view);
    }
    if !is_quiet {
        output::note(&format!("run {} on {}", view.id, client.url()));
    }
    let id = view.id.clone();
    match follow(&client, view, &mut wishes, is_quiet).await? {
        Followed::Report(report) => Ok(Outcome::Report(report)),
        Followed::Cancelled(signal) => Ok(Outcome::Cancelled { id, signal }),
        Followed::Detached(view) => {
            output::note(&format!("run {id} goes on; `cambist runs watch {id} --cluster {}`", client.url()));
            detached(&view)
        }
    }
}

fn detached(view: &cambist_scheduler::service::RunView) -> Result<Outcome> {
    let run = serde_json::to_value(view)
        .map_err(|error| JobError::new(ErrorKind::Infrastructure, "the run is not JSON").caused_by(error))?;
    Ok(Outcome::Detached(run))
}
