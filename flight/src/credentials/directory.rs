//! The users as a running server knows them: read again whenever the file has changed.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use cambist_sql::access::{Principal, Role};
use jiff::{SignedDuration, Timestamp};

use super::{Credentials, HASH_MARK, User, password};
use crate::error::{FlightServerError, Result};
use crate::secret::Digest;

/// How a user has shown who they are. A session lives as long as this still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// By the password that has a hash of this digest.
    Password(Digest),
    /// By the token of this digest.
    Token(Digest),
}

/// The users of one state of the file.
pub(crate) struct Users {
    credentials: Credentials,
    tokens: HashMap<String, String>,
    nobodys_hash: String,
}

/// What a change of the file changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
    /// Also another owner or mode.
    changed: (i64, i64),
}

/// What was read last.
#[derive(Debug)]
struct Known {
    stamp: Option<Stamp>,
    users: Arc<Users>,
    unreadable: Option<Unreadable>,
}

/// A file that cannot be used.
#[derive(Clone, Copy, Debug)]
struct Unreadable {
    since: Timestamp,
    looked_at: Timestamp,
}

/// How long the users of a file that cannot be read any more stay in force: time to mend it. Beyond, it may be that
/// somebody was removed from it.
const UNREADABLE_GRACE: SignedDuration = SignedDuration::from_mins(5);
/// How often a file that cannot be read is looked at, unless it changes.
const UNREADABLE_PAUSE: SignedDuration = SignedDuration::from_secs(10);

/// Reads the users again where the file has changed.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    known: RwLock<Known>,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}

impl Users {
    fn new(credentials: Credentials) -> Self {
        let tokens = credentials.users.iter().flat_map(|(name, user)| {
            user.tokens.iter().map(|token| (token.clone(), name.clone())).collect::<Vec<_>>()
        });
        let tokens = tokens.collect();
        let like = credentials.users.values().find_map(|user| user.password.as_deref());
        let nobodys_hash = password::nobodys_hash(like);
        Self { credentials, tokens, nobodys_hash }
    }

    /// Returns the hash that a password must have; for an unknown user one that none has.
    pub(crate) fn password_hash(&self, name: &str) -> (&str, Option<Principal>) {
        let user = self.credentials.users.get(name);
        match user.and_then(|user| user.password.as_deref().map(|hash| (hash, user.role))) {
            Some((hash, role)) => (hash, Some(principal(name, role))),
            None => (&self.nobodys_hash, None),
        }
    }

    /// Returns who bears a token.
    pub(crate) fn bearer(&self, token: &Digest) -> Option<Principal> {
        let name = self.tokens.get(&format!("{HASH_MARK}{}", token.text()))?;
        Some(principal(name, self.credentials.users.get(name)?.role))
    }

    /// Tells whether there is such a user.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.credentials.users.contains_key(name)
    }

    /// Tells whether a user is still who they have shown to be, with the same role.
    pub(crate) fn still_holds(&self, who: &Principal, proof: Proof) -> bool {
        let holds = |user: &User| match proof {
            Proof::Password(digest) => user.password.as_ref().is_some_and(|hash| Digest::of(hash) == digest),
            Proof::Token(digest) => user.tokens.contains(&format!("{HASH_MARK}{}", digest.text())),
        };
        self.credentials.users.get(&*who.name).is_some_and(|user| user.role == who.role && holds(user))
    }
}

fn principal(name: &str, role: Role) -> Principal {
    Principal::new(name, role)
}

impl Directory {
    /// Reads the file.
    pub(crate) fn open(path: PathBuf) -> Result<Self> {
        let file = |source| FlightServerError::File { action: "read", path: path.clone(), source };
        let stamp = stamp(&path).map_err(file)?;
        let text = std::fs::read_to_string(&path).map_err(file)?;
        let credentials = Credentials::from_toml(&text)
            .map_err(|reason| FlightServerError::Credentials { path: path.clone(), reason })?;
        let users = Arc::new(Users::new(credentials));
        Ok(Self { path, known: RwLock::new(Known { stamp: Some(stamp), users, unreadable: None }) })
    }

    /// Returns the users as the file has them now. Where it cannot be read or is not valid, the users are those
    /// that it had, for some minutes, and then none; the log says so.
    pub(crate) fn users(&self, now: Timestamp) -> Arc<Users> {
        // One look at a local file's inode takes microseconds, and the file itself is small.
        let stamp = stamp(&self.path).ok();
        {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if !known.is_to_be_read(stamp, now) {
                return Arc::clone(&known.users);
            }
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.is_to_be_read(stamp, now) {
            known.stamp = stamp;
            let text = std::fs::read_to_string(&self.path).map_err(|error| error.to_string());
            match text.and_then(|text| Credentials::from_toml(&text)) {
                Ok(credentials) => {
                    known.users = Arc::new(Users::new(credentials));
                    known.unreadable = None;
                }
                Err(reason) => self.keep_for_a_while(&mut known, &reason, now),
            }
        }
        Arc::clone(&known.users)
    }

    fn keep_for_a_while(&self, known: &mut Known, reason: &str, now: Timestamp) {
        let path = self.path.display();
        let since = known.unreadable.map_or(now, |unreadable| unreadable.since);
        known.unreadable = Some(Unreadable { since, looked_at: now });
        if now.duration_since(since) < UNREADABLE_GRACE {
            let minutes = UNREADABLE_GRACE.as_secs() / 60;
            tracing::error!(%path, reason, %since, minutes, "the credentials cannot be read; those before stay for a while");
        } else {
            known.users = Arc::new(Users::new(Credentials::default()));
            tracing::error!(%path, reason, %since, "the credentials cannot be read; nobody comes in");
        }
    }
}

impl Known {
    fn is_to_be_read(&self, stamp: Option<Stamp>, now: Timestamp) -> bool {
        let is_old = |unreadable: Unreadable| now.duration_since(unreadable.looked_at) >= UNREADABLE_PAUSE;
        self.stamp != stamp || self.unreadable.is_some_and(is_old)
    }
}

fn stamp(path: &PathBuf) -> io::Result<Stamp> {
    let found = std::fs::metadata(path)?;
    Ok(Stamp {
        inode: found.ino(),
        length: found.len(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}
