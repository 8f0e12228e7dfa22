//! `cambist serve`, and what `cambist scheduler` needs to serve SQL too.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cambist_flight::{FlightSettings, Tls};
use cambist_jobs::error::{JobError, Result};
use cambist_scheduler::service::ServiceSettings;
use cambist_scheduler::{SchedulerConfig, SqlEndpoint, WorkerSettings};
use cambist_sql::SqlSettings;
use cambist_sql::audit::{AuditLog, FileAudit, TracedAudit};

use super::executor::memory_bytes;
use super::server;
use super::sql::{failure, read};
use crate::arguments::{FlightArguments, ServeArguments};
use crate::{clock, environment};

pub(super) async fn run(arguments: ServeArguments) -> Result<ExitCode> {
    let stop = server::stop_signal(false)?;
    let state_url = match arguments.state_url {
        Some(url) => url,
        None => environment::state_folder("serve", "--state-url")?.to_string_lossy().into_owned(),
    };
    let config = SchedulerConfig {
        listen: arguments.listen,
        service: ServiceSettings {
            runs_at_once: usize::from(arguments.runs_at_once),
            queue_length_max: arguments.queue_length as usize,
            stop_grace: Duration::from_secs(arguments.stop_grace),
            ..ServiceSettings::new(state_url)
        },
        workers: WorkerSettings::InProcess { cores: arguments.cores.map_or_else(clock::cores, usize::from) },
        sql: Some(endpoint(arguments.flight_listen, &arguments.flight)?),
    };
    cambist_scheduler::run(config, Arc::new(clock::now), stop).await?;
    Ok(ExitCode::SUCCESS)
}

/// What serving SQL needs to know.
pub(super) fn endpoint(listen: SocketAddr, arguments: &FlightArguments) -> Result<SqlEndpoint> {
    let mut settings = match &arguments.config {
        Some(path) => SqlSettings::from_toml(&read(path, "config")?)
            .map_err(|error| failure::of_sql(error).in_file(path))?,
        None => SqlSettings::default(),
    };
    settings.memory_bytes = usize::try_from(memory_bytes(arguments.memory_mib, 1)).ok();
    let audit: Arc<dyn AuditLog> = match &arguments.audit_log {
        Some(path) => Arc::new(FileAudit::open(path).map_err(|error| {
            JobError::usage(format!("the audit log `{}` cannot be opened", path.display())).caused_by(error)
        })?),
        None => Arc::new(TracedAudit),
    };
    let credentials = credentials_file(arguments.credentials.clone())?;
    if !credentials.exists() {
        return Err(JobError::usage(format!("no file of users at `{}`", credentials.display())).with_hint(
            "make one with `cambist users add NAME --role admin` and `cambist users password NAME`",
        ));
    }
    let flight = FlightSettings {
        listen,
        tls: tls(listen, arguments)?,
        ..FlightSettings::on_loopback(listen.port(), credentials)
    };
    Ok(SqlEndpoint { settings, flight, audit })
}

fn tls(listen: SocketAddr, arguments: &FlightArguments) -> Result<Tls> {
    if arguments.no_tls {
        return Ok(Tls::Off);
    }
    match (&arguments.tls_cert, &arguments.tls_key, &arguments.tls_self_signed) {
        (Some(certificate), Some(key), _) => {
            Ok(Tls::Files { certificate: certificate.clone(), key: key.clone() })
        }
        (_, _, Some(folder)) => {
            let ip = listen.ip();
            let names = if ip.is_unspecified() { Vec::new() } else { vec![ip.to_string()] };
            Ok(Tls::SelfSigned { folder: folder.clone(), names })
        }
        _ => Err(JobError::usage("the SQL endpoint has no certificate").with_hint(
            "give --tls-cert and --tls-key; to try it out --tls-self-signed DIR, or on loopback --no-tls",
        )),
    }
}

/// The file of users that was given, or ours.
pub(super) fn credentials_file(given: Option<PathBuf>) -> Result<PathBuf> {
    match given {
        Some(path) => Ok(path),
        None => match environment::given(environment::CREDENTIALS) {
            Some(path) => Ok(PathBuf::from(path)),
            None => environment::state_folder("users.toml", "--credentials"),
        },
    }
}
