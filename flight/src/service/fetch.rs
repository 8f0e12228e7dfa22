//! DoGet: a result flows.

use std::time::Duration;

use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::{FlightData, Ticket};
use datafusion::arrow::datatypes::SchemaRef;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use tonic::Status;

use super::Inner;
use super::results::{Flow, Work};
use crate::authentication::Caller;
use crate::status::{internal, status_of};

/// How long a client may take to read what the server tells of itself.
const METADATA_TIME: Duration = Duration::from_secs(5 * 60);

impl Inner {
    /// Begins the work of a ticket. The client draws the rows; once it is gone, so is the stream, and with it the
    /// work.
    pub(super) async fn fetch(
        &self,
        caller: &Caller,
        ticket: &Ticket,
    ) -> Result<BoxStream<'static, Result<FlightData, Status>>, Status> {
        let (work, running) = self.results.redeem(caller, ticket, self.clock.now())?;
        let mut stopped = running.stopped(&self.stopping);
        let messages = match work {
            Work::Query(prepared) => {
                let executed = tokio::select! {
                    status = &mut stopped => return Err(status),
                    executed = self.sql.execute(&prepared, None) => executed.map_err(status_of)?,
                };
                running.set_query(&executed.query_id, self.clock.now());
                self.encode(executed.schema, executed.rows.map_err(status_of).boxed())
            }
            Work::Begun(executed) => {
                running.set_query(&executed.query_id, self.clock.now());
                self.encode(executed.schema, executed.rows.map_err(status_of).boxed())
            }
            Work::Metadata(command) => {
                let rows = tokio::select! {
                    status = &mut stopped => return Err(status),
                    rows = self.facts.rows(&self.sql, &caller.session, command) => rows?,
                };
                stopped = until_late(stopped);
                self.encode(rows.schema(), futures::stream::iter([Ok(rows)]).boxed())
            }
        };
        Ok(Flow::new(messages, stopped, running).boxed())
    }

    fn encode(
        &self,
        schema: SchemaRef,
        rows: BoxStream<'static, Result<datafusion::arrow::array::RecordBatch, Status>>,
    ) -> BoxStream<'static, Result<FlightData, Status>> {
        let rows = rows.map_err(|status| FlightError::Tonic(Box::new(status)));
        let encoder = FlightDataEncoderBuilder::new()
            .with_schema(schema)
            .with_max_flight_data_size(self.batch_bytes)
            .build(rows);
        encoder.map_err(encoding).boxed()
    }
}

/// Ends a flow of rows that wait in memory and are not read.
fn until_late(stopped: BoxFuture<'static, Status>) -> BoxFuture<'static, Status> {
    Box::pin(async move {
        tokio::time::timeout(METADATA_TIME, stopped).await.unwrap_or_else(|_| {
            let seconds = METADATA_TIME.as_secs();
            Status::deadline_exceeded(format!("the rows were not read within {seconds} s"))
        })
    })
}

fn encoding(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        error => internal(error),
    }
}
