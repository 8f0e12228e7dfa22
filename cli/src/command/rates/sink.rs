//! `cambist rates sink`.

use std::process::ExitCode;

use cambist_ingest::kafka::KafkaAddress;
use cambist_ingest::kafka::sink_options::{BatchLimits, SinkOptions};
use cambist_jobs::error::{JobError, Result};

use super::{gates, kafka};
use crate::arguments::RatesSinkArguments;

pub(super) async fn run(arguments: RatesSinkArguments) -> Result<ExitCode> {
    let address = KafkaAddress::parse(&arguments.from)
        .map_err(|error| JobError::usage("--from cannot be used").caused_by(error))?;
    let kafka = kafka::options(&arguments.kafka)?;
    if arguments.group.is_empty() {
        return Err(JobError::usage("--group is empty, expected the name of a consumer group"));
    }
    let mebibytes = |count: u32| (count as usize) << 20;
    let options = SinkOptions {
        group: arguments.group.clone(),
        names: arguments.names,
        ledger: gates::writer_options(&arguments.gates)?,
        until_idle: arguments.until_idle,
        batch: BatchLimits {
            messages: arguments.batch_messages as usize,
            bytes: mebibytes(arguments.batch_mib),
            wait: arguments.batch_wait,
        },
        message_bytes_max: mebibytes(arguments.message_mib_max),
        store_patience: arguments.store_patience,
    };
    imp::run(&arguments, address, kafka, options).await
}

#[cfg(not(feature = "kafka"))]
mod imp {
    use std::process::ExitCode;

    use cambist_ingest::kafka::sink_options::SinkOptions;
    use cambist_ingest::kafka::{KafkaAddress, KafkaOptions, NOT_BUILT_IN};
    use cambist_jobs::error::{JobError, Result};

    use crate::arguments::RatesSinkArguments;

    pub(super) async fn run(
        _: &RatesSinkArguments,
        _: KafkaAddress,
        _: KafkaOptions,
        _: SinkOptions,
    ) -> Result<ExitCode> {
        Err(JobError::usage(NOT_BUILT_IN))
    }
}

#[cfg(feature = "kafka")]
mod imp {
    use std::process::ExitCode;
    use std::sync::Arc;
    use std::time::Instant;

    use cambist_ingest::kafka::sink::{Sink, SinkError, SinkStatus, Summary, pages};
    use cambist_ingest::kafka::sink_options::SinkOptions;
    use cambist_ingest::kafka::{KafkaAddress, KafkaFailure, KafkaOptions};
    use cambist_jobs::Stores;
    use cambist_jobs::error::{ErrorKind, JobError, Result};
    use serde::Serialize;
    use tokio::net::TcpListener;
    use tokio::sync::watch;

    use crate::arguments::RatesSinkArguments;
    use crate::command::server;
    use crate::output;
    use crate::surroundings::SURROUNDINGS;

    /// What is printed at the end, whatever it is.
    #[derive(Debug, Serialize)]
    struct Report<'a> {
        command: &'static str,
        from: String,
        to: &'a str,
        group: &'a str,
        names: &'static str,
        #[serde(flatten)]
        summary: &'a Summary,
        seconds: f64,
    }

    pub(super) async fn run(
        arguments: &RatesSinkArguments,
        address: KafkaAddress,
        kafka: KafkaOptions,
        options: SinkOptions,
    ) -> Result<ExitCode> {
        let started = Instant::now();
        let stop = server::stop_signal(false)?;
        let status = Arc::new(SinkStatus::default());
        if let Some(listen) = &arguments.listen {
            serve_pages(listen, Arc::clone(&status)).await?;
        }
        let (names, stores) = (options.names.as_str(), Stores::new());
        let (tell, told) = watch::channel(false);
        tokio::pin!(stop);
        let opening =
            Sink::open(&stores, address.clone(), &arguments.to, kafka, options, SURROUNDINGS, status);
        let sink = tokio::select! {
            sink = opening => sink.map_err(failed)?,
            // Nothing was read yet.
            () = &mut stop => return Ok(ExitCode::SUCCESS),
        };
        let working = sink.run(told);
        tokio::pin!(working);
        let (summary, result) = tokio::select! {
            ended = &mut working => ended,
            () = &mut stop => {
                tell.send_replace(true);
                working.await
            }
        };
        if !arguments.json {
            output::note(&summary.in_words());
        }
        output::json(&Report {
            command: "rates sink",
            from: address.to_string(),
            to: &arguments.to,
            group: &arguments.group,
            names,
            summary: &summary,
            seconds: started.elapsed().as_secs_f64(),
        })?;
        result.map(|()| ExitCode::SUCCESS).map_err(failed)
    }

    /// Serves the status pages from now on to the end of the process.
    async fn serve_pages(listen: &str, status: Arc<SinkStatus>) -> Result<()> {
        let unusable = |error: std::io::Error| {
            JobError::usage(format!("--listen: `{listen}` cannot be listened at")).caused_by(error)
        };
        let listener = TcpListener::bind(listen).await.map_err(unusable)?;
        let address = listener.local_addr().map_err(unusable)?;
        output::note(&format!("metrics at http://{address}/metrics"));
        tokio::spawn(async move {
            if let Err(error) = pages::serve(listener, status).await {
                tracing::error!(%error, "the status pages are gone");
            }
        });
        Ok(())
    }

    fn failed(error: SinkError) -> JobError {
        let kind = match &error {
            _ if error.is_retryable() => ErrorKind::Infrastructure,
            SinkError::Kafka { source: KafkaFailure::UnknownTopic { .. }, .. } => ErrorKind::Data,
            SinkError::Kafka { .. } | SinkError::Location(_) | SinkError::Store(_) => ErrorKind::Usage,
            _ => ErrorKind::Data,
        };
        let hint = match kind {
            ErrorKind::Infrastructure => {
                "what was committed stays; the same command again goes on from there"
            }
            _ => return JobError::new(kind, "the sink cannot work").caused_by(error),
        };
        JobError::new(kind, "the sink cannot go on").caused_by(error).with_hint(hint)
    }
}
