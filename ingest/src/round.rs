//! One round: the questions of a plan are asked, several at once, and the answers delivered in their order.
//!
//! What was delivered stays, whatever fails later; the next round asks for the rest.

use std::collections::BTreeMap;

use cambist_udfs::rate::{InstantMicros, RateDate};
use futures::{StreamExt, stream};
use serde::Serialize;

use crate::destination::{Channel, Delivered, DeliveryError, Destination, Parcel, Received};
use crate::fetch::{Checked, Client, Condition, FetchError, Fetched, check};
use crate::provider::{Asking, Profile, Provider, Resource};
use crate::question::{Plan, Question, day_number};

/// Failures and suspects that a summary lists; all are counted.
pub const LISTED_MAX: usize = 20;

/// Requests that may be under way at once; more than that is no fetching but a flood.
pub const PARALLEL_MAX: usize = 32;

/// How many days back an earlier answer to the same request is looked for.
const CONDITION_DAYS: i32 = 7;

/// What a round works with.
pub struct Round<'a> {
    /// Who is asked.
    pub provider: &'a dyn Provider,
    /// With what.
    pub client: &'a Client,
    /// Where the answers go.
    pub destination: Box<dyn Destination>,
    /// What a request depends on.
    pub asking: Asking<'a>,
    /// Requests at once, at most [`PARALLEL_MAX`].
    pub parallel: usize,
    /// Is told after each answer how many of how many questions are done.
    pub on_progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// What became of a round's questions, for machines.
///
/// `requested` = `stored` + `unchanged` + `not_modified` + `refused` + `failed` + `left`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Documents that were to be asked for.
    pub requested: u64,
    /// Documents that are new at the destination.
    pub stored: u64,
    /// Documents that were there, byte for byte.
    pub unchanged: u64,
    /// Documents that the provider says have not changed.
    pub not_modified: u64,
    /// Documents that are none of rates, or not those asked for.
    pub refused: u64,
    /// Documents that could not be got.
    pub failed: u64,
    /// Documents that were not asked for any more after a failure that concerns all.
    pub left: u64,
    /// Stored documents of which something is held back until somebody approves.
    pub held: u64,
    /// Days that are at the destination already, so that nobody asked for them.
    pub days_there: u64,
    /// Days on which the provider published nothing.
    pub no_publication: u64,
    /// HTTP requests.
    pub requests: u64,
    /// Those of them that were sent because an earlier one failed.
    pub retries: u64,
    /// The first failures.
    pub failures: Vec<Failure>,
    /// The first of what is held back.
    pub suspects: Vec<String>,
}

/// A question without an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// What was asked: `latest`, a day, or the first and the last day with `/` between.
    pub asked: String,
    /// The stable name of what went wrong.
    pub error: &'static str,
    /// What was found.
    pub message: String,
    /// Whether the same question may be answered later.
    pub is_retryable: bool,
}

/// Why a round did not bring everything.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoundError {
    /// The provider gives nothing more; later questions were not asked.
    #[error("{asked} could not be got")]
    Fetch {
        /// What was asked.
        asked: Question,
        /// Why.
        source: FetchError,
    },
    /// The destination takes nothing more.
    #[error("{asked} could not be delivered")]
    Delivery {
        /// What was asked.
        asked: Question,
        /// Why.
        source: DeliveryError,
    },
    /// Some questions have no usable answer; the others are delivered.
    #[error("{count} of {requested} answers could not be used; the first, of {}: {}", first.asked, first.message)]
    Some {
        /// How many.
        count: u64,
        /// Of how many.
        requested: u64,
        /// The first.
        first: Box<Failure>,
    },
    /// The deliveries could not be brought to their end.
    #[error("what was delivered is safe, but the destination could not be closed")]
    Finish(#[source] DeliveryError),
}

impl RoundError {
    /// Tells whether the same round may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            // A clock is set by time servers sooner or later.
            Self::Fetch { source: FetchError::ClockSkew { is_ours, .. }, .. } => *is_ours,
            Self::Fetch { source, .. } => source.is_retryable(),
            Self::Delivery { source, .. } | Self::Finish(source) => source.is_retryable(),
            Self::Some { first, .. } => first.is_retryable,
        }
    }
}

impl Round<'_> {
    /// Asks what `plan` says, and returns what became of it.
    pub async fn run(self, plan: Plan) -> (Summary, Result<(), RoundError>) {
        let (requests_before, retries_before) = self.client.counts();
        let total = plan.questions.len() as u64;
        let mut summary = Summary {
            requested: total,
            days_there: plan.days_there,
            no_publication: plan.days_closed,
            ..Summary::default()
        };
        let client = self.client;
        let result = self.ask_all(plan.questions, &mut summary).await;
        let (requests, retries) = client.counts();
        summary.requests = requests - requests_before;
        summary.retries = retries - retries_before;
        let done =
            summary.stored + summary.unchanged + summary.not_modified + summary.refused + summary.failed;
        summary.left = total - done;
        let result = result.and_then(|()| match summary.failures.first() {
            None => Ok(()),
            Some(first) => Err(RoundError::Some {
                count: summary.refused + summary.failed,
                requested: total,
                first: Box::new(first.clone()),
            }),
        });
        (summary, result)
    }

    async fn ask_all(self, questions: Vec<Question>, summary: &mut Summary) -> Result<(), RoundError> {
        let Self { provider, client, mut destination, asking, parallel, on_progress } = self;
        let total = questions.len() as u64;
        let asks: Vec<Ask> = questions
            .into_iter()
            .map(|question| Ask::make(provider, question, &asking, destination.as_ref()))
            .collect();
        let answers = stream::iter(asks).map(|ask| async move {
            let answer = ask.fetch(provider.profile(), client).await;
            (ask, answer)
        });
        let mut answers = std::pin::pin!(answers.buffered(parallel.clamp(1, PARALLEL_MAX)));
        let mut done = 0;
        let mut stopped = Ok(());
        while let Some((ask, answer)) = answers.next().await {
            stopped = take(destination.as_mut(), summary, provider.profile(), ask, answer).await;
            if stopped.is_err() {
                break;
            }
            done += 1;
            on_progress(done, total);
        }
        let finished = destination.finish().await.map_err(RoundError::Finish);
        stopped.and(finished)
    }
}

/// A question with what is requested for it.
#[derive(Debug)]
struct Ask {
    question: Question,
    resource: Resource,
    condition: Condition,
}

impl Ask {
    fn make(
        provider: &dyn Provider,
        question: Question,
        asking: &Asking<'_>,
        destination: &dyn Destination,
    ) -> Self {
        let resource = provider.resource(&question, asking);
        let last = question.days().map_or(asking.today, |(_, last)| last);
        let condition = condition(provider.profile(), destination, day_number(last), &resource.shown());
        Self { question, resource, condition }
    }

    async fn fetch(&self, profile: &Profile, client: &Client) -> Result<Fetched<Checked>, FetchError> {
        let read = |document| {
            check(profile, &self.question, &self.resource.file_name, document, client.clock_skew_max())
        };
        client.fetch(profile, &self.resource, &self.condition, read).await
    }

    fn parcel(&self, profile: &Profile, checked: Checked) -> Parcel {
        let Checked { document, provider, rate_dates, .. } = checked;
        let mut metadata: BTreeMap<String, String> = document.metadata;
        metadata.insert("service".to_owned(), profile.name.to_owned());
        let received = Received {
            bytes: document.bytes,
            file_name: self.resource.file_name.clone(),
            known_at: InstantMicros(document.received_at.as_microsecond()),
            channel: Channel::Fetch,
            origin: self.resource.shown(),
            entered_by: None,
            metadata,
        };
        Parcel { received, provider, rate_dates }
    }
}

/// What the last answer to the same request said of itself.
fn condition(profile: &Profile, destination: &dyn Destination, last: i32, request: &str) -> Condition {
    let held = (0..=CONDITION_DAYS)
        .filter_map(|back| destination.held(profile.shapes, RateDate(last - back)))
        .find(|held| held.origin == request);
    held.map_or_else(Condition::default, |held| Condition {
        etag: held.metadata.get("etag").cloned(),
        last_modified: held.metadata.get("last_modified").cloned(),
    })
}

/// Delivers one answer and counts it; fails where nothing more can be had or delivered.
async fn take(
    destination: &mut dyn Destination,
    summary: &mut Summary,
    profile: &Profile,
    ask: Ask,
    answer: Result<Fetched<Checked>, FetchError>,
) -> Result<(), RoundError> {
    let asked = ask.question;
    let checked = match answer {
        Ok(Fetched::Read(checked)) => checked,
        Ok(Fetched::NotModified) => {
            summary.not_modified += 1;
            return Ok(());
        }
        Err(source) => {
            let is_refusal = matches!(source, FetchError::Refused { .. } | FetchError::WrongShape { .. });
            let count = if is_refusal { &mut summary.refused } else { &mut summary.failed };
            *count += 1;
            note_failure(summary, asked, source.code(), source.to_string(), source.is_retryable());
            if source.concerns_all() {
                return Err(RoundError::Fetch { asked, source });
            }
            tracing::warn!(asked = asked.code(), error = source.code(), %source, "no rates");
            return Ok(());
        }
    };
    let days_absent = checked.days_absent;
    match destination.deliver(ask.parcel(profile, checked)).await {
        Ok(Delivered::Stored { place, suspects }) => {
            tracing::info!(asked = asked.code(), place, "stored");
            summary.stored += 1;
            summary.no_publication += days_absent;
            summary.held += u64::from(!suspects.is_empty());
            let room = LISTED_MAX.saturating_sub(summary.suspects.len());
            summary.suspects.extend(suspects.into_iter().take(room));
            Ok(())
        }
        Ok(Delivered::Unchanged { place }) => {
            tracing::info!(asked = asked.code(), place, "unchanged");
            summary.unchanged += 1;
            summary.no_publication += days_absent;
            Ok(())
        }
        Err(source) if source.is_refusal() => {
            summary.refused += 1;
            let message =
                std::error::Error::source(&source).map_or_else(|| source.to_string(), ToString::to_string);
            note_failure(summary, asked, "refused", message, false);
            Ok(())
        }
        Err(source) => Err(RoundError::Delivery { asked, source }),
    }
}

fn note_failure(
    summary: &mut Summary,
    asked: Question,
    error: &'static str,
    message: String,
    is_retryable: bool,
) {
    if summary.failures.len() < LISTED_MAX {
        summary.failures.push(Failure { asked: asked.code(), error, message, is_retryable });
    }
}
