//! `cambist rates fetch`.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cambist_ingest::destination::{self, DeliveryError};
use cambist_ingest::fetch::{Client, FetchError, FetchOptions, Surroundings};
use cambist_ingest::provider::{self, Asking, Provider, Template};
use cambist_ingest::question::{Plan, Wanted};
use cambist_ingest::round::{Round, RoundError, Summary};
use cambist_jobs::Stores;
use cambist_jobs::context::seconds_since;
use cambist_jobs::error::{ErrorKind, JobError, Result};
use cambist_jobs::rates::WriterOptions;
use serde::Serialize;
use tokio::time::MissedTickBehavior;

use super::{gates, key};
use crate::arguments::RatesFetchArguments;
use crate::command::server;
use crate::progress::CountLine;
use crate::{clock, output};

/// How long a round may take to end when the command is told to stop. What it delivered stays in any case.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// The longest pause between attempts that the provider did not ask for.
const PAUSE_MAX: Duration = Duration::from_secs(30);

const SURROUNDINGS: Surroundings = Surroundings { now: clock::now, random };

/// What a round prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    command: &'static str,
    provider: &'a str,
    to: &'a str,
    #[serde(flatten)]
    summary: &'a Summary,
    seconds: f64,
}

/// Everything that does not change from round to round.
struct Fetch {
    arguments: RatesFetchArguments,
    provider: Box<dyn Provider>,
    client: Client,
    wanted: Wanted,
    base: Option<String>,
    key_origin: Option<String>,
    gates: WriterOptions,
    stores: Stores,
}

pub(super) async fn run(arguments: RatesFetchArguments) -> Result<ExitCode> {
    let every = arguments.every;
    let fetch = Fetch::prepare(arguments)?;
    match every {
        Some(interval) => fetch.repeat(interval).await,
        None => {
            fetch.round().await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

impl Fetch {
    fn prepare(arguments: RatesFetchArguments) -> Result<Self> {
        let wanted = wanted(&arguments);
        let base = arguments.base.as_deref().map(parse_base).transpose()?;
        let (provider, wants_key) = find_provider(&arguments, wanted, base.as_deref())?;
        let profile = *provider.profile();
        let found = key::find(&arguments, profile.name, profile.key_variable, wants_key)?;
        let (key, key_origin) = found.map(|found| (found.key, found.origin)).unzip();
        if let Some(base_url) = &arguments.base_url {
            provider::check_url(base_url, key.is_some())
                .map_err(|error| JobError::usage("--base-url cannot be used").caused_by(error))?;
        }
        let options = FetchOptions {
            attempts_max: arguments.attempts,
            pause_first: arguments.retry_pause,
            pause_max: PAUSE_MAX,
            retry_after_max: arguments.retry_after_max,
            answer_timeout: arguments.timeout,
            clock_skew_max: arguments.clock_skew_max,
            pace: arguments.rate_limit,
        };
        let client = Client::new(options, key, SURROUNDINGS).map_err(|error| {
            JobError::new(ErrorKind::Infrastructure, "no client can be made").caused_by(error)
        })?;
        let gates = gates::writer_options(&arguments.gates)?;
        Ok(Self { arguments, provider, client, wanted, base, key_origin, gates, stores: Stores::new() })
    }

    /// Fetches now and at every `interval`, until a signal or the last round.
    async fn repeat(&self, interval: Duration) -> Result<ExitCode> {
        if interval.is_zero() {
            return Err(JobError::usage("--every is 0, expected a time such as `1h`"));
        }
        let mut stop = std::pin::pin!(server::stop_signal(false)?);
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut rounds_left = self.arguments.rounds;
        loop {
            tokio::select! {
                () = &mut stop => return Ok(ExitCode::SUCCESS),
                _ = ticks.tick() => {}
            }
            let mut round = std::pin::pin!(self.round());
            let result = tokio::select! {
                result = &mut round => result,
                () = &mut stop => {
                    output::note("told to stop: this round is the last");
                    if tokio::time::timeout(STOP_GRACE, round).await.is_err() {
                        output::note("the round was given up; what it stored stays");
                    }
                    return Ok(ExitCode::SUCCESS);
                }
            };
            rounds_left = rounds_left.map(|rounds| rounds - 1);
            if rounds_left == Some(0) {
                return result.map(|()| ExitCode::SUCCESS);
            }
            match result {
                // A command that is wrong stays wrong.
                Err(error) if error.kind == ErrorKind::Usage => return Err(error),
                Err(error) => drop(output::report_error(&error)),
                Ok(()) => {}
            }
        }
    }

    /// One round, whose summary is printed whatever its end.
    async fn round(&self) -> Result<()> {
        let started = Instant::now();
        let now = clock::now();
        let destination =
            destination::open(&self.stores, &self.arguments.to, &self.gates, SURROUNDINGS).await;
        let destination = destination.map_err(delivery_error)?;
        let profile = self.provider.profile();
        let plan = Plan::make(self.wanted, profile, destination.as_ref(), now)
            .map_err(|error| JobError::usage("nothing can be asked for").caused_by(error))?;
        let line = CountLine::new(self.arguments.json, "documents");
        let on_progress = |done, total| line.show(done, total);
        let round = Round {
            provider: self.provider.as_ref(),
            client: &self.client,
            destination,
            asking: Asking {
                base_url: self
                    .arguments
                    .base_url
                    .as_deref()
                    .unwrap_or(profile.base_url)
                    .trim_end_matches('/'),
                base: self.base.as_deref(),
                today: now.to_zoned(jiff::tz::TimeZone::UTC).date(),
            },
            parallel: self.arguments.parallel.into(),
            on_progress: &on_progress,
        };
        let (summary, result) = round.run(plan).await;
        line.finish();
        if !self.arguments.json {
            output::note(&in_words(&summary));
        }
        let seconds = seconds_since(started);
        let (provider, to) = (profile.name, self.arguments.to.as_str());
        output::json(&Report { command: "rates fetch", provider, to, summary: &summary, seconds })?;
        result.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: RoundError) -> JobError {
        let kind = if error.is_retryable() { ErrorKind::Infrastructure } else { ErrorKind::Data };
        let hint = self.hint(&error);
        let failed = match error {
            RoundError::Fetch { asked, source } => {
                JobError::new(kind, format!("{asked} could not be got from {}", self.name()))
                    .caused_by(source)
            }
            other => JobError::new(kind, format!("not everything could be fetched from {}", self.name()))
                .caused_by(other),
        };
        match hint {
            Some(hint) => failed.with_hint(hint),
            None => failed,
        }
    }

    fn hint(&self, error: &RoundError) -> Option<String> {
        let RoundError::Fetch { source, .. } = error else { return None };
        match source {
            FetchError::Unauthorized { .. } => {
                self.key_origin.as_ref().map(|origin| format!("the key came from {origin}"))
            }
            FetchError::ClockSkew { is_ours: true, .. } => Some("set this machine's clock".to_owned()),
            _ if source.is_retryable() && matches!(self.wanted, Wanted::Range { .. }) => {
                Some("what was stored stays; the same command again goes on from there".to_owned())
            }
            _ => None,
        }
    }

    fn name(&self) -> &'static str {
        self.provider.profile().name
    }
}

fn wanted(arguments: &RatesFetchArguments) -> Wanted {
    match (arguments.date, arguments.from) {
        (Some(day), _) => Wanted::Day(day),
        (None, Some(first)) => Wanted::Range {
            first,
            last: arguments.until.unwrap_or_else(|| clock::now().to_zoned(jiff::tz::TimeZone::UTC).date()),
            in_series: arguments.series,
            again: arguments.refetch,
        },
        (None, None) => Wanted::Latest,
    }
}

/// Returns the provider, and whether it wants a key.
fn find_provider(
    arguments: &RatesFetchArguments,
    wanted: Wanted,
    base: Option<&str>,
) -> Result<(Box<dyn Provider>, bool)> {
    let name = arguments.provider.as_str();
    match (&arguments.url, &arguments.shape) {
        (Some(url), Some(shape)) if name == "url" => {
            let refused = |error| JobError::usage("--url cannot be used").caused_by(error);
            let template = Template::parse(url, shape, arguments.key_header.as_deref()).map_err(refused)?;
            template.check(wanted, base).map_err(refused)?;
            let has_key = template.has_key();
            return Ok((Box::new(template), has_key));
        }
        _ if name == "url" => return Err(JobError::usage("--provider url wants --url and --shape")),
        (Some(_), _) => {
            return Err(JobError::usage(format!("--url belongs to --provider url, not to {name}")));
        }
        _ => {}
    }
    let Some(provider) = provider::find(name) else {
        let known = provider::KNOWN.map(|provider| provider.profile().name).join(", ");
        return Err(JobError::usage(format!("unknown provider `{name}`, expected one of {known}, url")));
    };
    if base.is_some() && provider.profile().answers_with_files {
        return Err(JobError::usage(format!("{name} has one base, so --base cannot be given")));
    }
    let wants_key = provider.profile().key_variable.is_some();
    Ok((Box::new(provider), wants_key))
}

fn parse_base(text: &str) -> Result<String> {
    let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !is_code {
        return Err(JobError::usage(format!("--base is `{text}`, expected a currency code such as `EUR`")));
    }
    Ok(text.to_ascii_uppercase())
}

fn delivery_error(error: DeliveryError) -> JobError {
    let kind = if error.is_retryable() { ErrorKind::Infrastructure } else { ErrorKind::Usage };
    JobError::new(kind, "the destination cannot be opened").caused_by(error)
}

fn in_words(summary: &Summary) -> String {
    let mut parts = vec![format!("{} stored", summary.stored)];
    for (count, what) in [
        (summary.unchanged, "unchanged"),
        (summary.not_modified, "not modified"),
        (summary.refused, "refused"),
        (summary.failed, "failed"),
        (summary.left, "not asked for"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    let mut text = format!("{} of {} documents", parts.join(", "), summary.requested);
    for (count, what) in [
        (summary.days_there, "days there already"),
        (summary.no_publication, "days without a publication"),
        (summary.held, "documents partly held back until they are approved"),
        (summary.retries, "retries"),
    ] {
        if count > 0 {
            text.push_str(&format!("; {count} {what}"));
        }
    }
    text
}

/// Good enough to keep clients apart; decides nothing else.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
