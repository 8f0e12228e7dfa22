//! A Firehose delivery stream.
//!
//! Each payload is one record, followed by a line break: Firehose puts records behind each other without
//! anything between them. A stream cannot tell what it holds, and delivers at least once.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_firehose::Client;
use aws_sdk_firehose::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_firehose::operation::put_record::PutRecordError;
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::Record;
use aws_smithy_http_client::tls;
use bytes::BytesMut;
use cambist_udfs::rate::RateDate;

use super::{Delivered, DeliveryError, Destination, Held, Parcel};

/// <https://docs.aws.amazon.com/firehose/latest/dev/limits.html>: 1,000 KiB before the encoding.
const RECORD_BYTES_MAX: usize = 1000 << 10;

/// Attempts at one record, with pauses that double from a second.
const ATTEMPTS_MAX: u32 = 6;

/// From the first attempt to the last.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(75);

/// From a request to its answer.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// Names are letters, digits, `_`, `.` and `-`, at most so many.
const STREAM_CHARS_MAX: usize = 64;

/// Errors of the service that pass.
const PASSING: [&str; 5] = [
    "ServiceUnavailableException",
    "ThrottlingException",
    "LimitExceededException",
    "InternalFailure",
    "SlowDown",
];

/// Puts payloads into a delivery stream.
#[derive(Debug)]
pub struct FirehoseDestination {
    client: Client,
    stream: String,
    place: String,
}

/// A stream or a payload that cannot be used.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error(
        "`{0}` is no name of a stream, expected up to {STREAM_CHARS_MAX} letters, digits, `_`, `.` and `-`"
    )]
    Name(String),
    #[error("the payload is {0} bytes long, expected at most {RECORD_BYTES_MAX} with its line break")]
    TooLarge(usize),
}

impl FirehoseDestination {
    /// Opens the stream of `firehose://STREAM`. Region, credentials and another endpoint come from the
    /// `AWS_…` variables, the profile or the instance's role.
    ///
    /// # Errors
    /// [`DeliveryError::Failed`] where the name is none.
    pub async fn open(url: &str, stream: &str) -> Result<Self, DeliveryError> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if stream.is_empty() || stream.len() > STREAM_CHARS_MAX || !stream.bytes().all(is_part) {
            return Err(DeliveryError::Failed {
                place: url.to_owned(),
                is_retryable: false,
                source: Box::new(Unfit::Name(stream.to_owned())),
            });
        }
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .operation_timeout(OPERATION_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .build();
        let config = aws_config::from_env()
            .http_client(http)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
            .timeout_config(timeouts)
            .load()
            .await;
        Ok(Self { client: Client::new(&config), stream: stream.to_owned(), place: url.to_owned() })
    }

    fn failed(&self, error: SdkError<PutRecordError>) -> DeliveryError {
        let is_retryable = match &error {
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
            SdkError::ServiceError(answer) => {
                answer.raw().status().is_server_error()
                    || answer.err().code().is_some_and(|code| PASSING.contains(&code))
            }
            _ => false,
        };
        DeliveryError::Failed { place: self.place.clone(), is_retryable, source: Box::new(error) }
    }
}

#[async_trait]
impl Destination for FirehoseDestination {
    fn held(&self, _providers: &[&str], _date: RateDate) -> Option<Held> {
        None
    }

    async fn deliver(&mut self, parcel: Parcel) -> Result<Delivered, DeliveryError> {
        let payload = parcel.received.bytes;
        if payload.len() >= RECORD_BYTES_MAX {
            return Err(DeliveryError::Refused { source: Box::new(Unfit::TooLarge(payload.len())) });
        }
        let mut bytes = BytesMut::with_capacity(payload.len() + 1);
        bytes.extend_from_slice(&payload);
        bytes.extend_from_slice(b"\n");
        let record = Record::builder().data(Blob::new(bytes)).build();
        let record = record.map_err(|error| DeliveryError::Refused { source: Box::new(error) })?;
        let put = self.client.put_record().delivery_stream_name(&self.stream).record(record).send().await;
        let answer = put.map_err(|error| self.failed(error))?;
        let place = format!("{}: record {}", self.place, answer.record_id());
        Ok(Delivered::Stored { place, suspects: Vec::new() })
    }

    async fn finish(self: Box<Self>) -> Result<(), DeliveryError> {
        Ok(())
    }
}
