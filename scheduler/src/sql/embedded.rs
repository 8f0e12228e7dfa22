//! SQL inside a command: no server, nothing that outlives it.

use std::sync::Arc;

use cambist_engine::execution::InProcess;
use cambist_engine::store::Stores;
use cambist_jobs::error::{ErrorKind, JobError, JobFailure};
use cambist_sql::audit::TracedAudit;
use cambist_sql::{Environment, NoExecutors, SqlService, SqlSettings};
use tempfile::TempDir;

use super::ServiceRuns;
use crate::service::{Clock, JobService, ServiceSettings};

/// A SQL service with a job service of its own, both in this process. What they keep goes with them.
#[derive(Debug)]
pub struct EmbeddedSql {
    service: SqlService,
    jobs: JobService,
    /// Removed at the end.
    _folder: TempDir,
}

impl EmbeddedSql {
    /// Starts it; plans run as `cores` tasks at once.
    ///
    /// # Errors
    /// Where the settings do not hold together, or there is no room for temporary files.
    pub async fn start(settings: SqlSettings, cores: usize, clock: Clock) -> Result<Self, JobError> {
        let folder = tempfile::Builder::new().prefix("cambist-sql-").tempdir().map_err(|error| {
            JobError::new(ErrorKind::Infrastructure, "no temporary folder can be made").caused_by(error)
        })?;
        let place = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let stores = Stores::new();
        let execution = Arc::new(InProcess { cores });
        let jobs = JobService::start(
            ServiceSettings::new(place("runs")),
            stores.clone(),
            Arc::clone(&execution) as _,
            Arc::clone(&clock),
        )
        .await
        .map_err(|error| JobError::from(JobFailure::from(&error)))?;
        let environment = Environment {
            stores,
            execution,
            runs: Arc::new(ServiceRuns::within_command(jobs.clone())),
            executors: Arc::new(NoExecutors),
            audit: Arc::new(TracedAudit),
            clock,
            state_url: place("sql"),
        };
        let service = SqlService::start(settings, environment)
            .await
            .map_err(|error| JobError { hint: error.hint.clone(), ..JobError::usage(error.message) })?;
        Ok(Self { service, jobs, _folder: folder })
    }

    /// Returns the service.
    pub fn service(&self) -> &SqlService {
        &self.service
    }

    /// Ends it; runs at work are given up.
    pub async fn stop(self) {
        self.jobs.stop().await;
    }
}

#[cfg(test)]
mod tests {
    use cambist_sql::Session;
    use cambist_sql::access::{Principal, Role};

    use super::*;

    /// A run that nobody waits for would be given up with the command, and nobody would hear of it.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_run_that_is_left_alone_is_refused() {
        let settings = SqlSettings { allows_every_location: true, ..SqlSettings::default() };
        let clock: Clock = Arc::new(|| jiff::Timestamp::UNIX_EPOCH);
        let sql = EmbeddedSql::start(settings, 1, clock).await.unwrap();
        let session = Arc::new(Session::new(Principal::new("local", Role::Admin)));
        let statement = "CALL compact(output => '/nowhere', wait => false)";
        let prepared = sql.service().prepare(&session, statement).await.unwrap();
        let error = sql.service().execute(&prepared, None).await.unwrap_err();
        assert_eq!(error.message, "`wait` is false, and a run ends with this process");
        let runs = ServiceRuns::within_command(sql.jobs.clone());
        assert!(cambist_sql::Runs::list(&runs, 10).await.unwrap().is_empty());
        sql.stop().await;
    }
}
