//! Which statements are being prepared: so many of each user, and so many of all.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::access::Principal;
use crate::error::{Result, SqlError, SqlErrorKind};
use crate::settings::Limits;

/// Counts the statements that are being prepared, beside those that are at work.
#[derive(Debug)]
pub(crate) struct Preparing {
    /// Of all users at once.
    at_once_max: usize,
    by_user: Mutex<HashMap<Arc<str>, usize>>,
}

impl Preparing {
    pub(crate) fn new(at_once_max: usize) -> Self {
        Self { at_once_max, by_user: Mutex::default() }
    }

    /// Counts one until what is returned is dropped. A user may prepare as many statements at once as may be at
    /// work.
    ///
    /// # Errors
    /// [`Exhausted`](SqlErrorKind::Exhausted) where there are as many as may be.
    pub(crate) fn begin(&self, principal: &Principal, limits: Limits) -> Result<BeingPrepared<'_>> {
        let mut by_user = self.by_user();
        let own = by_user.get(&principal.name).copied().unwrap_or_default();
        let message = if own >= limits.concurrent_queries {
            format!("{own} statements of `{}` are being prepared, as many as may be at once", principal.name)
        } else if by_user.values().sum::<usize>() >= self.at_once_max {
            "too many statements are being prepared".to_owned()
        } else {
            by_user.insert(Arc::clone(&principal.name), own + 1);
            return Ok(BeingPrepared { of: self, user: Arc::clone(&principal.name) });
        };
        Err(SqlError::new(SqlErrorKind::Exhausted, message).with_hint("try again in a moment"))
    }

    fn by_user(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.by_user.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A statement that is being prepared.
#[derive(Debug)]
pub(crate) struct BeingPrepared<'a> {
    of: &'a Preparing,
    user: Arc<str>,
}

impl Drop for BeingPrepared<'_> {
    fn drop(&mut self) {
        let mut by_user = self.of.by_user();
        match by_user.get_mut(&self.user) {
            Some(own) if *own > 1 => *own -= 1,
            _ => {
                by_user.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;

    #[test]
    fn nobody_takes_the_places_of_all() {
        let preparing = Preparing::new(3);
        let limits = Limits { concurrent_queries: 2, ..Limits::default() };
        let [ana, eve] = ["ana", "eve"].map(|name| Principal::new(name, Role::Reader));
        let begin = |who: &Principal| preparing.begin(who, limits);
        let held = [begin(&eve).unwrap(), begin(&eve).unwrap()];
        assert!(begin(&eve).unwrap_err().message.starts_with("2 statements of `eve` are being prepared"));
        let last = begin(&ana).unwrap();
        assert_eq!(begin(&ana).unwrap_err().message, "too many statements are being prepared");
        drop(held);
        let _next = begin(&ana).unwrap();
        drop(last);
        begin(&eve).unwrap();
        assert_eq!(preparing.by_user().values().sum::<usize>(), 1);
    }
}
