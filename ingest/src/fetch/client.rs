//! The client of all providers.
//!
//! The key is put into a request at the last moment, redirects are followed by hand, and errors of the
//! library lose their URL, so that the key is seen by the provider alone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, StatusCode, Url};
use tokio::time::Instant;

use super::answer::classify;
use super::attempts::pause_after;
use super::error::FetchError;
use super::error_document::bounded;
use super::pace::Limiter;
use super::retry_after::{http_date, retry_after};
use super::{BODY_BYTES_MAX, FetchOptions, Surroundings};
use crate::provider::{Profile, Resource};
use crate::secret::ApiKey;

/// A service that is there accepts a connection in this time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Redirects within one service that are followed.
const REDIRECTS_MAX: u32 = 3;

/// The headers that are kept with a document, and their names there.
const KEPT_HEADERS: [(HeaderName, &str); 3] = [
    (header::ETAG, "etag"),
    (header::LAST_MODIFIED, "last_modified"),
    (header::CONTENT_TYPE, "content_type"),
];

/// What an earlier answer to the same request said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Its `ETag`.
    pub etag: Option<String>,
    /// Its `Last-Modified`.
    pub last_modified: Option<String>,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Document {
    /// The body, byte for byte.
    pub bytes: Bytes,
    /// When its last byte was received.
    pub received_at: Timestamp,
    /// What the answer says of itself: `etag`, `last_modified`, `content_type`.
    pub metadata: BTreeMap<String, String>,
}

/// What a request brought.
#[derive(Clone, Debug)]
pub enum Fetched<T> {
    /// A document that was read.
    Read(T),
    /// Nothing new since the answer that the condition is of.
    NotModified,
}

/// Asks providers.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    options: FetchOptions,
    limiter: Limiter,
    key: Option<ApiKey>,
    surroundings: Surroundings,
    requests: AtomicU64,
    retries: AtomicU64,
}

impl Client {
    /// Makes a client that sends `key` with each request whose resource has a place for it.
    ///
    /// # Errors
    /// [`FetchError::InvalidRequest`] where TLS cannot be set up on this machine.
    pub fn new(
        options: FetchOptions,
        key: Option<ApiKey>,
        surroundings: Surroundings,
    ) -> Result<Self, FetchError> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("cambist/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(options.answer_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            // Whoever asks one small document after the other gains nothing from more.
            .http1_only()
            .build()
            .map_err(|error| FetchError::InvalidRequest {
                at: "any provider".to_owned(),
                source: Box::new(error.without_url()),
            })?;
        let limiter = Limiter::new(options.pace);
        let (requests, retries) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { http, options, limiter, key, surroundings, requests, retries })
    }

    /// How long another clock may be ahead of this machine's.
    pub(crate) fn clock_skew_max(&self) -> Duration {
        self.options.clock_skew_max
    }

    /// Requests that were sent, and how many of them because an earlier one failed.
    pub fn counts(&self) -> (u64, u64) {
        (self.requests.load(Ordering::Relaxed), self.retries.load(Ordering::Relaxed))
    }

    /// Gets a document and reads it, with as many attempts as may help.
    ///
    /// # Errors
    /// [`FetchError`] of the last attempt, that of `read` included.
    pub async fn fetch<T>(
        &self,
        profile: &Profile,
        resource: &Resource,
        condition: &Condition,
        read: impl Fn(Document) -> Result<T, FetchError>,
    ) -> Result<Fetched<T>, FetchError> {
        let mut failed = 0;
        loop {
            self.limiter.wait().await;
            let error = match self.attempt(profile, resource, condition).await {
                Ok(None) => return Ok(Fetched::NotModified),
                Ok(Some(document)) => match read(document) {
                    Ok(value) => return Ok(Fetched::Read(value)),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            failed += 1;
            let error = self.scrubbed(error);
            let Some(pause) = pause_after(&self.options, failed, &error, (self.surroundings.random)()) else {
                return Err(error);
            };
            self.retries.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(request = resource.shown(), failed, ?pause, %error, "trying again");
            let moment = Instant::now() + pause;
            if error.retry_after().is_some() {
                self.limiter.hold_until(moment);
            }
            tokio::time::sleep_until(moment).await;
        }
    }

    /// One attempt; nothing where the document has not changed.
    async fn attempt(
        &self,
        profile: &Profile,
        resource: &Resource,
        condition: &Condition,
    ) -> Result<Option<Document>, FetchError> {
        let response = self.send(resource, condition).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let now = (self.surroundings.now)();
        if status == StatusCode::NOT_MODIFIED && *condition != Condition::default() {
            return Ok(None);
        }
        let header = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let wait = header(header::RETRY_AFTER).and_then(|value| retry_after(value, now));
        let body = match self.body(resource, response).await {
            // The status says enough.
            Err(_) if !status.is_success() => Bytes::new(),
            body => body?,
        };
        classify(profile, status, wait, &body)?;
        self.check_clock(header(header::DATE).and_then(http_date), now)?;
        if self.key.as_ref().is_some_and(|key| key.is_in(&body)) {
            return Err(FetchError::KeyInAnswer);
        }
        let received_at = (self.surroundings.now)();
        Ok(Some(Document { bytes: body, received_at, metadata: self.kept(&headers) }))
    }

    async fn send(&self, resource: &Resource, condition: &Condition) -> Result<Response, FetchError> {
        let mut url = resource.with_key(self.key.as_ref()).map_err(|error| invalid(resource, error))?;
        let headers = self.headers(resource, condition)?;
        for _ in 0..=REDIRECTS_MAX {
            self.requests.fetch_add(1, Ordering::Relaxed);
            let sent = self.http.get(url.clone()).headers(headers.clone()).send().await;
            let response = sent.map_err(|error| unreachable(resource, error))?;
            if !is_redirect(response.status()) {
                return Ok(response);
            }
            let target = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            let target = target.and_then(|target| url.join(target).ok()).unwrap_or_else(|| url.clone());
            let is_same = target.origin() == url.origin();
            let is_safe = self.key.is_none() && (target.scheme() == "https" || url.scheme() == "http");
            if target == url || !(is_same || is_safe) {
                return Err(FetchError::Moved { to: address(&target) });
            }
            url = target;
        }
        Err(FetchError::Moved { to: address(&url) })
    }

    fn headers(&self, resource: &Resource, condition: &Condition) -> Result<HeaderMap, FetchError> {
        let mut headers = HeaderMap::new();
        headers
            .insert(header::ACCEPT, HeaderValue::from_static("application/json, application/xml, */*;q=0.5"));
        for (name, value) in
            [(header::IF_NONE_MATCH, &condition.etag), (header::IF_MODIFIED_SINCE, &condition.last_modified)]
        {
            if let Some(Ok(value)) = value.as_deref().map(HeaderValue::from_str) {
                headers.insert(name, value);
            }
        }
        if let (Some(key_header), Some(key)) = (&resource.header, &self.key) {
            let name = HeaderName::from_bytes(key_header.name.as_bytes())
                .map_err(|error| invalid(resource, error))?;
            let value = format!("{}{}", key_header.prefix, key.reveal());
            let mut value = HeaderValue::from_str(&value).map_err(|error| invalid(resource, error))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(headers)
    }

    async fn body(&self, resource: &Resource, mut response: Response) -> Result<Bytes, FetchError> {
        let mut body = BytesMut::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(body.freeze()),
                Err(error) if error.is_timeout() => return Err(unreachable(resource, error)),
                Err(_) => {
                    let detail = format!("the connection ended after {} bytes", body.len());
                    return Err(FetchError::Truncated { detail });
                }
            }
            if body.len() > BODY_BYTES_MAX {
                return Err(FetchError::TooLarge { limit: BODY_BYTES_MAX });
            }
        }
    }

    fn check_clock(&self, theirs: Option<Timestamp>, ours: Timestamp) -> Result<(), FetchError> {
        let limit = self.options.clock_skew_max;
        let ahead = theirs.and_then(|theirs| Duration::try_from(theirs.duration_since(ours)).ok());
        match ahead {
            Some(ahead) if ahead > limit => {
                Err(FetchError::ClockSkew { what: "the provider's clock", ahead, limit, is_ours: true })
            }
            _ => Ok(()),
        }
    }

    fn kept(&self, headers: &HeaderMap) -> BTreeMap<String, String> {
        let mut kept = BTreeMap::new();
        for (name, key) in KEPT_HEADERS {
            if let Some(Ok(value)) = headers.get(name).map(HeaderValue::to_str) {
                kept.insert(key.to_owned(), self.scrubbed_text(&bounded(value)));
            }
        }
        kept
    }

    fn scrubbed_text(&self, text: &str) -> String {
        self.key.as_ref().map_or_else(|| text.to_owned(), |key| key.scrub(text))
    }

    /// Strikes the key out of what the provider said: some repeat it.
    fn scrubbed(&self, mut error: FetchError) -> FetchError {
        match &mut error {
            FetchError::Unauthorized { said: text, .. }
            | FetchError::RateLimited { said: text, .. }
            | FetchError::ServerError { said: text, .. }
            | FetchError::ErrorBody { said: text, .. }
            | FetchError::NotJson { excerpt: text }
            | FetchError::Moved { to: text }
            | FetchError::Refused { detail: text, .. } => *text = self.scrubbed_text(text),
            _ => {}
        }
        error
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn invalid(resource: &Resource, error: impl std::error::Error + Send + Sync + 'static) -> FetchError {
    FetchError::InvalidRequest { at: resource.shown(), source: Box::new(error) }
}

fn unreachable(resource: &Resource, error: reqwest::Error) -> FetchError {
    FetchError::Unreachable { at: resource.shown(), source: error.without_url() }
}

/// Scheme, host and path; a redirect may repeat a key in its parameters.
fn address(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}
