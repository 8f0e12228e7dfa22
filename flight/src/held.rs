//! What the server keeps for its users under random names: sessions, tickets, prepared statements.
//!
//! Nothing is kept for ever: what was not used for a while goes, and where a user has too much, what lay idle
//! longest makes room.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::secret::Digest;

/// What one user may keep, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// Items of one user.
    pub(crate) per_user: usize,
    /// How long an item that nobody uses is kept.
    pub(crate) idle: SignedDuration,
}

/// Items by the digest of their name.
pub(crate) struct Held<V> {
    bound: Bound,
    items: Mutex<HashMap<Digest, Item<V>>>,
}

/// What becomes of an item that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Stays,
    Goes,
}

#[derive(Debug)]
struct Item<V> {
    user: String,
    used_at: Timestamp,
    /// Whether it is at work: then it neither expires nor makes room.
    is_busy: bool,
    value: V,
}

impl<V> fmt::Debug for Held<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("bound", &self.bound).finish_non_exhaustive()
    }
}

impl<V> Held<V> {
    pub(crate) fn new(bound: Bound) -> Self {
        Self { bound, items: Mutex::default() }
    }

    /// Keeps an item of a user. Where the user has too many, the one that lay idle longest goes.
    pub(crate) fn insert(&self, name: Digest, user: &str, value: V, now: Timestamp) {
        let mut items = self.lock();
        let idle = self.bound.idle;
        items.retain(|_, item| item.is_live(now, idle));
        let mut own = items.values().filter(|item| item.user == user).count();
        while own >= self.bound.per_user {
            let idle = items.iter().filter(|(_, item)| item.user == user && !item.is_busy);
            let Some(oldest) = idle.min_by_key(|(_, item)| item.used_at).map(|(name, _)| *name) else {
                break;
            };
            items.remove(&oldest);
            own -= 1;
        }
        items.insert(name, Item { user: user.to_owned(), used_at: now, is_busy: false, value });
    }

    /// Looks an item up that nobody but its bearer can name, marks it as used, and returns what `read` makes of
    /// its user and itself.
    pub(crate) fn find<T>(
        &self,
        name: &Digest,
        now: Timestamp,
        read: impl FnOnce(&str, &mut V) -> T,
    ) -> Option<T> {
        let mut items = self.lock();
        self.remove_expired(&mut items, name, now);
        let item = items.get_mut(name)?;
        item.used_at = now;
        Some(read(&item.user, &mut item.value))
    }

    /// Looks a user's item up, marks it as used, and returns what `read` makes of it. Somebody else's item is as
    /// one that is not there, and is not touched.
    pub(crate) fn of_user<T>(
        &self,
        name: &Digest,
        user: &str,
        now: Timestamp,
        read: impl FnOnce(&mut V) -> T,
    ) -> Option<T> {
        let mut items = self.lock();
        self.remove_expired(&mut items, name, now);
        let item = items.get_mut(name).filter(|item| item.user == user)?;
        item.used_at = now;
        Some(read(&mut item.value))
    }

    /// As [`Self::of_user`]; where `begin` returns something, the item is at work from then on, until it is
    /// removed.
    pub(crate) fn begin<T>(
        &self,
        name: &Digest,
        user: &str,
        now: Timestamp,
        begin: impl FnOnce(&mut V) -> Option<T>,
    ) -> Option<T> {
        let mut items = self.lock();
        self.remove_expired(&mut items, name, now);
        let item = items.get_mut(name).filter(|item| item.user == user)?;
        let begun = begin(&mut item.value)?;
        item.is_busy = true;
        Some(begun)
    }

    /// As [`Self::of_user`]; where `decide` also says so, the item is removed in the same step.
    pub(crate) fn decide<T>(
        &self,
        name: &Digest,
        user: &str,
        now: Timestamp,
        decide: impl FnOnce(&mut V) -> (T, Fate),
    ) -> Option<(T, Option<V>)> {
        let mut items = self.lock();
        self.remove_expired(&mut items, name, now);
        let item = items.get_mut(name).filter(|item| item.user == user)?;
        item.used_at = now;
        let (decided, fate) = decide(&mut item.value);
        let removed = match fate {
            Fate::Stays => None,
            Fate::Goes => items.remove(name).map(|item| item.value),
        };
        Some((decided, removed))
    }

    /// Removes an item.
    pub(crate) fn remove(&self, name: &Digest) -> Option<V> {
        self.lock().remove(name).map(|item| item.value)
    }

    /// Removes an item that has lain idle for too long, whoever asks for it.
    fn remove_expired(&self, items: &mut HashMap<Digest, Item<V>>, name: &Digest, now: Timestamp) {
        if items.get(name).is_some_and(|item| !item.is_live(now, self.bound.idle)) {
            items.remove(name);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Item<V>>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }
}

impl<V> Item<V> {
    fn is_live(&self, now: Timestamp, idle: SignedDuration) -> bool {
        self.is_busy || now.duration_since(self.used_at) < idle
    }
}
