//! DoAction: prepared statements, cancellation, options of the session.

use std::sync::Arc;

use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, ProstMessageExt,
};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo, Ticket,
};
use bytes::Bytes;
use cambist_sql::SqlErrorKind;
use prost::Message;
use tonic::Status;

use super::Inner;
use super::info::{refuse_transaction, schema_bytes};
use super::results::{Cancelled, name_of};
use super::session_options::{
    CloseSessionRequest, CloseSessionResult, GetSessionOptionsRequest, SetSessionOptionsRequest, closed,
    get_options, set_options,
};
use crate::authentication::Caller;
use crate::status::status_of;

const PREPARE: &str = "CreatePreparedStatement";
const CLOSE_PREPARED: &str = "ClosePreparedStatement";
const CANCEL_QUERY: &str = "CancelQuery";
const CANCEL_FLIGHT_INFO: &str = "CancelFlightInfo";
const SET_OPTIONS: &str = "SetSessionOptions";
const GET_OPTIONS: &str = "GetSessionOptions";
const CLOSE_SESSION: &str = "CloseSession";

/// Endpoints that one request to cancel may name: ours have one.
const ENDPOINTS_MAX: usize = 16;

/// The actions there are.
pub(super) fn types() -> Vec<ActionType> {
    let of = |name: &str, description: &str| ActionType {
        r#type: name.to_owned(),
        description: description.to_owned(),
    };
    vec![
        of(PREPARE, "Reads, checks and plans a statement for later"),
        of(CLOSE_PREPARED, "Forgets a prepared statement"),
        of(CANCEL_FLIGHT_INFO, "Stops the work for a result"),
        of(CANCEL_QUERY, "Stops the work for a result; older than CancelFlightInfo"),
        of(SET_OPTIONS, "Sets options of the session"),
        of(GET_OPTIONS, "Returns the options of the session"),
        of(CLOSE_SESSION, "Ends the session"),
    ]
}

impl Inner {
    /// Does what is asked, and returns the answer's bytes, where there is an answer.
    pub(super) async fn act(&self, caller: &Caller, action: &Action) -> Result<Option<Bytes>, Status> {
        match action.r#type.as_str() {
            PREPARE => {
                let request: ActionCreatePreparedStatementRequest = unpack(&action.body)?;
                let made = self.prepare(caller, request).await?;
                Ok(Some(made.as_any().encode_to_vec().into()))
            }
            CLOSE_PREPARED => {
                let request: ActionClosePreparedStatementRequest = unpack(&action.body)?;
                self.statements.close(caller, &request.prepared_statement_handle, self.clock.now());
                Ok(None)
            }
            CANCEL_FLIGHT_INFO => {
                let request: CancelFlightInfoRequest = decode(&action.body)?;
                let info = request.info.unwrap_or_default();
                let status = self.cancel(caller, &info).await?;
                Ok(Some(CancelFlightInfoResult::new(status).encode_to_vec().into()))
            }
            CANCEL_QUERY => {
                let request: ActionCancelQueryRequest = unpack(&action.body)?;
                let info = FlightInfo::decode(request.info).map_err(|error| unreadable(&error))?;
                // Both enumerations have the same numbers.
                let result = self.cancel(caller, &info).await? as i32;
                Ok(Some(ActionCancelQueryResult { result }.as_any().encode_to_vec().into()))
            }
            SET_OPTIONS => {
                let request: SetSessionOptionsRequest = decode(&action.body)?;
                Ok(Some(set_options(&self.sql, &caller.session, request)?.encode_to_vec().into()))
            }
            GET_OPTIONS => {
                let GetSessionOptionsRequest {} = decode(&action.body)?;
                Ok(Some(get_options(&caller.session).encode_to_vec().into()))
            }
            CLOSE_SESSION => {
                let CloseSessionRequest {} = decode(&action.body)?;
                let was_open =
                    caller.lasting.as_ref().is_some_and(|name| self.authenticator.sessions.close(name));
                let result: CloseSessionResult = closed(was_open);
                Ok(Some(result.encode_to_vec().into()))
            }
            other => {
                let known: Vec<String> = types().into_iter().map(|known| known.r#type).collect();
                let other: String = other.chars().take(64).flat_map(char::escape_debug).collect();
                Err(Status::unimplemented(format!(
                    "unknown action `{other}`, expected one of: {}",
                    known.join(", ")
                )))
            }
        }
    }

    async fn prepare(
        &self,
        caller: &Caller,
        request: ActionCreatePreparedStatementRequest,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        refuse_transaction(request.transaction_id.as_deref())?;
        let prepared = self.sql.prepare(&caller.session, &request.query).await.map_err(status_of)?;
        let dataset_schema = schema_bytes(prepared.result_schema())?;
        let parameter_schema = schema_bytes(prepared.parameter_schema())?;
        let handle = self.statements.keep(caller, Arc::new(prepared), self.clock.now())?;
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: handle.reveal().to_vec().into(),
            dataset_schema,
            parameter_schema,
        })
    }

    async fn cancel(&self, caller: &Caller, info: &FlightInfo) -> Result<CancelStatus, Status> {
        let fetchable =
            info.endpoint.iter().take(ENDPOINTS_MAX).filter_map(|endpoint| endpoint.ticket.clone());
        // A call that is polled has its ticket here until its row is there.
        let polled = (!info.app_metadata.is_empty()).then(|| Ticket::new(info.app_metadata.clone()));
        let mut found = false;
        for ticket in fetchable.chain(polled) {
            found |= self.cancel_result(caller, &ticket).await?;
        }
        // What is over, or not the caller's, cannot be cancelled: the answer does not tell which.
        Ok(if found { CancelStatus::Cancelled } else { CancelStatus::NotCancellable })
    }

    async fn cancel_result(&self, caller: &Caller, ticket: &Ticket) -> Result<bool, Status> {
        let (query_id, flow) = match self.results.cancel(caller, ticket, self.clock.now()) {
            None => return Ok(false),
            Some(Cancelled::BeforeItBegan) => return Ok(true),
            Some(Cancelled::AtWork { query_id, flow }) => (query_id, flow),
        };
        let was_running = match query_id {
            None => false,
            Some(query_id) => match self.sql.cancel(caller.who(), &query_id).await {
                Ok(was_running) => was_running,
                // The commit of its run has begun: it goes on, and so does who waits for it.
                Err(error) if error.kind == SqlErrorKind::Conflict => return Ok(false),
                Err(error) => return Err(status_of(error)),
            },
        };
        if let Some(flow) = flow {
            flow.send_replace(true);
            return Ok(true);
        }
        if was_running && let Some(name) = name_of(ticket) {
            self.results.take_back(caller, &name, self.clock.now());
        }
        Ok(was_running)
    }
}

fn unpack<M: ProstMessageExt>(body: &[u8]) -> Result<M, Status> {
    let any = Any::decode(body).map_err(|error| unreadable(&error))?;
    any.unpack()
        .map_err(|error| unreadable(&error))?
        .ok_or_else(|| Status::invalid_argument(format!("the body is not `{}`", M::type_url())))
}

fn decode<M: Message + Default>(body: &[u8]) -> Result<M, Status> {
    M::decode(body).map_err(|error| unreadable(&error))
}

fn unreadable(error: &dyn std::fmt::Display) -> Status {
    Status::invalid_argument(format!("the body of the action cannot be read: {error}"))
}
