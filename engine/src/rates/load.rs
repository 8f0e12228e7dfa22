//! Makes a rate book of a folder of snapshots.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use cambist_udfs::rate::adapter::{Payload, RejectedEntry, SnapshotNotice, read_payload};
use cambist_udfs::rate::{BookError, BookOptions, InstantMicros, RateBook, Snapshot};
use cambist_udfs::reason::SnapshotReason;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::{ObjectMeta, ObjectStoreExt};
use serde::Serialize;

use super::reference::RateBookRef;
use crate::files::{Files, FilesError};
use crate::store::{StoreError, Stores};

/// Snapshot objects that are fetched at once.
const CONCURRENT_FETCHES: usize = 32;

/// A snapshot object is a few KiB; ECB's whole history is 3 MiB.
const MAX_PAYLOAD_BYTES: u64 = 256 << 20;

/// A snapshot object that is not used, and why.
#[derive(Clone, Debug, Serialize)]
pub struct RefusedSnapshot {
    /// Where it lies.
    pub location: String,
    /// The stable reason code.
    pub reason: &'static str,
    /// What was found.
    pub detail: String,
}

/// What loading a folder of snapshots gave.
#[derive(Clone, Debug)]
pub struct LoadedRates {
    /// The book.
    pub book: Arc<RateBook>,
    /// The book's reference.
    pub reference: RateBookRef,
    /// Objects that are not used.
    pub refused: Vec<RefusedSnapshot>,
    /// Objects that are used with a warning: location, warning.
    pub notices: Vec<(String, SnapshotNotice)>,
    /// Single rates that are not used: location, entry.
    pub entries: Vec<(String, RejectedEntry)>,
}

/// Why no book could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RatesError {
    /// The store refused or failed.
    #[error("rates could not be read from `{location}`")]
    Store {
        /// Where the rates lie.
        location: String,
        /// What the store said.
        source: FilesError,
    },
    /// Nothing lies there.
    #[error(
        "no rate snapshot found at `{location}`, expected files such as `2024-05-01.json` or an ECB history"
    )]
    Nothing {
        /// Where the rates were looked for.
        location: String,
    },
    /// No object there is a snapshot.
    #[error("none of the {} files at `{location}` is a usable rate snapshot; the first: {}", refused.len(), first(refused))]
    NoneUsable {
        /// Where the rates lie.
        location: String,
        /// Every object with its reason.
        refused: Vec<RefusedSnapshot>,
    },
    /// The snapshots do not make a book.
    #[error("the rate snapshots at `{location}` do not make a book{}", source.reason().map_or_else(String::new, |reason| format!(" ({reason})")))]
    Book {
        /// Where the rates lie.
        location: String,
        /// Why not.
        source: BookError,
    },
}

fn first(refused: &[RefusedSnapshot]) -> String {
    refused
        .first()
        .map_or_else(String::new, |one| format!("{}: {}: {}", one.location, one.reason, one.detail))
}

/// Loads every snapshot at `location`: one object, a folder or a glob.
///
/// A snapshot is known from its object's modification time. Objects that are no snapshot are listed and
/// passed over; the good ones stand.
///
/// # Errors
/// [`RatesError`]; [`RatesError::Nothing`] where nothing lies there.
pub async fn load(stores: &Stores, location: &str, options: &BookOptions) -> Result<LoadedRates, RatesError> {
    let failed = |source| RatesError::Store { location: location.to_owned(), source };
    let files = crate::files::list(stores, location).await.map_err(failed)?;
    if files.objects.is_empty() {
        return Err(RatesError::Nothing { location: location.to_owned() });
    }
    let fetches: Vec<_> = files.objects.iter().cloned().map(|object| fetch(&files, object).boxed()).collect();
    let fetched: Vec<(ObjectMeta, Fetched)> =
        stream::iter(fetches).buffered(CONCURRENT_FETCHES).try_collect().await.map_err(failed)?;
    let mut loading = Loading::default();
    for (object, payload) in fetched {
        loading.read(&files.display_of(&object), &object, payload);
    }
    if loading.snapshots.is_empty() {
        return Err(RatesError::NoneUsable { location: location.to_owned(), refused: loading.refused });
    }
    let book = RateBook::build(loading.snapshots, options)
        .map_err(|source| RatesError::Book { location: location.to_owned(), source })?;
    let reference = RateBookRef::of(location, &book);
    Ok(LoadedRates {
        book: Arc::new(book),
        reference,
        refused: loading.refused,
        notices: loading.notices,
        entries: loading.entries,
    })
}

/// A payload, or why it cannot be one.
type Fetched = Result<Bytes, String>;

async fn fetch(files: &Files, object: ObjectMeta) -> Result<(ObjectMeta, Fetched), FilesError> {
    if object.size > MAX_PAYLOAD_BYTES {
        let detail = format!("{} bytes, expected at most {MAX_PAYLOAD_BYTES}", object.size);
        return Ok((object, Err(detail)));
    }
    let failed = |source| StoreError::request("read", &object.location)(source);
    let got = files.store.get(&object.location).await.map_err(failed)?;
    let bytes = got.bytes().await.map_err(failed)?;
    let whole = unpacked(bytes).map_err(|error| error.to_string());
    Ok((object, whole))
}

/// Unpacks gzip and zstd, told by their first bytes.
fn unpacked(bytes: Bytes) -> std::io::Result<Bytes> {
    let mut whole = Vec::new();
    let limit = MAX_PAYLOAD_BYTES + 1;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(bytes.as_ref()).take(limit).read_to_end(&mut whole)?;
    } else if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        zstd::stream::read::Decoder::new(bytes.as_ref())?.take(limit).read_to_end(&mut whole)?;
    } else {
        return Ok(bytes);
    }
    if whole.len() as u64 > MAX_PAYLOAD_BYTES {
        return Err(std::io::Error::other(format!("unpacks to more than {MAX_PAYLOAD_BYTES} bytes")));
    }
    Ok(whole.into())
}

#[derive(Default)]
struct Loading {
    snapshots: Vec<Snapshot>,
    refused: Vec<RefusedSnapshot>,
    notices: Vec<(String, SnapshotNotice)>,
    entries: Vec<(String, RejectedEntry)>,
}

impl Loading {
    fn read(&mut self, location: &str, object: &ObjectMeta, payload: Fetched) {
        let refuse = |reason: SnapshotReason, detail: String| RefusedSnapshot {
            location: location.to_owned(),
            reason: reason.code(),
            detail,
        };
        let bytes = match payload {
            Ok(bytes) => bytes,
            Err(detail) => return self.refused.push(refuse(SnapshotReason::SnapshotMalformed, detail)),
        };
        let payload = Payload {
            bytes: &bytes,
            file_name: object.location.filename().unwrap_or_default(),
            location,
            known_at: InstantMicros(object.last_modified.timestamp_micros()),
        };
        match read_payload(&payload) {
            Ok(admission) => {
                self.snapshots.extend(admission.snapshots);
                self.notices
                    .extend(admission.notices.into_iter().map(|notice| (location.to_owned(), notice)));
                self.entries.extend(admission.entries.into_iter().map(|entry| (location.to_owned(), entry)));
            }
            Err(refusal) => self.refused.push(refuse(refusal.reason, refusal.detail)),
        }
    }
}
