//! Results that wait to be fetched, and results that flow.
//!
//! **Invariants:** a result is fetched once, by the user, in the role, and in the session, that asked for it; who
//! fetches anything else learns only that it is not there.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow_flight::sql::{Any, Command, ProstMessageExt as _, TicketStatementQuery};
use arrow_flight::{FlightData, Ticket};
use cambist_sql::access::Principal;
use cambist_sql::{Executed, Prepared};
use datafusion::arrow::datatypes::SchemaRef;
use futures::Stream;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use jiff::Timestamp;
use prost::Message as _;
use tokio::sync::watch;
use tonic::Status;

use crate::authentication::Caller;
use crate::held::{Bound, Fate, Held};
use crate::secret::{Digest, Secret};
use crate::status::internal;

/// What is to be done when a result is fetched.
#[derive(Debug)]
pub(super) enum Work {
    /// A statement begins.
    Query(Arc<Prepared>),
    /// A call has begun, and goes on whether or not its row is fetched.
    Begun(Executed),
    /// The server tells of itself.
    Metadata(Command),
}

#[derive(Debug)]
struct Pending {
    /// The session, where it lasts.
    session: Option<Digest>,
    /// The user, with the role in which they asked.
    who: Principal,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting(Work),
    Running { cancel: watch::Sender<bool>, query_id: Option<String> },
}

/// What became of a request to cancel.
#[derive(Debug)]
pub(super) enum Cancelled {
    /// It had not begun, and never will.
    BeforeItBegan,
    /// It is at work.
    AtWork {
        /// The query's id, where it has one by now.
        query_id: Option<String>,
        /// Ends its flow, where it flows.
        flow: Option<watch::Sender<bool>>,
    },
}

/// A call that waits for its end.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) query_id: String,
    pub(super) schema: SchemaRef,
}

/// The results of a server.
#[derive(Debug)]
pub(super) struct Results {
    pending: Arc<Held<Pending>>,
}

/// A result that flows. Dropping it forgets its ticket.
#[derive(Debug)]
pub(super) struct Running {
    pending: Arc<Held<Pending>>,
    name: Digest,
    user: String,
    cancelled: watch::Receiver<bool>,
}

impl Results {
    pub(super) fn new(bound: Bound) -> Self {
        Self { pending: Arc::new(Held::new(bound)) }
    }

    /// Keeps a result until it is fetched, and returns its ticket.
    pub(super) fn issue(&self, caller: &Caller, work: Work, now: Timestamp) -> Result<Ticket, Status> {
        let secret = Secret::random().map_err(internal)?;
        let who = caller.who().clone();
        let pending = Pending { session: caller.lasting, who, state: State::Waiting(work) };
        self.pending.insert(Digest::of(secret.reveal()), caller.user(), pending, now);
        let handle = TicketStatementQuery { statement_handle: secret.reveal().to_vec().into() };
        Ok(Ticket::new(handle.as_any().encode_to_vec()))
    }

    /// Takes the work of a ticket, once.
    pub(super) fn redeem(
        &self,
        caller: &Caller,
        ticket: &Ticket,
        now: Timestamp,
    ) -> Result<(Work, Running), Status> {
        let name = name_of(ticket).ok_or_else(unknown)?;
        let (cancel, cancelled) = watch::channel(false);
        let begin = |pending: &mut Pending| {
            if !is_of(pending, caller) || matches!(pending.state, State::Running { .. }) {
                return None;
            }
            let running = State::Running { cancel, query_id: None };
            match std::mem::replace(&mut pending.state, running) {
                State::Waiting(work) => Some(work),
                State::Running { .. } => None,
            }
        };
        let work = self.pending.begin(&name, caller.user(), now, begin).ok_or_else(unknown)?;
        let pending = Arc::clone(&self.pending);
        Ok((work, Running { pending, name, user: caller.user().to_owned(), cancelled }))
    }

    /// Looks at the result of a ticket that is to be cancelled. One that has not begun is gone.
    pub(super) fn cancel(&self, caller: &Caller, ticket: &Ticket, now: Timestamp) -> Option<Cancelled> {
        let at_work = |query_id, flow| (Some(Cancelled::AtWork { query_id, flow }), Fate::Stays);
        let decided = self.pending.decide(&name_of(ticket)?, caller.user(), now, |pending| {
            if !is_of(pending, caller) {
                return (None, Fate::Stays);
            }
            match &pending.state {
                State::Waiting(Work::Begun(begun)) => at_work(Some(begun.query_id.clone()), None),
                State::Waiting(_) => (Some(Cancelled::BeforeItBegan), Fate::Goes),
                State::Running { cancel, query_id } => at_work(query_id.clone(), Some(cancel.clone())),
            }
        });
        decided?.0
    }

    /// Returns the call that a ticket stands for, where it was not fetched yet.
    pub(super) fn begun(&self, caller: &Caller, ticket: &Ticket, now: Timestamp) -> Option<Begun> {
        let found =
            self.pending.of_user(&name_of(ticket)?, caller.user(), now, |pending| match &pending.state {
                State::Waiting(Work::Begun(begun)) if is_of(pending, caller) => {
                    Some(Begun { query_id: begun.query_id.clone(), schema: Arc::clone(&begun.schema) })
                }
                _ => None,
            });
        found.flatten()
    }

    /// Takes a call back that was not fetched yet; its ticket is void.
    pub(super) fn take_back(&self, caller: &Caller, name: &Digest, now: Timestamp) -> Option<Work> {
        let decided = self.pending.decide(name, caller.user(), now, |pending| {
            let is_begun = matches!(pending.state, State::Waiting(Work::Begun(_)));
            ((), if is_begun && is_of(pending, caller) { Fate::Goes } else { Fate::Stays })
        });
        match decided?.1?.state {
            State::Waiting(work) => Some(work),
            State::Running { .. } => None,
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }
}

fn is_of(pending: &Pending, caller: &Caller) -> bool {
    pending.who == *caller.who() && (pending.session.is_none() || pending.session == caller.lasting)
}

/// Returns the name under which the result of a ticket is kept.
pub(super) fn name_of(ticket: &Ticket) -> Option<Digest> {
    let handle: TicketStatementQuery = Any::decode(&*ticket.ticket).ok()?.unpack().ok()??;
    Some(Digest::of(handle.statement_handle))
}

/// One answer for tickets that are forged, foreign, used or too old.
pub(super) fn unknown() -> Status {
    Status::not_found(
        "there is no such result: it was fetched already, has expired, or is not of this session\nhint: send the \
         statement again",
    )
}

impl Running {
    /// Says under which id the query runs, so that it can be cancelled by it.
    pub(super) fn set_query(&self, id: &str, now: Timestamp) {
        self.pending.of_user(&self.name, &self.user, now, |pending| {
            if let State::Running { query_id, .. } = &mut pending.state {
                *query_id = Some(id.to_owned());
            }
        });
    }

    /// Ends when the result shall no longer flow, and says why.
    pub(super) fn stopped(&self, stopping: &watch::Receiver<bool>) -> BoxFuture<'static, Status> {
        let (mut cancelled, stopping) = (self.cancelled.clone(), server_stops(stopping));
        Box::pin(async move {
            tokio::select! {
                () = becomes_true(&mut cancelled) => Status::cancelled("cancelled"),
                status = stopping => status,
            }
        })
    }
}

/// Ends when the server stops the work of its calls, and says so.
pub(super) fn server_stops(stopping: &watch::Receiver<bool>) -> BoxFuture<'static, Status> {
    let mut stopping = stopping.clone();
    Box::pin(async move {
        becomes_true(&mut stopping).await;
        Status::unavailable("the server is being stopped")
    })
}

impl Drop for Running {
    fn drop(&mut self) {
        self.pending.remove(&self.name);
    }
}

async fn becomes_true(value: &mut watch::Receiver<bool>) {
    if value.wait_for(|value| *value).await.is_err() {
        // Nobody is left who could say so.
        std::future::pending::<()>().await;
    }
}

/// The messages of a result, until it ends, fails, or is stopped.
pub(super) struct Flow {
    messages: Option<BoxStream<'static, Result<FlightData, Status>>>,
    stopped: BoxFuture<'static, Status>,
    /// Forgotten as soon as the result ends, so that its client never sees it afterwards.
    running: Option<Running>,
}

impl Flow {
    pub(super) fn new(
        messages: BoxStream<'static, Result<FlightData, Status>>,
        stopped: BoxFuture<'static, Status>,
        running: Running,
    ) -> Self {
        Self { messages: Some(messages), stopped, running: Some(running) }
    }
}

impl Stream for Flow {
    type Item = Result<FlightData, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(messages) = &mut this.messages else { return Poll::Ready(None) };
        if let Poll::Ready(status) = this.stopped.as_mut().poll(context) {
            (this.messages, this.running) = (None, None);
            return Poll::Ready(Some(Err(status)));
        }
        let next = messages.as_mut().poll_next(context);
        if matches!(next, Poll::Ready(None | Some(Err(_)))) {
            (this.messages, this.running) = (None, None);
        }
        next
    }
}
