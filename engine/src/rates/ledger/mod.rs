//! The rates ledger: an append-only folder of payloads, with an account of when each became known, from where,
//! and what of it is held back until somebody approves it.
//!
//! **Invariants.** Every object is created once and never changed; the newest index is a copy of the others
//! and may be missing or stale. A payload's entry is created before the payload, so that what a gate holds is
//! never seen without the hold. An entry whose payload is missing admits nothing.

mod approvals;
mod contents;
mod coverage;
mod documents;
mod entry;
mod error;
mod folder;
mod index;
mod judge;
mod names;
mod payload;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;
mod view;
mod writer;

use cambist_udfs::rate::InstantMicros;
use jiff::Timestamp;

use crate::files;
use crate::location::Location;
use crate::store::Stores;

pub use approvals::{ApprovalRequest, approve};
pub use contents::HeldSnapshot;
pub(super) use contents::{Contents, Known};
pub use entry::{Approval, Channel, Entry, Held};
pub use error::LedgerError;
use folder::Folder;
pub use judge::{GateMode, WriterOptions};
pub use payload::MAX_PAYLOAD_BYTES;
pub use view::{Ledger, Suspect, Version};
pub use writer::{Appended, Inspected, LatestVersion, LedgerWriter, Received, inspect};

/// Indexes that stay: a reader may have listed the one before the newest.
const INDEXES_KEPT: usize = 2;

/// What an index was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Indexed {
    /// Objects that it knows.
    pub objects: usize,
    /// Of these, objects that the one before did not know.
    pub new: usize,
}

/// Reads what `input` names: a ledger, a plain folder, a glob or a file; nothing where nothing lies there.
pub(super) async fn read(stores: &Stores, input: &str) -> Result<Option<Contents>, LedgerError> {
    if let Some(root) = files::folder_of(input)? {
        let folder = Folder::open(stores, root)?;
        match folder.list().await {
            Ok(objects) if !objects.is_empty() => {
                let contents = Contents::of_objects(&folder, objects).await?;
                return Ok((!contents.is_empty()).then_some(contents));
            }
            Ok(_) => {}
            // One file may be allowed to be read where its folder may not be listed.
            Err(refused) => match files::list(stores, input).await {
                Ok(files) if files.is_file() => return Contents::of_files(files).await.map(Some),
                _ => return Err(refused),
            },
        }
    }
    let files = files::list(stores, input).await?;
    if files.objects.is_empty() { Ok(None) } else { Contents::of_files(files).await.map(Some) }
}

/// Makes the index of the ledger, or of the plain folder of snapshots, at `url` anew where it is stale.
///
/// # Errors
/// Where the store fails or an object of the ledger's own is damaged.
pub async fn index(stores: &Stores, url: &str, recorded_at: Timestamp) -> Result<Indexed, LedgerError> {
    reindex(&Folder::open(stores, Location::parse(url)?)?, recorded_at).await
}

async fn reindex(folder: &Folder, recorded_at: Timestamp) -> Result<Indexed, LedgerError> {
    let contents = Contents::read(folder).await?;
    let objects = contents.to_index()?;
    let indexed = Indexed { objects: objects.len(), new: contents.unindexed };
    if contents.is_indexed() {
        return Ok(indexed);
    }
    let bytes = index::encode(&objects)?;
    let at = InstantMicros(recorded_at.as_microsecond());
    folder.create(&names::index(at, &bytes), bytes).await?;
    let superseded = contents.indexes.len().saturating_sub(INDEXES_KEPT - 1);
    folder.delete(&contents.indexes[..superseded]).await?;
    Ok(indexed)
}
