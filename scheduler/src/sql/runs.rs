//! The job service as those who call jobs in SQL see it.

use std::time::Duration;

use async_trait::async_trait;
use cambist_engine::failure::chain;
use cambist_jobs::error::JobError;
use cambist_sql::{Result, RunRow, Runs, SqlError, SqlErrorKind};
use serde_json::{Map, Value};

use crate::service::{JobService, RunFilter, RunView, ServiceError};

/// How long one look at a run waits for a change; then the next one begins.
const LOOK: Duration = Duration::from_secs(30);

/// Runs jobs by a job service.
#[derive(Clone, Debug)]
pub struct ServiceRuns(JobService);

impl ServiceRuns {
    /// Makes it of `service`.
    pub fn new(service: JobService) -> Self {
        Self(service)
    }
}

#[async_trait]
impl Runs for ServiceRuns {
    async fn submit(&self, job: &str, options: Map<String, Value>) -> Result<RunRow> {
        let submitted = self.0.submit(job, options, None).await.map_err(refused)?;
        row(submitted.run)
    }

    async fn wait(&self, run_id: &str) -> Result<RunRow> {
        let mut view = self.0.get(run_id).await.map_err(refused)?;
        while !view.state.is_terminal() {
            // A service that is being stopped would answer at once, again and again.
            if self.0.is_stopping() {
                return Err(SqlError::new(
                    SqlErrorKind::Unavailable,
                    format!("the server is being stopped, and run `{run_id}` goes on when it is back"),
                ));
            }
            view = self.0.watch(run_id, view.version, LOOK).await.map_err(refused)?;
        }
        row(view)
    }

    async fn cancel(&self, run_id: &str) -> Result<RunRow> {
        row(self.0.cancel(run_id).await.map_err(refused)?)
    }

    async fn list(&self, limit: usize) -> Result<Vec<RunRow>> {
        let listed = self.0.list(&RunFilter { limit, ..RunFilter::default() }).await;
        let listed = listed.map_err(|place| {
            SqlError::new(SqlErrorKind::Internal, format!("`{place}` is no place in the list of runs"))
        })?;
        listed.runs.into_iter().map(row).collect()
    }
}

fn row(view: RunView) -> Result<RunRow> {
    let instant = |text: String| {
        text.parse::<jiff::Timestamp>().map_err(|error| {
            SqlError::new(SqlErrorKind::Internal, format!("`{text}` is no instant of a run: {error}"))
        })
    };
    Ok(RunRow {
        is_over: view.state.is_terminal(),
        state: view.state.as_str().to_owned(),
        submitted_at: instant(view.submitted_at)?,
        ended_at: view.finished_at.map(instant).transpose()?,
        attempts: view.attempt,
        records: view.records_done,
        seconds: view.elapsed_seconds,
        options: Value::Object(view.options),
        report: view.report,
        error: view.error.map(|failure| chain(&JobError::from(failure))),
        run_id: view.id,
        job: view.job,
    })
}

fn refused(error: ServiceError) -> SqlError {
    let kind = match &error {
        ServiceError::InvalidId { .. } => SqlErrorKind::Invalid,
        ServiceError::NotFound { .. } => SqlErrorKind::NotFound,
        ServiceError::IdTaken { .. } | ServiceError::TooLate { .. } => SqlErrorKind::Conflict,
        ServiceError::QueueFull { .. } => SqlErrorKind::Exhausted,
        error if error.is_retryable() => SqlErrorKind::Unavailable,
        _ => SqlErrorKind::Internal,
    };
    match error {
        ServiceError::Invalid(error) => error.into(),
        error => SqlError::new(kind, chain(&error)),
    }
}
