//! Passwords: hashed by Argon2id, and verified a few at a time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Argon2, Params};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use crate::error::{FlightServerError, Result};
use crate::status::internal;

const SALT_BYTES: usize = 16;
/// How long a call waits for its turn: a verification takes some 20 ms.
const TURN_WAIT: Duration = Duration::from_secs(10);

/// Hashes a password with a new salt and the parameters that OWASP's password storage sheet gives first: 19 MiB,
/// two passes, one lane.
pub(super) fn hash(password: &str) -> Result<String> {
    let random = |reason: String| FlightServerError::Random { reason };
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| random(error.to_string()))?;
    let salt = SaltString::encode_b64(&salt).map_err(|error| random(error.to_string()))?;
    let hashed = Argon2::default().hash_password(password.as_bytes(), &salt);
    Ok(hashed.map_err(|error| random(error.to_string()))?.to_string())
}

/// Tells what is wrong with a hash as the file has it.
pub(super) fn check_hash(text: &str) -> Result<(), String> {
    let hash = PasswordHash::new(text).map_err(|error| error.to_string())?;
    if hash.salt.is_none() || hash.hash.is_none() || !hash.algorithm.as_str().starts_with("argon2") {
        return Err("expected `$argon2id$…` with salt and hash".to_owned());
    }
    Params::try_from(&hash).map(|_| ()).map_err(|error| error.to_string())
}

/// A hash that no password has, as costly to verify as `like`: unknown users take as long as known ones.
pub(super) fn nobodys_hash(like: Option<&str>) -> String {
    let parameters = like
        .and_then(|like| PasswordHash::new(like).ok())
        .and_then(|hash| Params::try_from(&hash).ok())
        .unwrap_or_default();
    let (memory, passes, lanes) = (parameters.m_cost(), parameters.t_cost(), parameters.p_cost());
    // 16 zero bytes of salt, 32 zero bytes of hash.
    let (salt, zeros) = ("A".repeat(22), "A".repeat(43));
    format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${zeros}")
}

/// Verifies passwords, a few at once, and of one address one fewer: others come in meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct PasswordChecks {
    turns: Arc<Semaphore>,
    of_one_address: usize,
    addresses: Arc<Mutex<HashMap<Option<IpAddr>, Weak<Semaphore>>>>,
}

/// The turn of a caller.
#[derive(Debug)]
pub(crate) struct Turn {
    _of_address: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl PasswordChecks {
    pub(crate) fn new(at_once: usize) -> Self {
        let of_one_address = at_once.saturating_sub(1).max(1);
        Self { turns: Arc::new(Semaphore::new(at_once)), of_one_address, addresses: Arc::default() }
    }

    /// Waits until a password of that address may be verified.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED where that takes too long.
    pub(crate) async fn turn(&self, address: Option<IpAddr>) -> Result<Turn, Status> {
        let own = self.turns_of(address);
        let turn = async {
            let of_address = own.acquire_owned().await.map_err(internal)?;
            let of_all = Arc::clone(&self.turns).acquire_owned().await.map_err(internal)?;
            Ok(Turn { _of_address: of_address, _of_all: of_all })
        };
        tokio::time::timeout(TURN_WAIT, turn).await.unwrap_or_else(|_| {
            Err(Status::resource_exhausted("too many clients log in at once, try again later"))
        })
    }

    /// Returns what the callers of one address share while there are some.
    fn turns_of(&self, address: Option<IpAddr>) -> Arc<Semaphore> {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turns) = addresses.get(&address).and_then(Weak::upgrade) {
            return turns;
        }
        addresses.retain(|_, turns| turns.strong_count() > 0);
        let turns = Arc::new(Semaphore::new(self.of_one_address));
        addresses.insert(address, Arc::downgrade(&turns));
        turns
    }

    /// Tells whether the password has that hash. The work ends by itself where the caller goes away.
    pub(crate) async fn matches(&self, turn: Turn, password: String, hash: String) -> Result<bool, Status> {
        let verified = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let Ok(hash) = PasswordHash::new(&hash) else { return false };
            Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
        });
        verified.await.map_err(internal)
    }
}
