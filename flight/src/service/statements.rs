//! Prepared statements, by their handles.

use std::sync::Arc;

use cambist_sql::Prepared;
use datafusion::arrow::array::RecordBatch;
use jiff::Timestamp;
use tonic::Status;

use super::info::Latest;
use crate::authentication::Caller;
use crate::held::{Bound, Held};
use crate::secret::{Digest, Secret};
use crate::status::internal;

#[derive(Debug)]
struct Statement {
    session: Option<Digest>,
    prepared: Arc<Prepared>,
    parameters: Option<RecordBatch>,
    latest: Latest,
}

/// What is kept of a prepared statement.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) prepared: Arc<Prepared>,
    /// The values that are bound to its parameters.
    pub(super) parameters: Option<RecordBatch>,
    pub(super) latest: Latest,
}

/// The prepared statements of a server. As with results, somebody else's is as one that is not there, and so is
/// one's own that was prepared in another role.
#[derive(Debug)]
pub(super) struct Statements {
    held: Held<Statement>,
}

impl Statements {
    pub(super) fn new(bound: Bound) -> Self {
        Self { held: Held::new(bound) }
    }

    /// Keeps a statement, and returns its handle.
    pub(super) fn keep(
        &self,
        caller: &Caller,
        prepared: Arc<Prepared>,
        now: Timestamp,
    ) -> Result<Secret, Status> {
        let handle = Secret::random().map_err(internal)?;
        let session = caller.lasting;
        let statement = Statement { session, prepared, parameters: None, latest: Latest::default() };
        self.held.insert(Digest::of(handle.reveal()), caller.user(), statement, now);
        Ok(handle)
    }

    /// Returns a statement.
    pub(super) fn get(&self, caller: &Caller, handle: &[u8], now: Timestamp) -> Result<Kept, Status> {
        self.with(caller, handle, now, |statement| Kept {
            prepared: Arc::clone(&statement.prepared),
            parameters: statement.parameters.clone(),
            latest: Arc::clone(&statement.latest),
        })
    }

    /// Binds values to a statement's parameters, in place of those before.
    pub(super) fn bind(
        &self,
        caller: &Caller,
        handle: &[u8],
        parameters: Option<RecordBatch>,
        now: Timestamp,
    ) -> Result<(), Status> {
        self.with(caller, handle, now, |statement| statement.parameters = parameters)
    }

    /// Closes a statement; one that is not there is as good as closed.
    pub(super) fn close(&self, caller: &Caller, handle: &[u8], now: Timestamp) {
        if self.with(caller, handle, now, |_| ()).is_ok() {
            self.held.remove(&Digest::of(handle));
        }
    }

    fn with<T>(
        &self,
        caller: &Caller,
        handle: &[u8],
        now: Timestamp,
        read: impl FnOnce(&mut Statement) -> T,
    ) -> Result<T, Status> {
        let found = self.held.of_user(&Digest::of(handle), caller.user(), now, |statement| {
            let is_of_session = statement.session.is_none() || statement.session == caller.lasting;
            let is_of_role = statement.prepared.session().principal() == caller.who();
            (is_of_session && is_of_role).then(|| read(statement))
        });
        found.flatten().ok_or_else(|| {
            Status::not_found(
                "there is no such prepared statement: it was closed, has expired, or is not of this \
                 session\nhint: prepare it again",
            )
        })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }
}
