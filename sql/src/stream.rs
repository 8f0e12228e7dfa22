//! A result on its way.

use std::fmt;
use std::pin::Pin;

use cambist_engine::progress::RunProgress;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use futures::Stream;

use crate::error::Result;

/// The rows of a result; dropping it cancels what is still at work for them.
pub type Rows = Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>;

/// A statement at work.
pub struct Executed {
    /// The query's id, by which it can be cancelled.
    pub query_id: String,
    /// The columns of its rows.
    pub schema: SchemaRef,
    /// Its rows. On a cluster they begin when the work is done, in this process at once.
    pub rows: Rows,
    /// How it gets on.
    pub progress: RunProgress,
}

impl fmt::Debug for Executed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executed").field("query_id", &self.query_id).field("schema", &self.schema).finish()
    }
}
