//! A run in memory: what its newest record says, how it gets on, and who wants to know.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cambist_engine::progress::{ProgressCounts, RunProgress};
use cambist_jobs::error::JobFailure;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::sync::watch;

use super::record::{Counts, RunLog, RunRecord};
use super::view::{RunState, RunView};

/// Who takes a run's next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It waits for its turn here.
    Queued,
    /// A task of this process drives it.
    Driven,
    /// Another scheduler process drives it; we read its records.
    Followed,
    /// Nobody: it is over.
    Past,
}

/// A run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) job: String,
    pub(super) options: Map<String, Value>,
    pub(super) submitted_at: Timestamp,
    pub(super) progress: RunProgress,
    live: Mutex<Live>,
    /// The view's version, for those who wait for a change.
    version: watch::Sender<u64>,
    /// Whether somebody has asked to cancel it.
    cancel: watch::Sender<bool>,
}

/// What changes.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) place: Place,
    /// The number of its newest record.
    pub(super) seq: u32,
    pub(super) state: RunState,
    pub(super) attempt: u32,
    pub(super) waiting: Option<String>,
    pub(super) stage: Option<String>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) running_since: Option<Timestamp>,
    pub(super) finished_at: Option<Timestamp>,
    pub(super) report: Option<Value>,
    pub(super) error: Option<JobFailure>,
    /// Its commit may stand from now on, so that it can no longer be cancelled.
    pub(super) is_past_cancel: bool,
    /// What the last version showed.
    shown: (ProgressCounts, Option<String>),
}

impl Run {
    /// Makes the run that its records tell of. `version` must be above all that were told before.
    pub(super) fn of_log(id: &str, log: RunLog, place: Place, version: u64) -> Arc<Self> {
        let run = Self::new(
            id.to_owned(),
            log.submission.job.clone(),
            log.submission.options.clone(),
            log.submitted_at,
            place,
            version,
        );
        run.take_over(log);
        Arc::new(run)
    }

    /// Makes the run that an account of the past tells of; nothing where its instants are not readable.
    pub(super) fn of_view(view: RunView) -> Option<Arc<Self>> {
        let instant = |text: Option<String>| text.and_then(|text| text.parse::<Timestamp>().ok());
        let submitted_at: Timestamp = view.submitted_at.parse().ok()?;
        let run = Self::new(view.id, view.job, view.options, submitted_at, Place::Past, view.version);
        run.progress.begin(view.bytes_total, view.tasks_total);
        run.progress.set_done(view.bytes_done, view.records_done, view.tasks_done);
        let mut live = run.live();
        live.state = view.state;
        live.attempt = view.attempt;
        live.started_at = instant(view.started_at);
        live.finished_at = instant(view.finished_at);
        live.report = view.report;
        live.error = view.error;
        drop(live);
        Some(Arc::new(run))
    }

    /// Makes a run that has just been put on record.
    pub(super) fn new(
        id: String,
        job: String,
        options: Map<String, Value>,
        submitted_at: Timestamp,
        place: Place,
        version: u64,
    ) -> Self {
        let live = Live {
            place,
            seq: 1,
            state: RunState::Submitted,
            attempt: 0,
            waiting: None,
            stage: None,
            started_at: None,
            running_since: None,
            finished_at: None,
            report: None,
            error: None,
            is_past_cancel: false,
            shown: Default::default(),
        };
        Self {
            id,
            job,
            options,
            submitted_at,
            progress: RunProgress::default(),
            live: Mutex::new(live),
            version: watch::Sender::new(version),
            cancel: watch::Sender::new(false),
        }
    }

    /// Takes over what the records say, where they say more than is known.
    pub(super) fn take_over(&self, log: RunLog) {
        let started_at = log.started_at();
        let counts = log.counts();
        let is_past_cancel = log.is_past_cancel();
        let Some(last) = log.records.into_iter().next_back() else { return };
        if let Some(counts) = counts {
            self.progress.begin(counts.bytes_total, counts.tasks_total);
            self.progress.set_done(counts.bytes_done, counts.records_done, counts.tasks_done);
        }
        self.update(|live| {
            live.absorb(last);
            live.started_at = started_at;
            live.is_past_cancel = is_past_cancel;
        });
    }

    /// Takes over a record that was written just now.
    pub(super) fn absorb(&self, record: RunRecord) {
        self.update(|live| live.absorb(record));
    }

    /// Returns what is known; for reading only.
    pub(super) fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known and tells those who wait.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut Live) -> T) -> T {
        let result = change(&mut self.live());
        self.version.send_modify(|version| *version += 1);
        result
    }

    /// Asks whoever drives it to cancel it; tells whether that is still possible.
    pub(super) fn request_cancel(&self) -> bool {
        let live = self.live();
        if live.is_past_cancel || live.state.is_terminal() {
            return false;
        }
        self.cancel.send_replace(true);
        true
    }

    /// Marks that the commit begins; tells whether it may.
    pub(super) fn pass_cancel(&self) -> bool {
        let mut live = self.live();
        live.is_past_cancel = !*self.cancel.borrow();
        live.is_past_cancel
    }

    /// Tells whether it is to be cancelled.
    pub(super) fn is_cancel_requested(&self) -> bool {
        *self.cancel.borrow()
    }

    /// Waits until it is to be cancelled.
    pub(super) async fn cancel_requested(&self) {
        // The sender is ours: it cannot be gone.
        let _ = self.cancel.subscribe().wait_for(|asked| *asked).await;
    }

    /// Returns a receiver of the version.
    pub(super) fn versions(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Returns the run as it stands; `ahead` are the runs before it in the queue and at work.
    pub(super) fn view(&self, now: Timestamp, ahead: Option<usize>) -> RunView {
        let counts = self.progress.counts();
        let live = self.show(&counts, ahead);
        let elapsed = elapsed(live.started_at, live.finished_at.unwrap_or(now));
        RunView {
            id: self.id.clone(),
            job: self.job.clone(),
            options: self.options.clone(),
            state: live.state,
            remaining_seconds: live.remaining(&counts, now).map(|left| left.as_secs_f64()),
            waiting: live.waiting,
            stage: live.stage,
            attempt: live.attempt,
            tasks_done: counts.tasks_done,
            tasks_total: counts.tasks_total,
            bytes_done: counts.bytes_done,
            bytes_total: counts.bytes_total,
            records_done: counts.records_done,
            submitted_at: self.submitted_at.to_string(),
            started_at: live.started_at.map(|at| at.to_string()),
            finished_at: live.finished_at.map(|at| at.to_string()),
            elapsed_seconds: elapsed.as_secs_f64(),
            report: live.report,
            error: live.error,
            version: *self.version.borrow(),
        }
    }

    /// Copies what is known for a view, and raises the version where it shows more than the last one did.
    fn show(&self, counts: &ProgressCounts, ahead: Option<usize>) -> Live {
        let (known, is_news) = {
            let mut live = self.live();
            let waiting = live.waiting.clone().or_else(|| ahead.and_then(runs_ahead));
            let shown = (*counts, waiting);
            let is_news = live.shown != shown;
            live.shown = shown;
            let known = Live { waiting: live.shown.1.clone(), ..live.clone() };
            (known, is_news)
        };
        // Not under the lock: those who wait for a version look at what is known.
        if is_news {
            self.version.send_modify(|version| *version += 1);
        }
        known
    }

    /// Returns how far the run got on, for its records.
    pub(super) fn counts(&self) -> Counts {
        self.progress.counts().into()
    }
}

impl Live {
    fn absorb(&mut self, record: RunRecord) {
        if record.attempt != self.attempt {
            self.attempt = record.attempt;
            self.started_at = Some(record.at);
            self.running_since = None;
        }
        self.seq = record.seq;
        if record.state == RunState::Running && self.running_since.is_none() {
            self.running_since = Some(record.at);
        }
        self.state = record.state;
        self.is_past_cancel |= record.begins_commit();
        if record.state.is_terminal() {
            self.place = Place::Past;
            self.finished_at = Some(record.at);
            self.waiting = None;
            self.stage = None;
        }
        self.report = record.report.or(self.report.take());
        self.error = record.error;
    }

    /// Estimates what is left from what is done: bytes where there are any, else tasks.
    fn remaining(&self, counts: &ProgressCounts, now: Timestamp) -> Option<Duration> {
        if self.state != RunState::Running {
            return None;
        }
        let spent = elapsed(Some(self.running_since?), now).as_millis();
        let by_bytes = (counts.bytes_done, counts.bytes_total);
        let by_tasks = (counts.tasks_done, counts.tasks_total);
        let (done, total) = if counts.bytes_done > 0 { by_bytes } else { by_tasks };
        let left = u128::from(total.checked_sub(done)?);
        let milliseconds = (spent * left).checked_div(u128::from(done))?;
        u64::try_from(milliseconds).ok().map(Duration::from_millis)
    }
}

fn runs_ahead(ahead: usize) -> Option<String> {
    match ahead {
        0 => None,
        1 => Some("1 run ahead".to_owned()),
        more => Some(format!("{more} runs ahead")),
    }
}

/// Clocks of two machines may differ: no time is negative.
fn elapsed(from: Option<Timestamp>, until: Timestamp) -> Duration {
    from.and_then(|from| Duration::try_from(until.duration_since(from)).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn running() -> Run {
        let run = Run::new("a".into(), "normalize".into(), Map::new(), at(100), Place::Driven, 7);
        run.absorb(RunRecord::new(2, RunState::Submitted, 1, "s", at(102)));
        run.absorb(RunRecord::new(3, RunState::Running, 1, "s", at(110)));
        run
    }

    #[test]
    fn what_is_left_is_estimated_from_the_bytes_else_from_the_tasks() {
        let run = running();
        run.progress.begin(1000, 4);
        assert_eq!(run.view(at(120), None).remaining_seconds, None);
        run.progress.set_done(0, 0, 1);
        assert_eq!(run.view(at(120), None).remaining_seconds, Some(30.0));
        run.progress.set_done(500, 9, 1);
        let view = run.view(at(120), None);
        assert_eq!(view.remaining_seconds, Some(10.0));
        assert_eq!(view.elapsed_seconds, 18.0);
    }

    #[test]
    fn the_version_grows_with_what_is_shown_and_only_then() {
        let run = running();
        let first = run.view(at(120), None).version;
        assert_eq!(run.view(at(121), None).version, first);
        run.progress.add_bytes(1);
        let second = run.view(at(121), None).version;
        assert!(second > first);
        assert!(run.view(at(121), Some(2)).version > second);
        assert_eq!(run.view(at(121), Some(2)).waiting.as_deref(), Some("2 runs ahead"));
    }

    #[test]
    fn a_commit_that_has_begun_cannot_be_cancelled() {
        let run = running();
        assert!(run.pass_cancel());
        assert!(!run.request_cancel());
        let run = running();
        assert!(run.request_cancel());
        assert!(!run.pass_cancel());
    }
}
