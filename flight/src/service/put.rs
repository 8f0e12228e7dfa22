//! DoPut: statements that return no rows, and values for parameters.

use std::sync::Arc;

use arrow_flight::sql::{Command, DoPutPreparedStatementResult, DoPutUpdateResult};
use arrow_flight::{FlightData, PutResult};
use cambist_sql::Prepared;
use datafusion::arrow::array::RecordBatch;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use prost::Message as _;
use tonic::Status;

use super::Inner;
use super::info::{check_parameters, collect, has_effects, read_command, refuse_transaction, unsupported};
use super::parameters::read_row;
use super::results::server_stops;
use super::statements::Kept;
use crate::authentication::Caller;
use crate::status::status_of;

/// What stands for a count that is not known.
const UNKNOWN_COUNT: i64 = -1;

impl Inner {
    pub(super) async fn put(
        &self,
        caller: &Caller,
        mut messages: BoxStream<'static, Result<FlightData, Status>>,
    ) -> Result<BoxStream<'static, Result<PutResult, Status>>, Status> {
        let first = messages.try_next().await?;
        let first = first.ok_or_else(|| Status::invalid_argument("no message, expected a command"))?;
        let Some(descriptor) = &first.flight_descriptor else {
            return Err(Status::invalid_argument("the first message has no descriptor, expected a command"));
        };
        let command = read_command(&descriptor.cmd)?;
        let messages = futures::stream::iter([Ok(first)]).chain(messages).boxed();
        let answer = match command {
            Command::CommandStatementUpdate(update) => {
                refuse_transaction(update.transaction_id.as_deref())?;
                let prepared = self.sql.prepare(&caller.session, &update.query).await.map_err(status_of)?;
                self.update(&Arc::new(prepared), None).await?.encode_to_vec()
            }
            Command::CommandPreparedStatementUpdate(update) => {
                let handle = &update.prepared_statement_handle;
                let sent = read_row(messages).await?;
                let Kept { prepared, parameters, .. } =
                    self.statements.get(caller, handle, self.clock.now())?;
                self.update(&prepared, sent.or(parameters).as_ref()).await?.encode_to_vec()
            }
            Command::CommandPreparedStatementQuery(query) => {
                let handle = query.prepared_statement_handle;
                // Before its values are read: they are of no use without a statement.
                self.statements.get(caller, &handle, self.clock.now())?;
                let row = read_row(messages).await?;
                self.statements.bind(caller, &handle, row, self.clock.now())?;
                DoPutPreparedStatementResult { prepared_statement_handle: Some(handle) }.encode_to_vec()
            }
            other => return Err(unsupported(other.type_url())),
        };
        let answer = PutResult { app_metadata: answer.into() };
        Ok(futures::stream::iter([Ok(answer)]).boxed())
    }

    async fn update(
        &self,
        prepared: &Prepared,
        parameters: Option<&RecordBatch>,
    ) -> Result<DoPutUpdateResult, Status> {
        if !has_effects(prepared.kind()) {
            return Err(Status::invalid_argument(format!(
                "a {} returns rows and changes nothing, expected a statement with effects\nhint: send it as a query",
                prepared.kind().as_str()
            )));
        }
        check_parameters(prepared, parameters)?;
        let returns_rows = prepared.returns_rows();
        let executed = self.sql.execute(prepared, parameters).await.map_err(status_of)?;
        tokio::select! {
            status = server_stops(&self.stopping) => return Err(status),
            rows = collect(executed) => rows?,
        };
        Ok(DoPutUpdateResult { record_count: if returns_rows { UNKNOWN_COUNT } else { 0 } })
    }
}
