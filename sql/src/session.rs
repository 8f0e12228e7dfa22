//! One connection: who asks, and the options that were set.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::access::Principal;

/// The options of a session. `SET cambist.rates = 'oxr'` sets one, `RESET cambist.rates` unsets it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionOptions {
    /// `cambist.rates`: a declared table of kind `rates`; the deployment's default where none is given.
    pub rates: Option<String>,
    /// `cambist.rates_mode`: `date` or `instant`.
    pub rates_mode: Option<String>,
    /// `cambist.rates_max_age_days`: the age above which a snapshot is too old.
    pub rates_max_age_days: Option<i64>,
    /// `cambist.rates_known_as_of`: only snapshots known by this instant count.
    pub rates_known_as_of: Option<String>,
}

/// A session; several threads may use it at once.
#[derive(Debug)]
pub struct Session {
    principal: Principal,
    /// Whether it lasts: `SET` makes sense only in one that does.
    is_lasting: bool,
    options: Mutex<SessionOptions>,
}

impl Session {
    /// Makes a session of a connection.
    pub fn new(principal: Principal) -> Self {
        Self { principal, is_lasting: true, options: Mutex::default() }
    }

    /// Makes a session for one request of a client that cannot be recognised again.
    pub fn of_request(principal: Principal, options: SessionOptions) -> Self {
        Self { principal, is_lasting: false, options: Mutex::new(options) }
    }

    /// Returns who asks.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Tells whether options that are set now are there for the next statement.
    pub fn is_lasting(&self) -> bool {
        self.is_lasting
    }

    /// Returns the options as they are.
    pub fn options(&self) -> SessionOptions {
        self.options.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes options.
    pub fn change_options(&self, change: impl FnOnce(&mut SessionOptions)) {
        change(&mut self.options.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
