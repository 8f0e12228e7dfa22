//! Sessions that last: one for each log-in, or for each client that returns our cookie.

use std::sync::{Arc, Mutex, PoisonError};

use cambist_sql::access::Principal;
use cambist_sql::{Session, SessionOptions};
use jiff::Timestamp;

use crate::credentials::{Proof, Users};
use crate::error::Result;
use crate::held::{Bound, Held};
use crate::secret::{Digest, Secret};

/// Cookies of one user that were given and did not come back yet. A client that keeps none leaves one behind with
/// each call.
const COOKIES_MAX: usize = 4096;

/// By what a session is opened. What names the one kind never opens the other: cookies are kept and logged where
/// tokens are not.
#[derive(Clone, Copy)]
enum Kind {
    Token,
    Cookie,
}

impl Kind {
    fn name(self, secret: &str) -> Digest {
        let kind = match self {
            Self::Token => "token",
            Self::Cookie => "cookie",
        };
        Digest::of(format!("{kind}:{secret}"))
    }
}

/// A session that lasts, and its name.
#[derive(Clone, Debug)]
pub(crate) struct Lasting {
    pub(crate) name: Digest,
    pub(crate) session: Arc<Session>,
}

#[derive(Debug)]
struct Opened {
    session: Arc<Session>,
    proof: Proof,
}

/// The sessions of a server.
#[derive(Debug)]
pub(crate) struct Sessions {
    opened: Held<Opened>,
    given_cookies: Held<()>,
    /// Held while a cookie that has come back for the first time opens its session: calls come side by side.
    opening: Mutex<()>,
}

impl Sessions {
    pub(crate) fn new(bound: Bound) -> Self {
        Self {
            opened: Held::new(bound),
            given_cookies: Held::new(Bound { per_user: COOKIES_MAX, ..bound }),
            opening: Mutex::default(),
        }
    }

    /// Opens a session, and returns the token that its client shall present.
    pub(crate) fn open(
        &self,
        who: Principal,
        proof: Proof,
        options: SessionOptions,
        now: Timestamp,
    ) -> Result<Secret> {
        let token = Secret::random()?;
        let user = who.name.to_string();
        let session = Session::new(who);
        session.change_options(|set| *set = options);
        let opened = Opened { session: Arc::new(session), proof };
        self.opened.insert(Kind::Token.name(&token.reveal_text()), &user, opened, now);
        Ok(token)
    }

    /// Returns the session of a token, where it has not expired and its user is still welcome.
    pub(crate) fn of_token(&self, token: &str, users: &Users, now: Timestamp) -> Option<Lasting> {
        let name = Kind::Token.name(token);
        let (session, proof) =
            self.opened.find(&name, now, |_, opened| (Arc::clone(&opened.session), opened.proof))?;
        if !users.still_holds(session.principal(), proof) {
            self.opened.remove(&name);
            return None;
        }
        Some(Lasting { name, session })
    }

    /// Makes a cookie for a client. Nothing is kept for it but its digest, until it comes back.
    pub(crate) fn give_cookie(&self, user: &str, now: Timestamp) -> Result<Secret> {
        let cookie = Secret::random()?;
        self.given_cookies.insert(Kind::Cookie.name(&cookie.reveal_text()), user, (), now);
        Ok(cookie)
    }

    /// Returns the session of a cookie; the first time that it comes back, one is opened. There is none for a
    /// cookie that was not given to that user, or whose session has expired.
    pub(crate) fn of_cookie(
        &self,
        cookie: &str,
        who: &Principal,
        proof: Proof,
        options: impl FnOnce() -> SessionOptions,
        now: Timestamp,
    ) -> Option<Lasting> {
        let name = Kind::Cookie.name(cookie);
        let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self.opened.of_user(&name, &who.name, now, |opened| Arc::clone(&opened.session));
        if let Some(session) = found {
            return (session.principal().role == who.role).then_some(Lasting { name, session });
        }
        self.given_cookies.of_user(&name, &who.name, now, |()| ())?;
        self.given_cookies.remove(&name);
        let session = Session::new(who.clone());
        session.change_options(|set| *set = options());
        let session = Arc::new(session);
        self.opened.insert(name, &who.name, Opened { session: Arc::clone(&session), proof }, now);
        Some(Lasting { name, session })
    }

    /// Ends a session.
    pub(crate) fn close(&self, name: &Digest) -> bool {
        self.opened.remove(name).is_some()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.opened.len()
    }
}
