//! Which statements run, and the end of each.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use super::{QueryState, QueryView};
use crate::access::Principal;
use crate::audit::{AuditEntry, AuditLog};
use crate::error::{Result, SqlError, SqlErrorKind};
use crate::service::Clock;
use crate::settings::Limits;
use crate::statement::redact;

/// `system.queries` tells of so many that have ended.
const ENDED_KEPT: usize = 1000;

/// The statements that run, and the last ones that did.
#[derive(Clone)]
pub(crate) struct Queries {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    audit: Arc<dyn AuditLog>,
    /// What the ids of this process begin with.
    prefix: String,
    /// Statements of all users at once.
    at_once_max: usize,
    state: Mutex<State>,
}

impl std::fmt::Debug for Queries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queries").field("at_once_max", &self.shared.at_once_max).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    begun: u64,
    /// By number, so that the newest is last.
    running: std::collections::BTreeMap<u64, Arc<Query>>,
    by_user: HashMap<Arc<str>, usize>,
    /// The newest first.
    ended: VecDeque<QueryView>,
}

struct Query {
    number: u64,
    id: String,
    principal: Principal,
    action: &'static str,
    statement: String,
    started_at: jiff::Timestamp,
    started: Instant,
    limits: Limits,
    rows: AtomicU64,
    bytes: AtomicU64,
    /// The run that it waits for, of a `CALL`.
    run: OnceLock<String>,
    cancel: watch::Sender<bool>,
    over: watch::Sender<bool>,
}

/// What is noted of a statement that was not even begun.
pub(crate) struct Refusal<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) action: &'static str,
    pub(crate) statement: &'a str,
    pub(crate) started: Instant,
    pub(crate) error: &'a SqlError,
}

impl Queries {
    pub(crate) fn new(clock: Clock, audit: Arc<dyn AuditLog>, at_once_max: usize) -> Self {
        let prefix = format!("q{:x}", clock().as_microsecond());
        let state = Mutex::default();
        Self { shared: Arc::new(Shared { clock, audit, prefix, at_once_max, state }) }
    }

    /// Begins a statement; dropping what is returned cancels it.
    ///
    /// # Errors
    /// [`Exhausted`](SqlErrorKind::Exhausted) where as many are at work as may be. That is noted.
    pub(crate) fn begin(
        &self,
        principal: &Principal,
        action: &'static str,
        statement: String,
        limits: Limits,
    ) -> Result<Running> {
        let started = Instant::now();
        let mut state = self.shared.state();
        if let Err(error) = state.admit(principal, limits, self.shared.at_once_max) {
            drop(state);
            let refusal = Refusal { principal, action, statement: &statement, started, error: &error };
            self.note_refusal(&refusal);
            return Err(error);
        }
        state.begun += 1;
        let number = state.begun;
        let query = Arc::new(Query {
            number,
            id: format!("{}-{number}", self.shared.prefix),
            principal: principal.clone(),
            action,
            statement,
            started_at: (self.shared.clock)(),
            started,
            limits,
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            run: OnceLock::new(),
            cancel: watch::Sender::new(false),
            over: watch::Sender::new(false),
        });
        state.running.insert(number, Arc::clone(&query));
        *state.by_user.entry(Arc::clone(&principal.name)).or_default() += 1;
        Ok(Running { shared: Arc::clone(&self.shared), query, is_over: false })
    }

    /// Cancels a statement; tells whether it was running.
    ///
    /// # Errors
    /// [`Denied`](SqlErrorKind::Denied) where it is somebody else's and `principal` is no admin.
    pub(crate) fn cancel(&self, principal: &Principal, query_id: &str) -> Result<bool> {
        let found = self.running_of(principal, query_id)?;
        Ok(found.is_some_and(|query| {
            query.cancel.send_replace(true);
            true
        }))
    }

    /// Returns the run that a statement waits for.
    ///
    /// # Errors
    /// As [`Self::cancel`].
    pub(crate) fn run_of(&self, principal: &Principal, query_id: &str) -> Result<Option<String>> {
        let found = self.running_of(principal, query_id)?;
        Ok(found.and_then(|query| query.run.get().cloned()))
    }

    fn running_of(&self, principal: &Principal, query_id: &str) -> Result<Option<Arc<Query>>> {
        let Some(query) = self.running(query_id) else { return Ok(None) };
        if query.principal.name != principal.name && principal.role < crate::access::Role::Admin {
            return Err(SqlError::denied(format!("the query `{query_id}` is somebody else's")));
        }
        Ok(Some(query))
    }

    fn running(&self, query_id: &str) -> Option<Arc<Query>> {
        self.shared.state().running.values().find(|query| query.id == query_id).cloned()
    }

    /// Waits until a statement has ended; at once where none of that id runs.
    pub(crate) async fn ended(&self, query_id: &str) {
        let over = self.running(query_id).map(|query| query.over.subscribe());
        if let Some(mut over) = over {
            // Without a sender it is over as well.
            let _ = over.wait_for(|is_over| *is_over).await;
        }
    }

    /// Returns those that run and the last ones that did, newest first.
    pub(crate) fn list(&self) -> Vec<QueryView> {
        let state = self.shared.state();
        let running = state.running.values().rev().map(|query| query.view(QueryState::Running));
        running.chain(state.ended.iter().cloned()).collect()
    }

    /// Notes a statement that was refused before it began.
    pub(crate) fn note_refusal(&self, refusal: &Refusal<'_>) {
        let Refusal { principal, action, statement, started, error } = *refusal;
        let outcome = match error.kind {
            SqlErrorKind::Cancelled => "cancelled",
            SqlErrorKind::TimedOut => "timed_out",
            SqlErrorKind::Unavailable | SqlErrorKind::Internal | SqlErrorKind::Data => "failed",
            _ => "refused",
        };
        self.shared.audit.note(&AuditEntry {
            at: (self.shared.clock)().to_string(),
            user: principal.name.to_string(),
            peer: None,
            action: action.to_owned(),
            query: None,
            statement: Some(statement.to_owned()),
            outcome: outcome.to_owned(),
            error: Some(redact::cut(&error.message)),
            rows: 0,
            bytes: 0,
            seconds: started.elapsed().as_secs_f64(),
        });
    }
}

impl State {
    fn admit(&self, principal: &Principal, limits: Limits, at_once_max: usize) -> Result<()> {
        let own = self.by_user.get(&principal.name).copied().unwrap_or_default();
        if own >= limits.concurrent_queries {
            let error = SqlError::new(
                SqlErrorKind::Exhausted,
                format!("{own} statements of `{}` are at work, as many as may be at once", principal.name),
            );
            return Err(
                error.with_hint("read or cancel one of them, then try again: SELECT * FROM system.queries")
            );
        }
        if self.running.len() >= at_once_max {
            let error = SqlError::new(
                SqlErrorKind::Exhausted,
                format!("{at_once_max} statements are at work, as many as the server takes at once"),
            );
            return Err(error.with_hint("try again in a moment"));
        }
        Ok(())
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, query: &Query, outcome: &Result<(), SqlError>) {
        let ended_at = (self.clock)();
        let (state, name) = match outcome {
            Ok(()) => (QueryState::Done, "ok"),
            Err(error) if error.kind == SqlErrorKind::Cancelled => (QueryState::Cancelled, "cancelled"),
            Err(error) if error.kind == SqlErrorKind::TimedOut => (QueryState::Failed, "timed_out"),
            Err(_) => (QueryState::Failed, "failed"),
        };
        let error = outcome.as_ref().err().map(|error| redact::cut(&error.message));
        let mut view = query.view(state);
        (view.ended_at, view.error) = (Some(ended_at), error.clone());
        let entry = AuditEntry {
            at: ended_at.to_string(),
            user: view.user.clone(),
            peer: None,
            action: query.action.to_owned(),
            query: Some(view.query_id.clone()),
            statement: Some(view.statement.clone()),
            outcome: name.to_owned(),
            error,
            rows: view.rows,
            bytes: view.bytes,
            seconds: query.started.elapsed().as_secs_f64(),
        };
        let mut state = self.state();
        state.running.remove(&query.number);
        if let Some(own) = state.by_user.get_mut(&query.principal.name) {
            *own -= 1;
            if *own == 0 {
                state.by_user.remove(&query.principal.name);
            }
        }
        state.ended.push_front(view);
        state.ended.truncate(ENDED_KEPT);
        drop(state);
        self.audit.note(&entry);
        query.over.send_replace(true);
    }
}

impl Query {
    fn view(&self, state: QueryState) -> QueryView {
        QueryView {
            query_id: self.id.clone(),
            user: self.principal.name.to_string(),
            statement: self.statement.clone(),
            state,
            started_at: self.started_at,
            ended_at: None,
            rows: self.rows.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            error: None,
        }
    }
}

/// A statement at work. One that is dropped before its end counts as cancelled by its client.
pub(crate) struct Running {
    shared: Arc<Shared>,
    query: Arc<Query>,
    is_over: bool,
}

impl Running {
    pub(crate) fn id(&self) -> &str {
        &self.query.id
    }

    /// Says for which run it waits.
    pub(crate) fn set_run(&self, run_id: &str) {
        // It waits for one run, which is set once.
        let _ = self.query.run.set(run_id.to_owned());
    }

    /// Counts rows that are sent.
    ///
    /// # Errors
    /// [`Exhausted`](SqlErrorKind::Exhausted) where they are more than the user may have.
    pub(crate) fn count(&self, rows: usize, bytes: usize) -> Result<()> {
        let limit = self.query.limits.result_bytes;
        let sent = self.query.bytes.load(Ordering::Relaxed).saturating_add(bytes as u64);
        if sent > limit {
            return Err(too_large(limit));
        }
        self.query.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.query.bytes.store(sent, Ordering::Relaxed);
        Ok(())
    }

    /// Waits for `work`, but neither beyond the time that the statement may take nor after it was cancelled.
    ///
    /// # Errors
    /// Those of the work, [`TimedOut`](SqlErrorKind::TimedOut) or [`Cancelled`](SqlErrorKind::Cancelled).
    pub(crate) async fn bounded<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let limit = self.query.limits.run_time();
        let deadline = self.query.started + limit;
        // A timer is as coarse as a millisecond.
        if Instant::now() >= deadline {
            return Err(timed_out(limit.as_secs()));
        }
        let mut cancelled = self.query.cancel.subscribe();
        tokio::select! {
            biased;
            // The sender lives as long as the query does.
            _ = cancelled.wait_for(|is_cancelled| *is_cancelled) => {
                Err(SqlError::new(SqlErrorKind::Cancelled, "the statement was cancelled"))
            }
            () = tokio::time::sleep_until(deadline) => Err(timed_out(limit.as_secs())),
            ended = work => ended,
        }
    }

    /// Notes the end.
    pub(crate) fn end(mut self, outcome: &Result<(), SqlError>) {
        self.is_over = true;
        self.shared.end(&self.query, outcome);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let (kind, message) = if std::thread::panicking() {
            (SqlErrorKind::Internal, "the work panicked")
        } else {
            (SqlErrorKind::Cancelled, "the client went away")
        };
        self.shared.end(&self.query, &Err(SqlError::new(kind, message)));
    }
}

/// The refusal of a result that is larger than its user may have.
pub(crate) fn too_large(limit: u64) -> SqlError {
    let error = SqlError::new(SqlErrorKind::Exhausted, format!("the result has more than {limit} bytes"));
    error.with_hint("ask for fewer rows or columns")
}

fn timed_out(seconds: u64) -> SqlError {
    let error = SqlError::new(
        SqlErrorKind::TimedOut,
        format!("the statement took more than {seconds} s, the transfer of its rows included"),
    );
    error.with_hint("ask for less, or read faster")
}
