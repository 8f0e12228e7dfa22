//! Taking single files back that were staged in vain.

use super::error::TableError;
use super::names;
use super::staging::{StagedAs, StagedFile, Staging};
use crate::store::StoreError;

impl Staging {
    /// Removes one staged file, such as those of a task whose work another attempt had finished before.
    ///
    /// # Errors
    /// Where the store fails; what is left goes with the rest of the run's staging folder.
    pub async fn remove(&self, file: &StagedFile) -> Result<(), TableError> {
        let root = self.roots().of(file.table);
        match &file.staged {
            StagedAs::Local { path } => root.delete(path).await,
            StagedAs::Multipart { upload_id, .. } => {
                // The journal goes first: a commit looks for it to know that the upload is open.
                root.delete(&names::upload_journal(self.run_id(), &file.path)).await?;
                let Some(store) = &root.handle.multipart else { return Ok(()) };
                let path = root.path(&file.path)?;
                let aborted = store.abort_multipart(&path, upload_id).await;
                Ok(aborted.map_err(StoreError::request("abort the upload of", &path))?)
            }
        }
    }
}
