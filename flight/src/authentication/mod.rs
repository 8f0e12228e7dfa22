//! Who sends a call: decided here, for every call, before anything else is looked at. What tokens tell is decided
//! before the call's message is even read.
//!
//! **Invariant:** a refusal says the same and takes the same way, whatever was wrong.

mod guesses;
mod header;
mod refusals;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use cambist_sql::access::Principal;
use cambist_sql::audit::{AuditEntry, AuditLog};
use cambist_sql::{Clock, Session};
use tonic::Status;
use tonic::metadata::MetadataMap;

use crate::connection::{Connection, Place};
use crate::credentials::{Directory, PasswordChecks, Proof, Users};
use crate::secret::{Digest, Secret};
use crate::sessions::Sessions;
use crate::status::internal;

use guesses::Guesses;
use header::Presented;
pub(crate) use header::{clear_cookie, set_cookie};
use refusals::Refusals;

/// What each refusal says.
const REFUSAL: &str = "not authenticated: expected a user and password, or a token, that are valid";
const OVER: &str = "the session has ended, and its options with it: send the call again for a new session";
/// Connections whose bearer was noted in the audit log; beyond, some are noted again.
const NOTED_MAX: usize = 8192;

/// Who sends a call, and in which session.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The session; it may be one of this call alone.
    pub(crate) session: Arc<Session>,
    /// The name of the session, where it lasts.
    pub(crate) lasting: Option<Digest>,
    /// A cookie to offer, where the session does not last.
    pub(crate) cookie: Option<Secret>,
}

impl Caller {
    pub(crate) fn who(&self) -> &Principal {
        self.session.principal()
    }

    pub(crate) fn user(&self) -> &str {
        &self.who().name
    }
}

/// Decides who sends a call.
#[derive(Debug)]
pub(crate) struct Authenticator {
    pub(crate) directory: Directory,
    pub(crate) passwords: PasswordChecks,
    pub(crate) sessions: Sessions,
    pub(crate) audit: Arc<dyn AuditLog>,
    pub(crate) clock: ClockOf,
    noted: Mutex<HashSet<(SocketAddr, Digest)>>,
    refusals: Refusals,
    guesses: Guesses,
}

/// A clock that can be shown.
#[derive(Clone)]
pub(crate) struct ClockOf(pub(crate) Clock);

impl std::fmt::Debug for ClockOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl ClockOf {
    pub(crate) fn now(&self) -> jiff::Timestamp {
        (self.0)()
    }
}

impl Authenticator {
    pub(crate) fn new(
        directory: Directory,
        passwords: PasswordChecks,
        sessions: Sessions,
        audit: Arc<dyn AuditLog>,
        clock: ClockOf,
    ) -> Self {
        let refusals = Refusals::new(Arc::clone(&audit), clock.clone());
        let (noted, guesses) = (Mutex::default(), Guesses::default());
        Self { directory, passwords, sessions, audit, clock, noted, refusals, guesses }
    }

    /// Refuses a call before its message is read, where its sender will not be recognised. A password, which takes
    /// time, is looked at later: of a connection that has not come in, a few calls with one are read at once.
    ///
    /// # Errors
    /// UNAUTHENTICATED, as [`Self::admit`] says it; RESOURCE_EXHAUSTED for one call too many.
    pub(crate) fn screen(
        &self,
        metadata: &MetadataMap,
        connection: &Connection,
    ) -> Result<Option<Place>, Status> {
        let is_known = match header::presented(metadata) {
            Some(Presented::Password { .. }) => return connection.enter().map_err(|()| too_many_calls()),
            Some(Presented::Token(token)) => {
                let now = self.clock.now();
                let users = self.directory.users(now);
                self.sessions.of_token(&token, &users, now).is_some()
                    || users.bearer(&Digest::of(&token)).is_some()
            }
            None => false,
        };
        if is_known { Ok(None) } else { Err(self.refusal("", connection)) }
    }

    /// Returns who sends a call.
    ///
    /// # Errors
    /// UNAUTHENTICATED, always the same; RESOURCE_EXHAUSTED where too many passwords are being verified, or too
    /// many were wrong; FAILED_PRECONDITION where the caller is known and the session of the cookie is over.
    pub(crate) async fn admit(
        &self,
        metadata: &MetadataMap,
        connection: &Connection,
    ) -> Result<Caller, Status> {
        let users = self.directory.users(self.clock.now());
        let presented = header::presented(metadata);
        if let Some(Presented::Token(token)) = &presented
            && let Some(lasting) = self.sessions.of_token(token, &users, self.clock.now())
        {
            connection.admit();
            return Ok(Caller { session: lasting.session, lasting: Some(lasting.name), cookie: None });
        }
        let (who, proof) = self.recognise(presented, &users, connection).await?;
        self.note_bearer(&who, proof, connection);
        connection.admit();
        let now = self.clock.now();
        let options = header::options(metadata)?;
        if let Some(cookie) = header::cookie(metadata) {
            let found = self.sessions.of_cookie(&cookie, &who, proof, || options, now);
            let lasting = found.ok_or_else(|| {
                let mut over = Status::failed_precondition(OVER);
                clear_cookie(over.metadata_mut());
                over
            })?;
            return Ok(Caller { session: lasting.session, lasting: Some(lasting.name), cookie: None });
        }
        let cookie = self.sessions.give_cookie(&who.name, now).map_err(internal)?;
        let session = Arc::new(Session::of_request(who, options));
        Ok(Caller { session, lasting: None, cookie: Some(cookie) })
    }

    /// Opens a session that lasts, and returns the token that names it.
    ///
    /// # Errors
    /// As [`Self::admit`].
    pub(crate) async fn log_in(
        &self,
        metadata: &MetadataMap,
        connection: &Connection,
    ) -> Result<Secret, Status> {
        let users = self.directory.users(self.clock.now());
        let (who, proof) = self.recognise(header::presented(metadata), &users, connection).await?;
        self.note(&who.name, connection);
        connection.admit();
        let options = header::options(metadata)?;
        self.sessions.open(who, proof, options, self.clock.now()).map_err(internal)
    }

    async fn recognise(
        &self,
        presented: Option<Presented>,
        users: &Users,
        connection: &Connection,
    ) -> Result<(Principal, Proof), Status> {
        let mut claimed = String::new();
        let found = match presented {
            Some(Presented::Password { user, password }) => {
                let (hash, who) = users.password_hash(&user);
                let hash = hash.to_owned();
                let proof = Proof::Password(Digest::of(&hash));
                if users.knows(&user) {
                    claimed.clone_from(&user);
                }
                let matches = self.verify(&user, password, hash, connection).await.inspect_err(|status| {
                    self.refusals.note(&claimed, connection.peer, status.message());
                })?;
                who.filter(|_| matches).map(|who| (who, proof))
            }
            Some(Presented::Token(token)) => {
                let digest = Digest::of(&token);
                users.bearer(&digest).map(|who| (who, Proof::Token(digest)))
            }
            None => None,
        };
        found.ok_or_else(|| self.refusal(&claimed, connection))
    }

    async fn verify(
        &self,
        user: &str,
        password: String,
        hash: String,
        connection: &Connection,
    ) -> Result<bool, Status> {
        let address = connection.peer.map(|peer| peer.ip());
        self.guesses.check(address, user, self.clock.now())?;
        let turn = self.passwords.turn(address).await?;
        // Others of that name may have been wrong meanwhile.
        self.guesses.check(address, user, self.clock.now())?;
        let matches = self.passwords.matches(turn, password, hash).await?;
        self.guesses.count(address, user, matches, self.clock.now());
        Ok(matches)
    }

    fn refusal(&self, claimed: &str, connection: &Connection) -> Status {
        self.refusals.note(claimed, connection.peer, "not recognised");
        Status::unauthenticated(REFUSAL)
    }

    /// Notes who uses a token or password without logging in: once for each connection, not for each call.
    fn note_bearer(&self, who: &Principal, proof: Proof, connection: &Connection) {
        let (Proof::Password(digest) | Proof::Token(digest)) = proof;
        if let Some(peer) = connection.peer {
            let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
            if noted.len() >= NOTED_MAX {
                noted.clear();
            }
            if !noted.insert((peer, digest)) {
                return;
            }
        }
        self.note(&who.name, connection);
    }

    fn note(&self, user: &str, connection: &Connection) {
        self.audit.note(&AuditEntry {
            at: self.clock.now().to_string(),
            user: user.to_owned(),
            peer: connection.peer.map(|peer| peer.to_string()),
            action: "authenticate".to_owned(),
            query: None,
            statement: None,
            outcome: "ok".to_owned(),
            error: None,
            rows: 0,
            bytes: 0,
            seconds: 0.0,
        });
    }
}

fn too_many_calls() -> Status {
    Status::resource_exhausted("too many calls at once before the first has shown who calls")
}
