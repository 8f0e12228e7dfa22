//! How many requests are sent in a time, and that nobody sends any while the provider wants none.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// More requests than that in one time are no limit.
const COUNT_MAX: u32 = 10_000;

/// At most so many requests in any such time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The requests.
    pub count: u32,
    /// The time.
    pub per: Duration,
}

/// A text that is no pace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no pace, expected a number from 1 to {COUNT_MAX} and a time, such as `10/s`, `60/m` or `1000/h`"
)]
pub struct InvalidPace(pub String);

impl Default for Pace {
    /// Ten requests a second: more than any provider's allowance lasts for.
    fn default() -> Self {
        Self { count: 10, per: Duration::from_secs(1) }
    }
}

impl FromStr for Pace {
    type Err = InvalidPace;

    fn from_str(text: &str) -> Result<Self, InvalidPace> {
        let refused = || InvalidPace(text.to_owned());
        let (count, unit) = text.split_once('/').ok_or_else(refused)?;
        let count: u32 = count.trim().parse().map_err(|_| refused())?;
        let seconds = match unit.trim() {
            "s" | "second" => 1,
            "m" | "minute" => 60,
            "h" | "hour" => 3600,
            "d" | "day" => 86_400,
            _ => return Err(refused()),
        };
        if !(1..=COUNT_MAX).contains(&count) {
            return Err(refused());
        }
        Ok(Self { count, per: Duration::from_secs(seconds) })
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} requests in {:?}", self.count, self.per)
    }
}

/// Gives out the moments at which requests may be sent.
#[derive(Debug)]
pub(super) struct Limiter {
    pace: Pace,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The moments given out last, at most as many as the pace allows in its time.
    given: VecDeque<Instant>,
    held_until: Option<Instant>,
}

impl Limiter {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, state: Mutex::default() }
    }

    /// Waits until a request may be sent.
    pub(super) async fn wait(&self) {
        let mut moment = self.reserve(Instant::now());
        loop {
            tokio::time::sleep_until(moment).await;
            // The provider may have asked for a rest meanwhile.
            match self.held_until() {
                Some(held) if held > moment => moment = held,
                _ => return,
            }
        }
    }

    /// Sends nothing before `moment`.
    pub(super) fn hold_until(&self, moment: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.held_until = state.held_until.max(Some(moment));
    }

    fn held_until(&self) -> Option<Instant> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).held_until
    }

    fn reserve(&self, now: Instant) -> Instant {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut moment = state.held_until.map_or(now, |held| held.max(now));
        if state.given.len() >= self.pace.count as usize
            && let Some(oldest) = state.given.pop_front()
        {
            moment = moment.max(oldest + self.pace.per);
        }
        state.given.push_back(moment);
        moment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_sees_more_requests_than_its_pace() {
        let pace: Pace = "3/s".parse().unwrap();
        let (limiter, start) = (Limiter::new(pace), Instant::now());
        let moments: Vec<_> =
            (0..8).map(|_| limiter.reserve(start).duration_since(start).as_millis()).collect();
        assert_eq!(moments, [0, 0, 0, 1000, 1000, 1000, 2000, 2000]);
        // After a rest the requests need not wait again.
        let later = start + Duration::from_secs(60);
        assert_eq!(limiter.reserve(later), later);
    }

    #[test]
    fn a_rest_that_the_provider_asks_for_holds_everybody() {
        let (limiter, start) = (Limiter::new(Pace::default()), Instant::now());
        let rest = start + Duration::from_secs(7);
        limiter.hold_until(rest);
        limiter.hold_until(start + Duration::from_secs(3));
        assert_eq!(limiter.reserve(start), rest);
    }

    #[test]
    fn paces_are_read() {
        let pace = |text: &str| text.parse::<Pace>().map(|pace| (pace.count, pace.per.as_secs()));
        assert_eq!(pace("10/s"), Ok((10, 1)));
        assert_eq!(pace("1000/h"), Ok((1000, 3600)));
        for text in ["", "10", "0/s", "-1/s", "10/w", "99999/s", "1.5/s"] {
            assert!(pace(text).is_err(), "{text}");
        }
    }
}
