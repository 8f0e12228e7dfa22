//! Prepared statements, by their handles.

use std::sync::Arc;

use cambist_sql::Prepared;
use datafusion::arrow::array::RecordBatch;
use jiff::Timestamp;
use tonic::Status;

use crate::authentication::Caller;
use crate::held::{Bound, Held};
use crate::secret::{Digest, Secret};
use crate::status::internal;

#[derive(Debug)]
struct Statement {
    session: Option<Digest>,
    prepared: Arc<Prepared>,
    parameters: Option<RecordBatch>,
}

/// The prepared statements of a server. As with results, somebody else's is as one that is not there.
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
        let statement = Statement { session: caller.lasting, prepared, parameters: None };
        self.held.insert(Digest::of(handle.reveal()), caller.user(), statement, now);
        Ok(handle)
    }

    /// Returns a statement and the values that are bound to its parameters.
    pub(super) fn get(
        &self,
        caller: &Caller,
        handle: &[u8],
        now: Timestamp,
    ) -> Result<(Arc<Prepared>, Option<RecordBatch>), Status> {
        self.with(caller, handle, now, |statement| {
            (Arc::clone(&statement.prepared), statement.parameters.clone())
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
            let is_of = statement.session.is_none() || statement.session == caller.lasting;
            is_of.then(|| read(statement))
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
