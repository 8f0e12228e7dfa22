//! Who sends a call: decided here, for every call, before anything else is looked at.
//!
//! **Invariant:** a refusal says the same and takes the same way, whatever was wrong.

mod header;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use cambist_sql::access::Principal;
use cambist_sql::audit::{AuditEntry, AuditLog};
use cambist_sql::{Clock, Session};
use tonic::Status;
use tonic::metadata::MetadataMap;

use crate::connection::Connection;
use crate::credentials::{Directory, PasswordChecks, Proof, Users};
use crate::secret::{Digest, Secret};
use crate::sessions::Sessions;
use crate::status::internal;

use header::Presented;
pub(crate) use header::{clear_cookie, set_cookie};

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
        Self { directory, passwords, sessions, audit, clock, noted: Mutex::default() }
    }

    /// Returns who sends a call.
    ///
    /// # Errors
    /// UNAUTHENTICATED, always the same; RESOURCE_EXHAUSTED where too many passwords are being verified;
    /// FAILED_PRECONDITION where the caller is known and the session of the cookie is over.
    pub(crate) async fn admit(
        &self,
        metadata: &MetadataMap,
        connection: &Connection,
    ) -> Result<Caller, Status> {
        let users = self.directory.users();
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
        let users = self.directory.users();
        let (who, proof) = self.recognise(header::presented(metadata), &users, connection).await?;
        self.note(&who.name, connection, None);
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
                let matches = self.passwords.matches(password, hash).await?;
                if users.knows(&user) {
                    claimed = user;
                }
                who.filter(|_| matches).map(|who| (who, proof))
            }
            Some(Presented::Token(token)) => {
                let digest = Digest::of(&token);
                users.bearer(&digest).map(|who| (who, Proof::Token(digest)))
            }
            None => None,
        };
        found.ok_or_else(|| {
            self.note(&claimed, connection, Some("not recognised"));
            Status::unauthenticated(REFUSAL)
        })
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
        self.note(&who.name, connection, None);
    }

    fn note(&self, user: &str, connection: &Connection, error: Option<&str>) {
        self.audit.note(&AuditEntry {
            at: self.clock.now().to_string(),
            user: user.to_owned(),
            peer: connection.peer.map(|peer| peer.to_string()),
            action: "authenticate".to_owned(),
            query: None,
            statement: None,
            outcome: if error.is_some() { "refused" } else { "ok" }.to_owned(),
            error: error.map(str::to_owned),
            rows: 0,
            bytes: 0,
            seconds: 0.0,
        });
    }
}
