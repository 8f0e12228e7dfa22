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
pub struct ServiceRuns {
    service: JobService,
    is_kept: bool,
}

impl ServiceRuns {
    /// Makes it of `service`, whose runs go on whoever goes away.
    pub fn new(service: JobService) -> Self {
        Self { service, is_kept: true }
    }

    /// Makes it of a `service` that ends with the command which it is in, and its runs with it.
    pub fn within_command(service: JobService) -> Self {
        Self { service, is_kept: false }
    }
}

#[async_trait]
impl Runs for ServiceRuns {
    async fn submit(&self, job: &str, options: Map<String, Value>) -> Result<RunRow> {
        let submitted = self.service.submit(job, options, None).await.map_err(refused)?;
        Ok(row(submitted.run))
    }

    fn are_kept(&self) -> bool {
        self.is_kept
    }

    async fn wait(&self, run_id: &str) -> Result<RunRow> {
        let mut view = self.service.get(run_id).await.map_err(refused)?;
        while !view.state.is_terminal() {
            // A service that is being stopped would answer at once, again and again.
            if self.service.is_stopping() {
                return Err(SqlError::new(
                    SqlErrorKind::Unavailable,
                    format!("the server is being stopped, and run `{run_id}` goes on when it is back"),
                ));
            }
            view = self.service.watch(run_id, view.version, LOOK).await.map_err(refused)?;
        }
        Ok(row(view))
    }

    async fn cancel(&self, run_id: &str) -> Result<RunRow> {
        Ok(row(self.service.cancel(run_id).await.map_err(refused)?))
    }

    async fn list(&self, limit: usize) -> Result<Vec<RunRow>> {
        let listed = self.service.list(&RunFilter { limit, ..RunFilter::default() }).await;
        let listed = listed.map_err(|place| {
            SqlError::new(SqlErrorKind::Internal, format!("`{place}` is no place in the list of runs"))
        })?;
        Ok(listed.runs.into_iter().map(row).collect())
    }
}

/// An instant that cannot be read is left out: the record of one run does not hide the others.
fn row(view: RunView) -> RunRow {
    let instant = |text: String| text.parse::<jiff::Timestamp>().ok();
    RunRow {
        is_over: view.state.is_terminal(),
        state: view.state.as_str().to_owned(),
        submitted_at: instant(view.submitted_at),
        ended_at: view.finished_at.and_then(instant),
        attempts: view.attempt,
        records: view.records_done,
        seconds: view.elapsed_seconds,
        options: Value::Object(view.options),
        report: view.report,
        error: view.error.map(|failure| chain(&JobError::from(failure))),
        run_id: view.id,
        job: view.job,
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_instant_that_is_none_is_left_out_of_its_run() {
        let view = json!({
            "id": "r1", "job": "normalize", "state": "failed", "version": 2, "attempt": 1, "options": {},
            "submitted_at": "2024-05-01T00:00:00Z", "finished_at": "yesterday", "elapsed_seconds": 1.0,
            "bytes_total": 0, "bytes_done": 0, "records_done": 7, "tasks_total": 0, "tasks_done": 0,
        });
        let row = row(serde_json::from_value(view).unwrap());
        assert_eq!(row.submitted_at, Some("2024-05-01T00:00:00Z".parse().unwrap()));
        assert_eq!((row.ended_at, row.records), (None, 7));
    }
}
