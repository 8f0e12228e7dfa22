//! Wrong passwords: the more of them, the longer until the next is looked at.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tonic::Status;

use crate::secret::Digest;

/// Wrong passwords in a row without a pause: people mistype.
const FREE: u32 = 5;
const PAUSE_MAX_SECONDS: i64 = 60;
/// After so long without a wrong password the count begins anew.
const FORGOTTEN: SignedDuration = SignedDuration::from_mins(10);
/// Names and addresses that are told apart; beyond, those that were tried longest ago are forgotten.
const KEYS_MAX: usize = 4096;

/// Counts the wrong passwords of each name from each address: somebody elsewhere cannot keep a user out. Names
/// that nobody has count alike.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    wrong: Mutex<HashMap<Key, Wrong>>,
}

type Key = (Option<IpAddr>, Digest);

#[derive(Clone, Copy, Debug)]
struct Wrong {
    count: u32,
    last: Timestamp,
}

impl Wrong {
    /// Returns the seconds until another password is looked at.
    fn pause(self, now: Timestamp) -> i64 {
        let Some(beyond) = self.count.checked_sub(FREE) else { return 0 };
        // 1, 2, 4 s and so on.
        let pause = 2_i64.checked_pow(beyond).unwrap_or(i64::MAX).min(PAUSE_MAX_SECONDS);
        (pause - now.duration_since(self.last).as_secs()).max(0)
    }

    fn is_forgotten(&self, now: Timestamp) -> bool {
        now.duration_since(self.last) >= FORGOTTEN
    }
}

impl Guesses {
    /// Refuses a password that comes too soon after wrong ones.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED, with the seconds to wait.
    pub(super) fn check(&self, address: Option<IpAddr>, user: &str, now: Timestamp) -> Result<(), Status> {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = wrong.get(&key(address, user)).map_or(0, |wrong| wrong.pause(now));
        if pause > 0 {
            return Err(Status::resource_exhausted(format!(
                "too many wrong passwords, the next is looked at in {pause} s"
            )));
        }
        Ok(())
    }

    /// Counts a password: a right one ends the count of the wrong ones.
    pub(super) fn count(&self, address: Option<IpAddr>, user: &str, is_right: bool, now: Timestamp) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key(address, user);
        if is_right {
            wrong.remove(&key);
            return;
        }
        let count = wrong.get(&key).filter(|wrong| !wrong.is_forgotten(now)).map_or(0, |wrong| wrong.count);
        if wrong.len() >= KEYS_MAX && !wrong.contains_key(&key) {
            wrong.retain(|_, wrong| !wrong.is_forgotten(now));
            let oldest = wrong.iter().min_by_key(|(_, wrong)| wrong.last).map(|(key, _)| *key);
            if let Some(oldest) = oldest.filter(|_| wrong.len() >= KEYS_MAX) {
                wrong.remove(&oldest);
            }
        }
        wrong.insert(key, Wrong { count: count.saturating_add(1), last: now });
    }
}

fn key(address: Option<IpAddr>, user: &str) -> Key {
    (address, Digest::of(user))
}
