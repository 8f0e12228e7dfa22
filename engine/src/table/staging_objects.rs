//! Small named objects that a run keeps beside its staged files: pinned inputs, the manifests of finished
//! tasks. Each is created once and never changed; it goes when the run's staging folder goes.

use bytes::Bytes;

use super::error::TableError;
use super::names;
use super::record::TableKind;
use super::staging::{Staging, check_name};
use crate::location::Location;

/// What became of an object that was to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutNew {
    /// It is there now.
    Created,
    /// It was there already: somebody else's, or one's own whose answer got lost.
    Exists(Bytes),
}

impl Staging {
    /// Creates the object `name`, or returns what is there under that name already.
    ///
    /// Of several writers exactly one creates it, and all the others get the winner's bytes. `name` may
    /// hold folders, separated by `/`.
    ///
    /// # Errors
    /// [`TableError::InvalidName`] where the name cannot be part of a path; [`TableError::ObjectVanished`]
    /// where the object is removed at the same time, because the run was discarded; otherwise where the
    /// store fails.
    pub async fn put_new(&self, name: &str, bytes: Bytes) -> Result<PutNew, TableError> {
        let path = self.object_path(name)?;
        let root = self.roots().of(TableKind::Main);
        if root.create(&path, bytes).await? {
            return Ok(PutNew::Created);
        }
        match root.get(&path).await? {
            Some(found) => Ok(PutNew::Exists(found)),
            None => Err(TableError::ObjectVanished { path }),
        }
    }

    /// Returns the object `name`, or nothing where there is none.
    ///
    /// # Errors
    /// [`TableError::InvalidName`] where the name cannot be part of a path; otherwise where the store fails.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>, TableError> {
        self.roots().of(TableKind::Main).get(&self.object_path(name)?).await
    }

    /// Returns where the object `name` lies, or would lie.
    ///
    /// # Errors
    /// [`TableError::InvalidName`] where the name cannot be part of a path.
    pub fn object_location(&self, name: &str) -> Result<Location, TableError> {
        Ok(self.roots().of(TableKind::Main).location.join(&self.object_path(name)?)?)
    }

    fn object_path(&self, name: &str) -> Result<String, TableError> {
        check_name("run id", self.run_id())?;
        for segment in name.split('/') {
            check_name("object name", segment)?;
        }
        Ok(names::staged_object(self.run_id(), name))
    }
}
