//! A typed client of the scheduler's HTTP interface.
//!
//! What only reads, and what is safe to send twice, is sent again while the scheduler cannot be reached: it may
//! be restarting, and its runs survive that.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cambist_jobs::error::{ErrorKind, JobError, JobFailure, Result};
use reqwest::{Method, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::ballista::ExecutorView;
use crate::http::{ClusterInfo, ExecutorList, JobList, JobView, RunPage, RunQuery, SubmitRequest};
use crate::service::RunView;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take that the scheduler does not hold back.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// For how long the scheduler may be out of reach where the caller does not say.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest time that one request waits for a change.
const WATCH_MAX: Duration = Duration::from_secs(30);
/// The pauses between tries grow from the first to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// A page of 500 runs with their options (at most 1 MiB each as sent) is far below.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Is told that the scheduler is out of reach, with the reason, before each new try.
pub type OnTrouble = Arc<dyn Fn(&str) + Send + Sync>;

/// A scheduler, by its URL.
#[derive(Clone)]
pub struct Client {
    base: Url,
    http: reqwest::Client,
    patience: Duration,
    on_trouble: Option<OnTrouble>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.base)
    }
}

impl Client {
    /// Makes a client of the scheduler at `url`, such as `http://127.0.0.1:8090`. Nothing is sent yet.
    ///
    /// # Errors
    /// Where `url` is not an `http://` URL.
    pub fn new(url: &str) -> Result<Self> {
        let refused = || {
            JobError::usage(format!("`{url}` is no scheduler's URL, expected one such as `http://host:8090`"))
        };
        let base = Url::parse(url).map_err(|_| refused())?;
        if base.scheme() != "http" || !base.has_host() {
            return Err(refused());
        }
        let http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).no_proxy().build().map_err(
            |error| JobError::new(ErrorKind::Infrastructure, "no HTTP client can be made").caused_by(error),
        )?;
        Ok(Self { base, http, patience: PATIENCE, on_trouble: None })
    }

    /// Sets for how long the scheduler may be out of reach before a call fails.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets who is told that the scheduler is out of reach.
    #[must_use]
    pub fn with_on_trouble(mut self, on_trouble: OnTrouble) -> Self {
        self.on_trouble = Some(on_trouble);
        self
    }

    /// Returns the scheduler's URL.
    pub fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Returns what an executor has to know before it joins.
    ///
    /// # Errors
    /// Where the scheduler refuses, or stays out of reach.
    pub async fn cluster(&self) -> Result<ClusterInfo> {
        self.get(self.path(&["v1", "cluster"])?, ANSWER_TIMEOUT).await
    }

    /// Tells whether the scheduler is ready; nothing is tried again.
    ///
    /// # Errors
    /// With what is missing.
    pub async fn ready(&self) -> Result<()> {
        let request = self.http.get(self.path(&["readyz"])?).timeout(CONNECT_TIMEOUT);
        let _: crate::http::Health = self.once(request).await.map_err(Trouble::into_error)?;
        Ok(())
    }

    /// Returns the registered jobs.
    ///
    /// # Errors
    /// Where the scheduler refuses, or stays out of reach.
    pub async fn jobs(&self) -> Result<Vec<JobView>> {
        let list: JobList = self.get(self.path(&["v1", "jobs"])?, ANSWER_TIMEOUT).await?;
        Ok(list.jobs)
    }

    /// Returns the registered executors.
    ///
    /// # Errors
    /// Where the scheduler refuses, or stays out of reach.
    pub async fn executors(&self) -> Result<Vec<ExecutorView>> {
        let list: ExecutorList = self.get(self.path(&["v1", "executors"])?, ANSWER_TIMEOUT).await?;
        Ok(list.executors)
    }

    /// Puts a run on record. With an id this is tried again while the scheduler is out of reach, since a
    /// second submission under one id is the same run.
    ///
    /// # Errors
    /// As the scheduler says: an unknown job or option, an id that is taken, a full queue.
    pub async fn submit(&self, request: &SubmitRequest) -> Result<RunView> {
        let patience = if request.id.is_some() { self.patience } else { Duration::ZERO };
        self.call(Method::POST, self.path(&["v1", "runs"])?, Some(request), ANSWER_TIMEOUT, patience).await
    }

    /// Returns a run as it stands.
    ///
    /// # Errors
    /// Where there is none of this id.
    pub async fn run(&self, id: &str) -> Result<RunView> {
        self.get(self.path(&["v1", "runs", id])?, ANSWER_TIMEOUT).await
    }

    /// Returns a run once its version differs from `since`, or after `wait`, of which at most 30 s are
    /// waited in one call.
    ///
    /// # Errors
    /// Where there is none of this id.
    pub async fn watch(&self, id: &str, since: u64, wait: Duration) -> Result<RunView> {
        let wait = wait.min(WATCH_MAX);
        let mut url = self.path(&["v1", "runs", id])?;
        url.query_pairs_mut()
            .append_pair("since", &since.to_string())
            .append_pair("wait", &wait.as_secs().to_string());
        self.get(url, wait + ANSWER_TIMEOUT).await
    }

    /// Follows a run to its end and returns it; `on_change` sees each change on the way.
    ///
    /// # Errors
    /// Where there is none of this id, or the scheduler stays out of reach. A failed run is no error here.
    pub async fn follow(&self, id: &str, mut on_change: impl FnMut(&RunView) + Send) -> Result<RunView> {
        let mut view = self.run(id).await?;
        loop {
            on_change(&view);
            if view.state.is_terminal() {
                return Ok(view);
            }
            view = self.watch(id, view.version, WATCH_MAX).await?;
        }
    }

    /// Returns a page of runs, newest first.
    ///
    /// # Errors
    /// Where the scheduler refuses, or stays out of reach.
    pub async fn runs(&self, query: &RunQuery) -> Result<RunPage> {
        let mut url = self.path(&["v1", "runs"])?;
        {
            let mut pairs = url.query_pairs_mut();
            if let Some(state) = query.state {
                pairs.append_pair("state", state.as_str());
            }
            if let Some(job) = &query.job {
                pairs.append_pair("job", job);
            }
            if let Some(limit) = query.limit {
                pairs.append_pair("limit", &limit.to_string());
            }
            if let Some(after) = &query.after {
                pairs.append_pair("after", after);
            }
        }
        self.get(url, ANSWER_TIMEOUT).await
    }

    /// Cancels a run and returns it as it then stands.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where it is committed or over already.
    pub async fn cancel(&self, id: &str) -> Result<RunView> {
        let url = self.path(&["v1", "runs", id])?;
        self.call(Method::DELETE, url, None::<&()>, ANSWER_TIMEOUT, self.patience).await
    }

    fn path(&self, segments: &[&str]) -> Result<Url> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| JobError::usage(format!("`{}` cannot have a path", self.base)))?
            .pop_if_empty()
            .extend(segments);
        Ok(url)
    }

    async fn get<T: DeserializeOwned>(&self, url: Url, timeout: Duration) -> Result<T> {
        self.call(Method::GET, url, None::<&()>, timeout, self.patience).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: Option<&(impl Serialize + Sync)>,
        timeout: Duration,
        patience: Duration,
    ) -> Result<T> {
        let begun = Instant::now();
        let mut pause = PAUSES.0;
        loop {
            let mut request = self.http.request(method.clone(), url.clone()).timeout(timeout);
            if let Some(body) = body {
                request = request.json(body);
            }
            let trouble = match self.once(request).await {
                Ok(answer) => return Ok(answer),
                Err(trouble) => trouble,
            };
            if !trouble.may_pass || begun.elapsed() + pause > patience {
                return Err(trouble.into_error());
            }
            if let Some(on_trouble) = &self.on_trouble {
                on_trouble(&trouble.error.message);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn once<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, Trouble> {
        let unreachable = |error: reqwest::Error| {
            let message = format!("the scheduler at {} cannot be reached", self.url());
            Trouble {
                error: JobError::new(ErrorKind::Infrastructure, message).caused_by(error.without_url()),
                may_pass: true,
            }
        };
        let mut answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                let message = format!("the answer is larger than {ANSWER_BYTES_MAX} bytes");
                return Err(Trouble::lasting(JobError::new(ErrorKind::Infrastructure, message)));
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| {
                let message = format!("{} is not a scheduler of this version", self.url());
                Trouble::lasting(JobError::usage(message).caused_by(error))
            });
        }
        Err(self.refusal(status, &body))
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> Trouble {
        // Whoever stands in between answers in other forms.
        let error = match serde_json::from_slice::<JobFailure>(body) {
            Ok(failure) => JobError::from(failure),
            Err(_) => {
                let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
                let kind =
                    if status.is_server_error() { ErrorKind::Infrastructure } else { ErrorKind::Usage };
                JobError::new(kind, format!("{} answered {status}: {text}", self.url()))
            }
        };
        let may_pass = matches!(
            status,
            StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
                | StatusCode::TOO_MANY_REQUESTS
        );
        Trouble { error, may_pass }
    }
}

/// A call that did not work out.
struct Trouble {
    error: JobError,
    /// Whether the same call may work in a moment.
    may_pass: bool,
}

impl Trouble {
    fn lasting(error: JobError) -> Self {
        Self { error, may_pass: false }
    }

    fn into_error(self) -> JobError {
        self.error
    }
}
