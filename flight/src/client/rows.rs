//! The rows of a result as they come.

use std::pin::Pin;

use arrow_flight::decode::FlightRecordBatchStream;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use futures::{Stream, StreamExt as _, TryStreamExt as _};

use super::ClientError;

/// The rows of a result; dropping it cancels what is still at work for them.
pub struct ResultRows {
    /// The columns; none for a statement that returns no rows.
    pub schema: SchemaRef,
    /// The rows.
    pub stream: Pin<Box<dyn Stream<Item = Result<RecordBatch, ClientError>> + Send>>,
}

impl std::fmt::Debug for ResultRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResultRows").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl ResultRows {
    pub(super) fn new(schema: SchemaRef, parts: Vec<FlightRecordBatchStream>) -> Self {
        let stream = futures::stream::iter(parts).flatten().map_err(ClientError::of_flight);
        Self { schema, stream: Box::pin(stream) }
    }
}
