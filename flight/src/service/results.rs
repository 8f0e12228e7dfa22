//! Results that wait to be fetched, and results that flow.
//!
//! **Invariants:** a result is fetched once, by the user, and in the session, that asked for it; who fetches
//! anything else learns only that it is not there.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow_flight::sql::{Any, Command, ProstMessageExt as _, TicketStatementQuery};
use arrow_flight::{FlightData, Ticket};
use cambist_sql::Prepared;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use futures::Stream;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use jiff::Timestamp;
use prost::Message as _;
use tokio::sync::watch;
use tonic::Status;

use crate::authentication::Caller;
use crate::held::{Bound, Held};
use crate::secret::{Digest, Secret};
use crate::status::internal;

/// What is to be done when a result is fetched.
#[derive(Debug)]
pub(super) enum Work {
    /// A statement begins.
    Query { prepared: Arc<Prepared>, parameters: Option<RecordBatch> },
    /// The rows are there already.
    Rows { schema: SchemaRef, batches: Vec<RecordBatch> },
    /// The server tells of itself.
    Metadata(Command),
}

#[derive(Debug)]
struct Pending {
    /// The session, where it lasts.
    session: Option<Digest>,
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
    /// It was told to stop; the query's id, where it has one by now.
    WhileItRan(Option<String>),
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
        let pending = Pending { session: caller.lasting, state: State::Waiting(work) };
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

    /// Cancels the result of a ticket.
    pub(super) fn cancel(&self, caller: &Caller, ticket: &Ticket, now: Timestamp) -> Option<Cancelled> {
        let name = name_of(ticket)?;
        let cancelled = self.pending.of_user(&name, caller.user(), now, |pending| {
            if !is_of(pending, caller) {
                return None;
            }
            Some(match &pending.state {
                State::Waiting(_) => Cancelled::BeforeItBegan,
                State::Running { cancel, query_id } => {
                    cancel.send_replace(true);
                    Cancelled::WhileItRan(query_id.clone())
                }
            })
        });
        let cancelled = cancelled.flatten()?;
        if matches!(cancelled, Cancelled::BeforeItBegan) {
            self.pending.remove(&name);
        }
        Some(cancelled)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }
}

fn is_of(pending: &Pending, caller: &Caller) -> bool {
    pending.session.is_none() || pending.session == caller.lasting
}

fn name_of(ticket: &Ticket) -> Option<Digest> {
    let handle: TicketStatementQuery = Any::decode(&*ticket.ticket).ok()?.unpack().ok()??;
    Some(Digest::of(handle.statement_handle))
}

/// One answer for tickets that are forged, foreign, used or too old.
fn unknown() -> Status {
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
        let (mut cancelled, mut stopping) = (self.cancelled.clone(), stopping.clone());
        Box::pin(async move {
            tokio::select! {
                () = becomes_true(&mut cancelled) => Status::cancelled("cancelled"),
                () = becomes_true(&mut stopping) => Status::unavailable("the server is being stopped"),
            }
        })
    }
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
