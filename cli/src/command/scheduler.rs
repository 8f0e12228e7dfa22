//! `cambist scheduler`.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cambist_jobs::error::{JobError, Result};
use cambist_scheduler::ballista::ClusterSettings;
use cambist_scheduler::service::ServiceSettings;
use cambist_scheduler::{SchedulerConfig, WorkerSettings};

use super::{serve, server};
use crate::arguments::{FlightArguments, SchedulerArguments};
use crate::{clock, environment};

pub(super) async fn run(arguments: SchedulerArguments) -> Result<ExitCode> {
    let stop = server::stop_signal(arguments.detached)?;
    cambist_scheduler::run(config(arguments)?, Arc::new(clock::now), stop).await?;
    Ok(ExitCode::SUCCESS)
}

fn config(arguments: SchedulerArguments) -> Result<SchedulerConfig> {
    let state_url = match arguments.state_url {
        Some(url) => url,
        None => environment::state_folder("scheduler", "--state-url")?.to_string_lossy().into_owned(),
    };
    let rpc_external_host = match arguments.external_host {
        Some(host) => host,
        None => address_of(arguments.rpc_listen)?,
    };
    let sql = match arguments.flight_listen {
        Some(listen) => Some(serve::endpoint(listen, &arguments.flight)?),
        None => {
            refuse_in_vain(&arguments.flight)?;
            None
        }
    };
    let seconds = Duration::from_secs;
    let defaults = ClusterSettings::default();
    Ok(SchedulerConfig {
        listen: Some(arguments.listen),
        service: ServiceSettings {
            runs_at_once: usize::from(arguments.runs_at_once),
            queue_length_max: arguments.queue_length as usize,
            stop_grace: seconds(arguments.stop_grace),
            ..ServiceSettings::new(state_url)
        },
        workers: WorkerSettings::Cluster(ClusterSettings {
            rpc_listen: arguments.rpc_listen,
            rpc_external_host,
            executor_timeout: seconds(arguments.executor_timeout),
            // A short patience is meant: looking for the lost must not take longer than it.
            expire_interval: defaults.expire_interval.min(seconds(arguments.executor_timeout) / 4),
            executor_wait: seconds(arguments.executor_wait),
            stall_timeout: seconds(arguments.stall_timeout),
            resubmissions_max: arguments.resubmissions,
            ..defaults
        }),
        sql,
    })
}

/// What says how SQL is served is a mistake where it is not.
fn refuse_in_vain(flight: &FlightArguments) -> Result<()> {
    match flight.given() {
        None => Ok(()),
        Some(flag) => Err(JobError::usage(format!("{flag} is given, and SQL is not served"))
            .with_hint("say where with --flight-listen HOST:PORT, or leave it out")),
    }
}

/// The host of an address, where it names one: executors call the scheduler back.
fn address_of(rpc_listen: SocketAddr) -> Result<String> {
    if rpc_listen.ip().is_unspecified() {
        return Err(JobError::usage(format!(
            "--rpc-listen is {rpc_listen}, which names no host that executors could call; give --external-host"
        )));
    }
    Ok(rpc_listen.ip().to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::arguments::{Arguments, Command};

    #[test]
    fn what_says_how_sql_is_served_is_refused_where_it_is_not() {
        for (given, flag) in [
            ("--no-tls", "--no-tls"),
            ("--config=server.toml", "--config"),
            ("--credentials=users.toml", "--credentials"),
            ("--audit-log=audit.jsonl", "--audit-log"),
        ] {
            let words = ["cambist", "scheduler", "--state-url=state", given];
            let Command::Scheduler(arguments) = Arguments::parse_from(words).command else {
                panic!("{given}")
            };
            let error = config(*arguments).unwrap_err();
            assert_eq!(error.to_string(), format!("{flag} is given, and SQL is not served"));
            assert!(error.hint.unwrap().contains("--flight-listen"));
        }
    }
}
