//! Schema `system`: what the service knows of itself and of its tables.
//!
//! | table | rows | who sees what |
//! |---|---|---|
//! | `runs` | the newest runs of jobs | readers without options, report and error, which name places |
//! | `jobs` | each option of each registered job | everybody |
//! | `functions` | the functions that SQL has | everybody |
//! | `executors` | the executors of the cluster | everybody |
//! | `snapshots` | the snapshots of every declared table of rates | everybody |
//! | `commits` | the newest commits of every declared Cambist table | everybody |
//! | `quarantine` | the records that the declared Cambist tables have set aside | everybody |
//! | `queries` | statements that run, and the last ones that did | admins all, others their own |
//!
//! A declared table that cannot be opened is left out, with a warning in the log.

mod commits;
mod functions;
mod jobs;
mod quarantine;
mod queries;
mod rows;
pub(crate) mod runs;
mod snapshots;

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::Result as PlanResult;
use datafusion::execution::SessionState;

use crate::access::Principal;
use crate::catalog::{Catalog, Opening};
use crate::planning::failure::carried;
use crate::queries::Queries;
use crate::rates::RateShelf;
use crate::service::Environment;

/// The tables.
pub(crate) const NAMES: [&str; 8] =
    ["runs", "jobs", "functions", "executors", "snapshots", "commits", "quarantine", "queries"];

/// The tables that read files of declared tables.
pub(crate) const READING_FILES: [&str; 1] = ["quarantine"];

/// Returns a table's columns.
pub(crate) fn columns(name: &str) -> Option<SchemaRef> {
    match name {
        "runs" => Some(runs::columns()),
        "jobs" => Some(jobs::columns()),
        "functions" => Some(functions::columns()),
        "executors" => Some(runs::executor_columns()),
        "snapshots" => Some(snapshots::columns()),
        "commits" => Some(commits::columns()),
        "quarantine" => Some(quarantine::columns()),
        "queries" => Some(queries::columns()),
        _ => None,
    }
}

/// The tables as one statement sees them.
#[derive(Debug)]
pub(crate) struct SystemTables {
    pub(crate) environment: Environment,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) queries: Queries,
    pub(crate) shelf: Arc<RateShelf>,
    pub(crate) principal: Principal,
    pub(crate) opening: Opening,
    /// The session's functions.
    pub(crate) functions: SessionState,
}

impl SystemTables {
    /// Opens a table; its rows are those of this moment.
    pub(crate) async fn open(&self, name: &str) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        let batch = match name {
            "runs" => {
                runs::rows(self.environment.runs.as_ref(), self.principal.role).await.map_err(carried)?
            }
            "jobs" => jobs::rows()?,
            "functions" => functions::rows(&self.functions)?,
            "executors" => runs::executor_rows(&self.environment.executors.list().await)?,
            "snapshots" => snapshots::rows(&self.shelf).await?,
            "commits" => commits::rows(&self.catalog).await?,
            "quarantine" => return quarantine::table(&self.catalog, &self.opening).await.map(Some),
            "queries" => queries::rows(&self.queries.list(), &self.principal)?,
            _ => return Ok(None),
        };
        in_memory(batch).map(Some)
    }
}

fn in_memory(batch: RecordBatch) -> PlanResult<Arc<dyn TableProvider>> {
    Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
}
