//! GetFlightInfo, PollFlightInfo and GetSchema: what a command will return.
//!
//! A statement that reads begins when its result is fetched. One that has effects is executed here: a client
//! need not fetch a result that it does not want, and would otherwise have done nothing. A `CALL` is submitted
//! here, and waited for by whoever fetches or polls its result.

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::sql::{Any, Command};
use arrow_flight::{
    FlightDescriptor, FlightEndpoint, FlightInfo, PollInfo, SchemaAsIpc, SchemaResult, Ticket,
};
use cambist_sql::{Executed, Prepared, StatementKind};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::ipc::writer::IpcWriteOptions;
use futures::TryStreamExt as _;
use prost::Message as _;
use tokio::sync::Mutex;
use tonic::Status;

use super::results::{Begun, Work, name_of, unknown};
use super::statements::Kept;
use super::{Inner, metadata};
use crate::authentication::Caller;
use crate::secret::Digest;
use crate::status::{internal, status_of};

/// A statement with effects tells of them in a row or a few.
const EFFECT_BYTES_MAX: usize = 16 << 20;
/// How long a poll waits for the end before it answers "not yet": clients ask again at once, and give up on an
/// answer after some 10 s or more.
const POLL_WAIT: Duration = Duration::from_secs(5);

/// The newest result of a prepared `CALL`, while nobody has fetched it. Whoever executes the statement again gets
/// that result: a client whose request was lost on the way asks twice and means one run.
pub(super) type Latest = Arc<Mutex<Option<Digest>>>;

/// A statement that is ready to be executed.
struct Ready {
    prepared: Arc<Prepared>,
    /// Of a prepared statement.
    latest: Option<Latest>,
}

impl Inner {
    pub(super) async fn info(
        &self,
        caller: &Caller,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo, Status> {
        let command = read_command(&descriptor.cmd)?;
        if let Some(schema) = self.facts.schema(&command) {
            return self.with_result(caller, &schema, Work::Metadata(command), descriptor);
        }
        let ready = self.statement(caller, command).await?;
        check_parameters(&ready.prepared, None)?;
        let schema = Arc::clone(ready.prepared.result_schema());
        match ready.prepared.kind() {
            StatementKind::Call => self.call(caller, ready, descriptor).await,
            kind if has_effects(kind) => {
                collect(self.execute(&ready).await?).await?;
                let info = FlightInfo::new().try_with_schema(&Schema::empty()).map_err(internal)?;
                Ok(info.with_total_records(0).with_total_bytes(0).with_descriptor(descriptor))
            }
            _ => self.with_result(caller, &schema, Work::Query(ready.prepared), descriptor),
        }
    }

    async fn execute(&self, ready: &Ready) -> Result<Executed, Status> {
        self.sql.execute(&ready.prepared, None).await.map_err(status_of)
    }

    /// Submits a call, or finds the one that was submitted and not fetched.
    async fn call(
        &self,
        caller: &Caller,
        ready: Ready,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo, Status> {
        let schema = ready.prepared.result_schema();
        let Some(latest) = &ready.latest else {
            let work = Work::Begun(self.execute(&ready).await?);
            return self.with_result(caller, schema, work, descriptor);
        };
        // Who asks meanwhile waits as long as a submission takes.
        let mut latest = latest.lock().await;
        let taken_back =
            latest.take().and_then(|name| self.results.take_back(caller, &name, self.clock.now()));
        let work = match taken_back {
            Some(work) => work,
            None => Work::Begun(self.execute(&ready).await?),
        };
        let info = self.with_result(caller, schema, work, descriptor)?;
        *latest = ticket_of(&info).and_then(name_of);
        Ok(info)
    }

    fn with_result(
        &self,
        caller: &Caller,
        schema: &Schema,
        work: Work,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo, Status> {
        let ticket = self.results.issue(caller, work, self.clock.now())?;
        Ok(fetchable(promised(schema, descriptor)?, ticket))
    }

    /// Says whether a result is there. One of a `CALL` is there when its run is over: until then the answer has no
    /// endpoint, but the ticket by which the call can be cancelled. Every other result can be fetched at once.
    pub(super) async fn poll(
        &self,
        caller: &Caller,
        descriptor: FlightDescriptor,
    ) -> Result<PollInfo, Status> {
        let is_first = !matches!(read_command(&descriptor.cmd)?, Command::TicketStatementQuery(_));
        let (info, ticket) = if is_first {
            let info = self.info(caller, descriptor).await?;
            let ticket = ticket_of(&info).cloned();
            (Some(info), ticket)
        } else {
            (None, Some(Ticket::new(descriptor.cmd)))
        };
        let begun = ticket.and_then(|ticket| {
            let begun = self.results.begun(caller, &ticket, self.clock.now())?;
            Some((ticket, begun))
        });
        let Some((ticket, Begun { query_id, schema })) = begun else {
            return complete(info.ok_or_else(unknown)?);
        };
        // The first answer comes at once.
        let wait = if is_first { Duration::ZERO } else { POLL_WAIT };
        let is_over = tokio::time::timeout(wait, self.sql.ended(&query_id)).await.is_ok();
        let next = FlightDescriptor::new_cmd(ticket.ticket.clone());
        let info = promised(&schema, next.clone())?;
        if is_over {
            return complete(fetchable(info, ticket));
        }
        Ok(PollInfo::new().with_info(info.with_app_metadata(ticket.ticket)).with_descriptor(next))
    }

    pub(super) async fn schema(
        &self,
        caller: &Caller,
        descriptor: &FlightDescriptor,
    ) -> Result<SchemaResult, Status> {
        let command = read_command(&descriptor.cmd)?;
        let schema = match self.facts.schema(&command) {
            Some(schema) => schema,
            None => Arc::clone(self.statement(caller, command).await?.prepared.result_schema()),
        };
        SchemaAsIpc::new(&schema, &IpcWriteOptions::default()).try_into().map_err(internal)
    }

    /// Returns a statement, bound to its values where it has some: they decide on the columns of its result.
    async fn statement(&self, caller: &Caller, command: Command) -> Result<Ready, Status> {
        match command {
            Command::CommandStatementQuery(query) => {
                refuse_transaction(query.transaction_id.as_deref())?;
                let prepared = self.sql.prepare(&caller.session, &query.query).await.map_err(status_of)?;
                Ok(Ready { prepared: Arc::new(prepared), latest: None })
            }
            Command::CommandPreparedStatementQuery(query) => {
                let handle = &query.prepared_statement_handle;
                let kept = self.statements.get(caller, handle, self.clock.now())?;
                let Kept { prepared, parameters, latest } = kept;
                let prepared = match &parameters {
                    Some(values) => Arc::new(self.sql.bind(&prepared, values).await.map_err(status_of)?),
                    None => prepared,
                };
                Ok(Ready { prepared, latest: Some(latest) })
            }
            other => Err(unsupported(other.type_url())),
        }
    }
}

/// Tells of a result's columns.
fn promised(schema: &Schema, descriptor: FlightDescriptor) -> Result<FlightInfo, Status> {
    let info = FlightInfo::new().try_with_schema(schema).map_err(internal)?;
    Ok(info.with_descriptor(descriptor).with_ordered(true))
}

fn fetchable(info: FlightInfo, ticket: Ticket) -> FlightInfo {
    info.with_endpoint(FlightEndpoint::new().with_ticket(ticket))
}

fn complete(info: FlightInfo) -> Result<PollInfo, Status> {
    PollInfo::new().with_info(info).try_with_progress(1.0).map_err(internal)
}

fn ticket_of(info: &FlightInfo) -> Option<&Ticket> {
    info.endpoint.first()?.ticket.as_ref()
}

/// Reads a command of Flight SQL.
pub(super) fn read_command(bytes: &[u8]) -> Result<Command, Status> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Status::invalid_argument(format!("the command cannot be read: {error}"))
    };
    let any = Any::decode(bytes).map_err(|error| unreadable(&error))?;
    Command::try_from(any).map_err(|error| unreadable(&error))
}

pub(super) fn unsupported(type_url: &str) -> Status {
    let name = type_url.rsplit('.').next().unwrap_or_default();
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    Status::unimplemented(format!("command `{name}` is not supported"))
}

pub(super) fn refuse_transaction(id: Option<&[u8]>) -> Result<(), Status> {
    match id {
        Some(id) if !id.is_empty() => Err(Status::unimplemented("transactions are not supported")),
        _ => Ok(()),
    }
}

/// Tells whether executing it changes something.
pub(super) fn has_effects(kind: StatementKind) -> bool {
    !matches!(kind, StatementKind::Select | StatementKind::Explain | StatementKind::Show)
}

/// Finds out here, not when the result is fetched, that values are missing.
pub(super) fn check_parameters(prepared: &Prepared, values: Option<&RecordBatch>) -> Result<(), Status> {
    let expected = prepared.parameter_schema().fields().len();
    if values.is_none() && expected > 0 {
        return Err(Status::invalid_argument(format!(
            "the statement has {expected} parameters, and none has a value\nhint: bind a row of values first"
        )));
    }
    Ok(())
}

/// Returns the rows of a statement with effects.
pub(super) async fn collect(executed: Executed) -> Result<Vec<RecordBatch>, Status> {
    let mut rows = executed.rows;
    let mut batches = Vec::new();
    let mut bytes = 0;
    while let Some(batch) = rows.try_next().await.map_err(status_of)? {
        bytes += batch.get_array_memory_size();
        if bytes > EFFECT_BYTES_MAX {
            return Err(internal("a statement with effects has returned too many rows"));
        }
        batches.push(batch);
    }
    Ok(batches)
}

/// Returns a schema as the answers to actions have it: no bytes where there are no columns.
pub(super) fn schema_bytes(schema: &Schema) -> Result<bytes::Bytes, Status> {
    if schema.fields().is_empty() {
        return Ok(bytes::Bytes::new());
    }
    metadata::ipc_schema(schema)
}
