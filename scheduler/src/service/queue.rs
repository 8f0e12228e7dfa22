//! The runs in memory: which wait, which are at work, and which are over.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::error::ServiceError;
use super::job_service::{Inner, JobService, lock};
use super::run::{Place, Run};
use super::view::{RunState, RunView};

/// When a run was submitted, in microseconds, and its id: the order of lists.
type Order = (i64, String);

/// The runs in memory.
#[derive(Debug, Default)]
pub(super) struct Runs {
    by_id: HashMap<String, Arc<Run>>,
    by_time: BTreeMap<Order, Arc<Run>>,
    queue: VecDeque<Arc<Run>>,
    /// Places in the queue for runs that are being put on record.
    reserved: usize,
    at_work: usize,
}

impl Runs {
    fn insert(&mut self, run: Arc<Run>) {
        self.by_time.insert(order(&run), Arc::clone(&run));
        self.by_id.insert(run.id.clone(), run);
    }
}

fn order(run: &Run) -> Order {
    (run.submitted_at.as_microsecond(), run.id.clone())
}

/// Which runs to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Only runs in this state.
    pub state: Option<RunState>,
    /// Only runs of this job.
    pub job: Option<String>,
    /// At most so many.
    pub limit: usize,
    /// Only runs behind this place in the list.
    pub after: Option<String>,
}

/// Some runs, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedRuns {
    /// The runs.
    pub runs: Vec<RunView>,
    /// The place of the last one in the list, where there are more behind it.
    pub next: Option<String>,
}

/// How many runs there are in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunCounts {
    pub(crate) by_state: BTreeMap<&'static str, u64>,
    pub(crate) queued: u64,
    pub(crate) at_work: u64,
}

/// A place in the queue; dropping it frees it.
pub(super) struct Reserved<'a> {
    inner: &'a Inner,
}

impl Reserved<'_> {
    pub(super) fn fill(self, run: Arc<Run>) {
        let mut runs = lock(&self.inner.runs);
        runs.insert(Arc::clone(&run));
        runs.queue.push_back(run);
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        lock(&self.inner.runs).reserved -= 1;
    }
}

/// A run at work; dropping it lets the next one begin.
///
/// A runtime that shuts down drops its tasks one by one and refuses new ones by dropping them where they are
/// spawned: to begin the next run from here would then wait for the very lock that is held. So this only tells.
struct AtWork {
    inner: Arc<Inner>,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        lock(&self.inner.runs).at_work -= 1;
        self.inner.place_freed.notify_one();
    }
}

/// Begins waiting runs whenever one at work has ended, for as long as the service lives.
pub(super) async fn keep_busy(inner: Weak<Inner>, place_freed: Arc<Notify>) {
    loop {
        place_freed.notified().await;
        let Some(inner) = inner.upgrade() else { return };
        inner.pump();
    }
}

impl JobService {
    /// Lists runs, newest first. Runs of long ago are left out.
    ///
    /// # Errors
    /// Where `after` is no place in a list; gives the text back.
    pub async fn list(&self, filter: &RunFilter) -> Result<ListedRuns, String> {
        let after = match &filter.after {
            None => None,
            Some(text) => Some(parse_place(text).ok_or_else(|| text.clone())?),
        };
        let mut past = self.inner.is_past_known.subscribe();
        let mut stopping = self.inner.is_stopping.subscribe();
        tokio::select! {
            _ = past.wait_for(|known| *known) => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
        let bounds = (Bound::Unbounded, after.map_or(Bound::Unbounded, Bound::Excluded));
        let matching = |run: &&Arc<Run>| {
            let is_job = filter.job.as_ref().is_none_or(|job| *job == run.job);
            is_job && filter.state.is_none_or(|state| run.live().state == state)
        };
        let mut found: Vec<Arc<Run>> = {
            let runs = lock(&self.inner.runs);
            let newest_first = runs.by_time.range::<Order, _>(bounds).rev().map(|(_, run)| run);
            newest_first.filter(matching).take(filter.limit + 1).cloned().collect()
        };
        let has_more = found.len() > filter.limit;
        found.truncate(filter.limit);
        let next = found.last().filter(|_| has_more).map(|run| {
            let (at, id) = order(run);
            format!("{at}-{id}")
        });
        Ok(ListedRuns { runs: found.iter().map(|run| self.inner.view(run)).collect(), next })
    }

    pub(crate) fn counts(&self) -> RunCounts {
        let runs = lock(&self.inner.runs);
        let mut counts = RunCounts {
            by_state: RunState::ALL.map(|state| (state.as_str(), 0)).into(),
            queued: runs.queue.len() as u64,
            at_work: runs.at_work as u64,
        };
        for run in runs.by_id.values() {
            *counts.by_state.entry(run.live().state.as_str()).or_default() += 1;
        }
        counts
    }
}

fn parse_place(text: &str) -> Option<Order> {
    let (at, id) = text.split_once('-')?;
    Some((at.parse().ok()?, id.to_owned()))
}

impl Inner {
    /// Reserves a place in the queue.
    pub(super) fn reserve(&self, retry_after: Duration) -> Result<Reserved<'_>, ServiceError> {
        if self.is_stopping() {
            return Err(ServiceError::Stopping);
        }
        let mut runs = lock(&self.runs);
        let length = runs.queue.len() + runs.reserved;
        let is_free = runs.at_work < self.settings.runs_at_once && runs.queue.is_empty();
        if length >= self.settings.queue_length_max && !(is_free && runs.reserved == 0) {
            self.metrics.refused.inc();
            return Err(ServiceError::QueueFull { length, retry_after });
        }
        runs.reserved += 1;
        Ok(Reserved { inner: self })
    }

    /// Takes up a run whose records were read.
    pub(super) fn take_up(&self, run: Arc<Run>) {
        let mut runs = lock(&self.runs);
        let is_queued = run.live().place == Place::Queued;
        runs.insert(Arc::clone(&run));
        if is_queued {
            runs.queue.push_back(run);
        }
    }

    /// Remembers a run of the past or of another scheduler, unless it is known.
    pub(super) fn remember(&self, run: Arc<Run>) -> Arc<Run> {
        let mut runs = lock(&self.runs);
        if let Some(known) = runs.by_id.get(&run.id) {
            return Arc::clone(known);
        }
        runs.insert(Arc::clone(&run));
        run
    }

    /// Forgets the oldest runs that are over, down to the number that is kept.
    pub(super) fn forget_oldest(&self) {
        let mut runs = lock(&self.runs);
        let over = |run: &&Arc<Run>| run.live().place == Place::Past;
        let kept = self.settings.history_max;
        let excess = runs.by_time.values().filter(over).count().saturating_sub(kept);
        let oldest: Vec<Order> =
            runs.by_time.values().filter(over).take(excess).map(|run| order(run)).collect();
        for key in oldest {
            runs.by_id.remove(&key.1);
            runs.by_time.remove(&key);
        }
    }

    pub(super) fn known(&self, id: &str) -> Option<Arc<Run>> {
        lock(&self.runs).by_id.get(id).cloned()
    }

    pub(super) fn view(&self, run: &Arc<Run>) -> RunView {
        let ahead = {
            let runs = lock(&self.runs);
            let place = runs.queue.iter().position(|queued| Arc::ptr_eq(queued, run));
            place.map(|place| place + runs.at_work)
        };
        run.view((self.clock)(), ahead)
    }

    /// Takes a run out of the queue; tells whether it was there.
    pub(super) fn take_from_queue(&self, run: &Arc<Run>) -> bool {
        let mut runs = lock(&self.runs);
        let place = runs.queue.iter().position(|queued| Arc::ptr_eq(queued, run));
        place.and_then(|place| runs.queue.remove(place)).is_some()
    }

    /// Puts a run back where it was taken from by mistake, which is as good as the front.
    pub(super) fn put_back(self: &Arc<Self>, run: &Arc<Run>) {
        lock(&self.runs).queue.push_front(Arc::clone(run));
        self.pump();
    }

    /// Begins as many waiting runs as may be at work.
    pub(super) fn pump(self: &Arc<Self>) {
        let mut drivers = lock(&self.drivers);
        while drivers.try_join_next().is_some() {}
        while let Some(run) = self.next_to_begin() {
            let at_work = AtWork { inner: Arc::clone(self) };
            drivers.spawn(async move {
                let inner = Arc::clone(&at_work.inner);
                inner.drive(&run).await;
                drop(at_work);
            });
        }
    }

    fn next_to_begin(&self) -> Option<Arc<Run>> {
        let mut runs = lock(&self.runs);
        if self.is_stopping() || runs.at_work >= self.settings.runs_at_once {
            return None;
        }
        let run = runs.queue.pop_front()?;
        runs.at_work += 1;
        run.update(|live| live.place = Place::Driven);
        Some(run)
    }
}
