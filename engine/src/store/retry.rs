//! How often and how long a request is tried: bounded, with pauses that grow and differ from client to client.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use object_store::{Error, Result};
use tokio::time::Instant;

use super::answer::Remedy;
use super::counters::store_metrics;
use super::refusal::{Operation, find_refusal, gave_up, refused};

/// Attempts where nobody can tell whether they help.
const BRIEF_ATTEMPTS_MAX: u32 = 4;

/// When to try again.
#[derive(Clone, Copy, Debug)]
pub(super) struct RetryPolicy {
    pub(super) attempts_max: u32,
    /// From the first attempt, or from the last byte that a read brought.
    pub(super) total_max: Duration,
    pub(super) pause_min: Duration,
    pub(super) pause_max: Duration,
}

impl RetryPolicy {
    /// Survives a minute without any service. What lasts longer is for the task's and the job's retry.
    pub(super) const PATIENT: Self = Self {
        attempts_max: 40,
        total_max: Duration::from_secs(75),
        pause_min: Duration::from_millis(50),
        pause_max: Duration::from_secs(5),
    };
}

/// What is tried, and where.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) operation: Operation,
    pub(super) bucket: std::sync::Arc<str>,
    pub(super) path: String,
}

/// The attempts at one request.
#[derive(Debug)]
pub(super) struct Attempts {
    policy: RetryPolicy,
    request: Request,
    started: Instant,
    failed: u32,
}

impl Attempts {
    pub(super) fn new(policy: RetryPolicy, request: Request) -> Self {
        Self { policy, request, started: Instant::now(), failed: 0 }
    }

    /// Tells whether an earlier attempt failed, and so may have had its effect without our knowing.
    pub(super) fn has_failed(&self) -> bool {
        self.failed > 0
    }

    /// Begins to count anew, after some progress.
    pub(super) fn reset(&mut self) {
        if self.has_failed() {
            *self = Self::new(self.policy, self.request.clone());
        }
    }

    /// Waits until another attempt is due.
    ///
    /// # Errors
    /// The final error, where none is.
    pub(super) async fn pause_after(&mut self, error: Error) -> Result<()> {
        let attempts_max = match Remedy::for_error(&error) {
            Remedy::Retry => self.policy.attempts_max,
            Remedy::RetryBriefly => BRIEF_ATTEMPTS_MAX.min(self.policy.attempts_max),
            Remedy::Never => 0,
        };
        if self.failed + 1 >= attempts_max || self.started.elapsed() >= self.policy.total_max {
            return Err(self.end(error));
        }
        self.failed += 1;
        store_metrics().retries.add(1);
        let pause = next_pause(&self.policy, self.failed, random());
        let Request { operation, path, .. } = &self.request;
        tracing::debug!(?operation, path, failed = self.failed, ?pause, %error, "store: trying again");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Returns the final error after an attempt that failed with `error`.
    pub(super) fn end(&self, error: Error) -> Error {
        let Request { operation, bucket, path } = &self.request;
        if Remedy::for_error(&error) != Remedy::Never {
            store_metrics().gave_up.add(1);
            let spent = (self.failed + 1, self.started.elapsed());
            return gave_up(*operation, bucket, path, spent, &error);
        }
        // Answers such as "not found" are as good as any; others are refusals.
        let error = refused(*operation, bucket, path, error);
        if find_refusal(&error).is_some() {
            store_metrics().refused.add(1);
        }
        error
    }

    /// Sends a request that may be sent again.
    pub(super) async fn run<T, A>(&mut self, mut attempt: impl FnMut() -> A + Send) -> Result<T>
    where
        A: Future<Output = Result<T>> + Send,
    {
        loop {
            match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => self.pause_after(error).await?,
            }
        }
    }
}

/// "Equal jitter": each pause is twice as long as the last one, and then anything from half of that on, so
/// that clients part and yet none runs out of attempts early.
/// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>
fn next_pause(policy: &RetryPolicy, failed: u32, random: u64) -> Duration {
    let doublings = failed.saturating_sub(1).min(16);
    let longest = (policy.pause_min * 2 * (1 << doublings)).min(policy.pause_max);
    let half = longest / 2;
    let more = (u128::from(random) * half.as_nanos()) >> u64::BITS;
    half + Duration::from_nanos(u64::try_from(more).unwrap_or(u64::MAX))
}

/// Good enough to keep clients apart; decides nothing else.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_differ() {
        let policy = RetryPolicy::PATIENT;
        let millis = |failed, random| next_pause(&policy, failed, random).as_millis();
        assert_eq!([1, 2, 3, 6, 7, 39].map(|failed| millis(failed, 0)), [50, 100, 200, 1600, 2500, 2500]);
        assert_eq!(
            [1, 2, 3, 6, 7, 39].map(|failed| millis(failed, u64::MAX)),
            [99, 199, 399, 3199, 4999, 4999]
        );
        assert_ne!(next_pause(&policy, 9, random()), next_pause(&policy, 9, random()));
    }

    #[test]
    fn nobody_runs_out_of_attempts_before_the_time_is_up() {
        let policy = RetryPolicy::PATIENT;
        let shortest: Duration = (1..policy.attempts_max).map(|failed| next_pause(&policy, failed, 0)).sum();
        assert!(shortest >= policy.total_max, "{shortest:?}");
    }
}
