//! Does the store keep its promise that an object is created once?

use std::hash::{BuildHasher, Hasher, RandomState};

use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};

use super::StoreError;
use crate::location::Location;

/// Writes one key twice with create-only; the second write must be refused.
///
/// The key lies in `folder`, is unique, begins with `.probe-` and is deleted again.
///
/// # Errors
/// [`StoreError::IgnoresCreateOnly`] where the second write succeeds: two processes must then not write
/// there. Also where the store cannot be asked.
pub async fn probe_create_only(store: &dyn ObjectStore, folder: &Location) -> Result<(), StoreError> {
    let name = format!(".probe-{:016x}", RandomState::new().build_hasher().finish());
    let key = folder.path().clone().join(name);
    // Each write has its own bytes, or a retried one would be taken for ours.
    let create =
        |bytes: &'static [u8]| store.put_opts(&key, PutPayload::from_static(bytes), PutMode::Create.into());
    create(b"first").await.map_err(StoreError::request("create", folder))?;
    let second = create(b"second").await;
    let cleaned = store.delete(&key).await;
    match second {
        Err(object_store::Error::AlreadyExists { .. }) => {
            cleaned.map_err(StoreError::request("delete", folder))
        }
        Ok(_) => Err(StoreError::IgnoresCreateOnly { location: folder.to_string() }),
        Err(source) => Err(StoreError::request("create", folder)(source)),
    }
}
