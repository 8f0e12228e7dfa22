//! GetFlightInfo, PollFlightInfo and GetSchema: what a command will return.
//!
//! A statement that reads begins when its result is fetched. One that has effects is executed here: a client
//! need not fetch a result that it does not want, and would otherwise have done nothing.

use std::sync::Arc;

use arrow_flight::sql::{Any, Command};
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, PollInfo, SchemaAsIpc, SchemaResult};
use cambist_sql::{Executed, Prepared, StatementKind};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::ipc::writer::IpcWriteOptions;
use futures::TryStreamExt as _;
use prost::Message as _;
use tonic::Status;

use super::results::Work;
use super::{Inner, metadata};
use crate::authentication::Caller;
use crate::status::{internal, status_of};

/// A statement with effects tells of them in a row or a few.
const EFFECT_BYTES_MAX: usize = 16 << 20;

/// A statement that is ready to be executed.
struct Ready {
    prepared: Arc<Prepared>,
    parameters: Option<RecordBatch>,
}

impl Inner {
    pub(super) async fn info(
        &self,
        caller: &Caller,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo, Status> {
        let command = read_command(&descriptor.cmd)?;
        if let Some(schema) = self.facts.schema(&command) {
            let work = Work::Metadata(command);
            return self.with_result(caller, FlightInfo::new(), &schema, work, descriptor);
        }
        let Ready { prepared, parameters } = self.statement(caller, command).await?;
        let schema = Arc::clone(prepared.result_schema());
        check_parameters(&prepared, parameters.as_ref())?;
        let work = if has_effects(prepared.kind()) {
            let executed = self.sql.execute(&prepared, parameters.as_ref()).await.map_err(status_of)?;
            let batches = collect(executed).await?;
            if !prepared.returns_rows() {
                let info = FlightInfo::new().try_with_schema(&Schema::empty()).map_err(internal)?;
                return Ok(info.with_total_records(0).with_total_bytes(0).with_descriptor(descriptor));
            }
            Work::Rows { schema: Arc::clone(&schema), batches }
        } else {
            Work::Query { prepared, parameters }
        };
        self.with_result(caller, FlightInfo::new(), &schema, work, descriptor)
    }

    fn with_result(
        &self,
        caller: &Caller,
        info: FlightInfo,
        schema: &Schema,
        work: Work,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo, Status> {
        let info = info.try_with_schema(schema).map_err(internal)?.with_descriptor(descriptor);
        let ticket = self.results.issue(caller, work, self.clock.now())?;
        Ok(info.with_endpoint(FlightEndpoint::new().with_ticket(ticket)).with_ordered(true))
    }

    /// The result is ready to be fetched at once, so that the first answer is the last.
    pub(super) async fn poll(
        &self,
        caller: &Caller,
        descriptor: FlightDescriptor,
    ) -> Result<PollInfo, Status> {
        let info = self.info(caller, descriptor).await?;
        PollInfo::new().with_info(info).try_with_progress(1.0).map_err(internal)
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

    async fn statement(&self, caller: &Caller, command: Command) -> Result<Ready, Status> {
        match command {
            Command::CommandStatementQuery(query) => {
                refuse_transaction(query.transaction_id.as_deref())?;
                let prepared = self.sql.prepare(&caller.session, &query.query).await.map_err(status_of)?;
                Ok(Ready { prepared: Arc::new(prepared), parameters: None })
            }
            Command::CommandPreparedStatementQuery(query) => {
                let handle = &query.prepared_statement_handle;
                let (prepared, parameters) = self.statements.get(caller, handle, self.clock.now())?;
                Ok(Ready { prepared, parameters })
            }
            other => Err(unsupported(other.type_url())),
        }
    }
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
