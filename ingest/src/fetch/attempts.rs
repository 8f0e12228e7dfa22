//! Whether and when a request is sent again.

use std::time::Duration;

use super::FetchOptions;
use super::error::FetchError;

/// Doublings beyond that are over every limit.
const DOUBLINGS_MAX: u32 = 16;

/// Returns the pause before another attempt after `failed` ones, or nothing where none is made: the failure
/// will not pass, the attempts are used up, or the provider asks for more patience than is allowed.
pub(super) fn pause_after(
    options: &FetchOptions,
    failed: u32,
    error: &FetchError,
    random: u64,
) -> Option<Duration> {
    if !error.is_retryable() || failed >= options.attempts_max {
        return None;
    }
    let pause = next_pause(options, failed, random);
    match error.retry_after() {
        Some(wait) if wait > options.retry_after_max => None,
        Some(wait) => Some(pause.max(wait)),
        None => Some(pause),
    }
}

/// "Equal jitter": each pause is at least half of one that doubles, so that nobody's attempts end early and
/// clients that failed together part.
fn next_pause(options: &FetchOptions, failed: u32, random: u64) -> Duration {
    let doublings = failed.saturating_sub(1).min(DOUBLINGS_MAX);
    let longest = options.pause_first.saturating_mul(1 << doublings).min(options.pause_max);
    let half = longest / 2;
    let more = (u128::from(random) * half.as_nanos()) >> u64::BITS;
    half + Duration::from_nanos(u64::try_from(more).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(retry_after: Option<u64>) -> FetchError {
        let retry_after = retry_after.map(Duration::from_secs);
        FetchError::RateLimited { status: 429, said: "slow down".to_owned(), retry_after }
    }

    #[test]
    fn pauses_grow_to_their_limit_and_end() {
        let options = FetchOptions { attempts_max: 9, ..FetchOptions::default() };
        let millis = |failed, random| {
            pause_after(&options, failed, &limited(None), random).map(|pause| pause.as_millis())
        };
        let shortest: Vec<_> = (1..=9).map(|failed| millis(failed, 0)).collect();
        let seconds = [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000].map(Some);
        assert_eq!(shortest[..8], seconds);
        assert_eq!(shortest[8], None);
        assert_eq!(millis(1, u64::MAX), Some(499));
        assert_eq!(millis(8, u64::MAX), Some(29_999));
    }

    #[test]
    fn a_provider_is_left_alone_as_long_as_it_asks_within_bounds() {
        let options = FetchOptions::default();
        let pause = |error: &FetchError| pause_after(&options, 1, error, 0);
        assert_eq!(pause(&limited(Some(7))), Some(Duration::from_secs(7)));
        assert_eq!(pause(&limited(Some(0))), Some(Duration::from_millis(250)));
        assert_eq!(pause(&limited(Some(301))), None);
        assert_eq!(pause(&FetchError::Unauthorized { status: 401, said: String::new() }), None);
    }
}
