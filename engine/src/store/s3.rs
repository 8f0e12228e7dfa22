//! One S3 bucket, as the environment describes it.

use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{BackoffConfig, RetryConfig};

use super::StoreError;

/// A service that is down for longer is a matter for the job's own retry.
const RETRIES_MAX: usize = 8;
const RETRY_TIMEOUT: Duration = Duration::from_secs(90);
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

pub(super) fn from_environment(bucket: &str) -> Result<AmazonS3, StoreError> {
    let backoff = BackoffConfig { init_backoff: BACKOFF_MIN, max_backoff: BACKOFF_MAX, base: 2.0 };
    AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_retry(RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT })
        .build()
        .map_err(|source| StoreError::Configuration { bucket: bucket.to_owned(), source })
}
