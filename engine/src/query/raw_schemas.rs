//! The columns of raw files, remembered: to find them, files are read.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::datatypes::SchemaRef;
use object_store::ObjectMeta;
use sha2::{Digest, Sha256};

use crate::files::Files;
use crate::record::{RecordConfig, RecordError, infer};

/// Schemas that are kept.
const SCHEMAS_MAX: usize = 256;

type Key = [u8; 32];

/// The columns of raw files, by what the listing says of the files: path, size, e-tag and time of change.
///
/// Files that are replaced or added are read again. The least recently used are let go when there are too many.
#[derive(Debug, Default)]
pub struct RawSchemas {
    /// The most recently used last.
    known: Mutex<VecDeque<(Key, SchemaRef)>>,
}

impl RawSchemas {
    /// Returns the columns of `files`, as [`infer`] does, which reads them only where they are not known.
    ///
    /// # Errors
    /// Those of [`infer`], which are not remembered.
    pub async fn of(&self, files: &Files, config: &RecordConfig) -> Result<SchemaRef, RecordError> {
        let key = key(files, config);
        if let Some(schema) = self.take(&key) {
            return Ok(schema);
        }
        let schema = infer(&files.store, &files.objects, config).await?;
        let mut known = self.known();
        if known.len() == SCHEMAS_MAX {
            known.pop_front();
        }
        known.push_back((key, Arc::clone(&schema)));
        Ok(schema)
    }

    fn take(&self, key: &Key) -> Option<SchemaRef> {
        let mut known = self.known();
        let position = known.iter().position(|(other, _)| other == key)?;
        let used = known.remove(position)?;
        let schema = Arc::clone(&used.1);
        known.push_back(used);
        Some(schema)
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<(Key, SchemaRef)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(files: &Files, config: &RecordConfig) -> Key {
    let mut hasher = Sha256::new();
    let mut add = |text: &str| {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    };
    add(&files.root.store_url());
    add(&format!("{config:?}"));
    for ObjectMeta { location, last_modified, size, e_tag, .. } in &files.objects {
        add(location.as_ref());
        add(&format!("{size} {last_modified:?} {e_tag:?}"));
    }
    hasher.finalize().into()
}
