//! The way to an S3 service: requests that are counted and end in time, answers that are typed.
//!
//! The client library keeps its own error for a refused request to itself, so that nobody can ask it for the
//! status. This service stands below it, reads the answers that are not data, and reports those that are
//! errors as [`Answer`]s, which travel up as causes.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService, ReqwestConnector,
};

use super::answer::Answer;
use super::counters::store_metrics;

/// S3 begins to answer within seconds; the largest request, one part of an upload, is sent in this time as well.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Answers that are not an object: lists of 1,000 names, error documents.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Makes clients of an S3 service whose errors are typed.
#[derive(Debug)]
pub(super) struct AnsweringConnector {
    /// Whether requests to the store are sent unsigned.
    pub(super) is_anonymous: bool,
}

impl HttpConnector for AnsweringConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(AnsweringService { inner, is_anonymous: self.is_anonymous }))
    }
}

#[derive(Debug)]
struct AnsweringService {
    inner: HttpClient,
    is_anonymous: bool,
}

impl AnsweringService {
    /// The same client asks the sources of credentials, which have other errors.
    fn is_for_store(&self, request: &HttpRequest) -> bool {
        let signature = request.headers().get("authorization");
        let is_signed = signature.is_some_and(|signature| signature.as_bytes().starts_with(b"AWS4-"));
        is_signed || self.is_anonymous
    }
}

#[async_trait]
impl HttpService for AnsweringService {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if !self.is_for_store(&request) {
            let answered = in_time(self.inner.execute(request)).await;
            // An address without anything behind it is no reason for long patience.
            return answered.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error));
        }
        store_metrics().requests.add(1);
        let is_object = request.method().as_str() == "GET" && !is_listing(&request);
        let response = in_time(self.inner.execute(request)).await?;
        let status = response.status().as_u16();
        if is_object && response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = whole(body).await?;
        match Answer::of(status, &body) {
            Some(answer) => Err(HttpError::new(HttpErrorKind::Unknown, answer)),
            None => Ok(HttpResponse::from_parts(parts, body.into())),
        }
    }
}

fn is_listing(request: &HttpRequest) -> bool {
    request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("list-type=")))
}

async fn in_time<T>(request: impl Future<Output = Result<T, HttpError>>) -> Result<T, HttpError> {
    let silence = |_| HttpError::new(HttpErrorKind::Timeout, Answer::silence());
    tokio::time::timeout(ANSWER_TIMEOUT, request).await.map_err(silence)?
}

async fn whole(body: HttpResponseBody) -> Result<Bytes, HttpError> {
    let mut chunks = body.bytes_stream();
    let mut whole = BytesMut::new();
    while let Some(chunk) = in_time(async { chunks.next().await.transpose() }).await? {
        whole.extend_from_slice(&chunk);
        if whole.len() > ANSWER_BYTES_MAX {
            let excess = format!("an answer of more than {ANSWER_BYTES_MAX} bytes");
            return Err(HttpError::new(HttpErrorKind::Decode, std::io::Error::other(excess)));
        }
    }
    Ok(whole.freeze())
}
