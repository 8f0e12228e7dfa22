//! The calls of Arrow Flight, each authenticated first.

mod action;
mod fetch;
mod info;
mod metadata;
mod parameters;
mod put;
mod results;
pub(crate) mod session_options;
mod sql_info;
mod statements;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use bytes::Bytes;
use cambist_sql::SqlService;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Response, Status, Streaming};

use crate::authentication::{Authenticator, Caller, ClockOf, set_cookie};
use crate::connection::Connection;
use crate::error::Result;
use crate::held::Bound;
use crate::status::internal;

use metadata::Facts;
use results::Results;
use statements::Statements;

type Messages<T> = BoxStream<'static, Result<T, Status>>;

/// The endpoint; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    sql: SqlService,
    authenticator: Authenticator,
    clock: ClockOf,
    results: Results,
    statements: Statements,
    facts: Facts,
    batch_bytes: usize,
    is_tls: bool,
    stopping: watch::Receiver<bool>,
}

/// What an endpoint is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) sql: SqlService,
    pub(crate) authenticator: Authenticator,
    pub(crate) clock: ClockOf,
    pub(crate) results: Bound,
    pub(crate) statements: Bound,
    pub(crate) batch_bytes: usize,
    pub(crate) is_tls: bool,
    /// Becomes true when results shall no longer flow.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Endpoint {
    pub(crate) fn new(parts: Parts) -> Result<Self> {
        let inner = Inner {
            sql: parts.sql,
            authenticator: parts.authenticator,
            clock: parts.clock,
            results: Results::new(parts.results),
            statements: Statements::new(parts.statements),
            facts: Facts::new()?,
            batch_bytes: parts.batch_bytes,
            is_tls: parts.is_tls,
            stopping: parts.stopping,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Refuses a call before its message is read, where its sender will not be recognised.
    pub(crate) fn screen(&self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let connection = Connection::of(request.extensions());
        if let Some(place) = self.inner.authenticator.screen(request.metadata(), &connection)? {
            // It is kept with the call.
            request.extensions_mut().insert(place);
        }
        Ok(request)
    }

    /// Returns how many results, statements and sessions are kept.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> (usize, usize, usize) {
        let inner = &self.inner;
        (inner.results.len(), inner.statements.len(), inner.authenticator.sessions.len())
    }

    /// Reads the values of parameters as a call does.
    #[cfg(test)]
    pub(crate) async fn read_row(&self, messages: Messages<FlightData>) -> Result<(), Status> {
        let read = AssertUnwindSafe(parameters::read_row(messages)).catch_unwind().await;
        read.unwrap_or_else(|_| Err(internal("a panic"))).map(|_| ())
    }

    /// Finds out who sends a call, and answers it. A panic, which is a defect of ours, ends the call alone.
    async fn answer<T>(
        &self,
        metadata: &MetadataMap,
        extensions: &Extensions,
        answer: impl AsyncFnOnce(&Inner, &Caller) -> Result<T, Status>,
    ) -> Result<Response<T>, Status> {
        let answered = AssertUnwindSafe(async {
            let caller = self.inner.authenticator.admit(metadata, &Connection::of(extensions)).await?;
            let mut response = Response::new(answer(&self.inner, &caller).await?);
            if let Some(cookie) = &caller.cookie {
                set_cookie(response.metadata_mut(), cookie, self.inner.is_tls);
            }
            Ok(response)
        });
        answered.catch_unwind().await.unwrap_or_else(|_| Err(internal("a panic, told of above")))
    }
}

#[tonic::async_trait]
impl FlightService for Endpoint {
    type HandshakeStream = Messages<HandshakeResponse>;
    type ListFlightsStream = Messages<FlightInfo>;
    type DoGetStream = Messages<FlightData>;
    type DoPutStream = Messages<PutResult>;
    type DoActionStream = Messages<arrow_flight::Result>;
    type ListActionsStream = Messages<ActionType>;
    type DoExchangeStream = Messages<FlightData>;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let connection = Connection::of(request.extensions());
        let token = self.inner.authenticator.log_in(request.metadata(), &connection).await?;
        let text = token.reveal_text();
        let mut bearer = tonic::metadata::AsciiMetadataValue::try_from(format!("Bearer {text}"))
            .map_err(|_| internal("the token does not fit into a header"))?;
        bearer.set_sensitive(true);
        let answer = HandshakeResponse { protocol_version: 0, payload: Bytes::from(text) };
        let mut response = Response::new(futures::stream::iter([Ok(answer)]).boxed());
        response.metadata_mut().insert("authorization", bearer);
        Ok(response)
    }

    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        let (metadata, extensions, _) = request.into_parts();
        let none = async |_: &Inner, _: &Caller| Ok(futures::stream::empty().boxed());
        self.answer(&metadata, &extensions, none).await
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let (metadata, extensions, descriptor) = request.into_parts();
        let answer = async |inner: &Inner, caller: &Caller| inner.info(caller, descriptor).await;
        self.answer(&metadata, &extensions, answer).await
    }

    async fn poll_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        let (metadata, extensions, descriptor) = request.into_parts();
        let answer = async |inner: &Inner, caller: &Caller| inner.poll(caller, descriptor).await;
        self.answer(&metadata, &extensions, answer).await
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let (metadata, extensions, descriptor) = request.into_parts();
        let answer = async |inner: &Inner, caller: &Caller| inner.schema(caller, &descriptor).await;
        self.answer(&metadata, &extensions, answer).await
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let (metadata, extensions, ticket) = request.into_parts();
        let answer = async |inner: &Inner, caller: &Caller| inner.fetch(caller, &ticket).await;
        self.answer(&metadata, &extensions, answer).await
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        let (metadata, extensions, messages) = request.into_parts();
        let answer = async |inner: &Inner, caller: &Caller| inner.put(caller, messages.boxed()).await;
        self.answer(&metadata, &extensions, answer).await
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let (metadata, extensions, action) = request.into_parts();
        let answer = async |inner: &Inner, caller: &Caller| {
            let body = inner.act(caller, &action).await?;
            let answers = body.map(|body| Ok(arrow_flight::Result::new(body)));
            Ok(futures::stream::iter(answers).boxed())
        };
        self.answer(&metadata, &extensions, answer).await
    }

    async fn list_actions(
        &self,
        request: Request<Empty>,
    ) -> Result<Response<Self::ListActionsStream>, Status> {
        let (metadata, extensions, _) = request.into_parts();
        let answer = async |_: &Inner, _: &Caller| {
            Ok(futures::stream::iter(action::types().into_iter().map(Ok)).boxed())
        };
        self.answer(&metadata, &extensions, answer).await
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        let (metadata, extensions, _) = request.into_parts();
        let refuse = async |_: &Inner, _: &Caller| Err(Status::unimplemented("DoExchange is not supported"));
        self.answer(&metadata, &extensions, refuse).await
    }
}
