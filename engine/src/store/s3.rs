//! One S3 bucket, as the environment describes it.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{BackoffConfig, ClientConfigKey, RetryConfig};

use super::StoreError;
use super::http::AnsweringConnector;
use super::retry::RetryPolicy;
use super::retrying::RetryingStore;

/// All retries are ours: the client library's are invisible, keep an expired signature, and do not cover
/// broken lists, completions and creations.
const NO_RETRIES: RetryConfig = RetryConfig {
    backoff: BackoffConfig { init_backoff: Duration::ZERO, max_backoff: Duration::ZERO, base: 1.0 },
    max_retries: 0,
    retry_timeout: Duration::ZERO,
};

/// The client library's limit covers the whole body, however slowly it is consumed; silence is limited by us.
const REQUEST_TIMEOUT: &str = "1day";

pub(super) fn from_environment(bucket: &str) -> Result<RetryingStore<AmazonS3>, StoreError> {
    let builder = AmazonS3Builder::from_env();
    let skips_signature = builder.get_config_value(&AmazonS3ConfigKey::SkipSignature);
    let is_anonymous = skips_signature.is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let built = builder
        .with_bucket_name(bucket)
        .with_retry(NO_RETRIES)
        .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), REQUEST_TIMEOUT)
        .with_http_connector(AnsweringConnector { is_anonymous })
        .build()
        .map_err(|source| StoreError::Configuration { bucket: bucket.to_owned(), source })?;
    Ok(RetryingStore::new(Arc::new(built), bucket, RetryPolicy::PATIENT))
}
