//! The refusals of a server in its audit log: each of few, and the number of many.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cambist_sql::audit::{AuditEntry, AuditLog};

use super::ClockOf;

/// One line of each address and name, then one with the number of the others.
const NOTED_EVERY: Duration = Duration::from_secs(1);
/// Addresses and names that are told apart.
const KEYS_MAX: usize = 256;

/// Notes refusals. A stranger may call as often as the network allows, and shall neither fill the disk nor hide
/// others among them.
#[derive(Clone, Debug)]
pub(super) struct Refusals {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    audit: Arc<dyn AuditLog>,
    clock: ClockOf,
    /// The refusals that were not noted, since one was.
    unnoted: Mutex<HashMap<Key, u64>>,
}

/// An address and the user of that name; both are none for those that are beyond the bound.
type Key = (Option<IpAddr>, String);

impl Refusals {
    pub(super) fn new(audit: Arc<dyn AuditLog>, clock: ClockOf) -> Self {
        Self { shared: Arc::new(Shared { audit, clock, unnoted: Mutex::default() }) }
    }

    /// Notes that somebody was refused; `user` is a user that there is, or empty.
    pub(super) fn note(&self, user: &str, peer: Option<SocketAddr>, reason: &str) {
        let mut key: Key = (peer.map(|peer| peer.ip()), user.to_owned());
        {
            let mut unnoted = self.shared.unnoted.lock().unwrap_or_else(PoisonError::into_inner);
            if unnoted.len() >= KEYS_MAX && !unnoted.contains_key(&key) {
                key = (None, String::new());
            }
            if let Some(count) = unnoted.get_mut(&key) {
                *count += 1;
                return;
            }
            unnoted.insert(key.clone(), 0);
        }
        self.shared.write(user, peer.map(|peer| peer.to_string()), reason.to_owned());
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            tokio::time::sleep(NOTED_EVERY).await;
            let unnoted = shared.unnoted.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            if let Some(count) = unnoted.filter(|count| *count > 0) {
                let (address, user) = key;
                let address = address.map(|address| address.to_string());
                shared.write(&user, address, format!("refused, {count} times more"));
            }
        });
    }
}

impl Shared {
    fn write(&self, user: &str, peer: Option<String>, error: String) {
        self.audit.note(&AuditEntry {
            at: self.clock.now().to_string(),
            user: user.to_owned(),
            peer,
            action: "authenticate".to_owned(),
            query: None,
            statement: None,
            outcome: "refused".to_owned(),
            error: Some(error),
            rows: 0,
            bytes: 0,
            seconds: 0.0,
        });
    }
}
