//! A book as one object: written by the driver of a run, read once by each process that runs its tasks.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use cambist_udfs::rate::{BookError, BookOptions, RateBook, Snapshot};
use cambist_udfs::sql::{SessionRates, register_session_rates};
use datafusion::common::{DataFusionError, Result, internal_datafusion_err};
use datafusion::prelude::SessionContext;
use object_store::ObjectStoreExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::load::LoadedRates;
use super::reference::{PinnedBook, RateBookRef, hex};
use crate::location::{Location, LocationError};
use crate::store::{StoreError, Stores};
use crate::table::{PutNew, Staging, TableError};

/// Its name among the run's objects.
const OBJECT_NAME: &str = "rates.json.zst";

/// ECB's whole history packs to 2 MiB; a payload that unpacks to more than this is not a book.
const UNPACKED_BYTES_MAX: u64 = 1 << 30;

/// Fast, and already a sixth of the text.
const ZSTD_LEVEL: i32 = 3;

/// The object.
#[derive(Serialize, Deserialize)]
struct BookObject {
    options: BookOptions,
    snapshots: Vec<Snapshot>,
}

/// Why a pinned book cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinnedRatesError {
    /// The plan does not say where the book lies: it was made for the process that planned it.
    #[error("{book} is not loaded in this process and the plan does not say where it lies")]
    NotPinned {
        /// The book.
        book: String,
    },
    /// The location is not valid.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object is not what was pinned.
    #[error("the pinned rates at `{location}` are not those of the plan: {detail}")]
    Differs {
        /// Where it lies.
        location: String,
        /// What differs.
        detail: String,
    },
    /// The snapshots make no book.
    #[error("the pinned rates at `{location}` do not make a book")]
    Book {
        /// Where it lies.
        location: String,
        /// Why not.
        source: BookError,
    },
}

impl PinnedRatesError {
    /// Tells whether loading may succeed when it is tried again.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Store(store) if store.is_retryable())
    }
}

impl From<PinnedRatesError> for DataFusionError {
    /// A retryable error becomes an `IoError`, the only kind that a cluster tries again.
    fn from(error: PinnedRatesError) -> Self {
        let is_retryable = error.is_retryable();
        // The store's error goes as itself, so that whoever sorts errors finds it.
        let source: Box<dyn std::error::Error + Send + Sync> = match error {
            PinnedRatesError::Store(store) => Box::new(store),
            other => Box::new(other),
        };
        if is_retryable { Self::IoError(std::io::Error::other(source)) } else { Self::External(source) }
    }
}

/// Writes a loaded book as one object of the run that stages at `staging`, for tasks in other processes,
/// and returns the reference that says where.
///
/// # Errors
/// Where the object cannot be written.
pub async fn pin(rates: &LoadedRates, staging: &Staging) -> std::result::Result<RateBookRef, TableError> {
    let location = staging.object_location(OBJECT_NAME)?;
    let encode = |source| TableError::Encode { path: location.to_string(), source };
    let object = BookObject { options: *rates.book.options(), snapshots: rates.book.snapshots().to_vec() };
    let json = serde_json::to_vec(&object).map_err(encode)?;
    let packed = zstd::bulk::compress(&json, ZSTD_LEVEL).map_err(|source| TableError::Io {
        action: "compress",
        path: location.to_string(),
        source,
    })?;
    let bytes = Bytes::from(packed);
    let bytes = match staging.put_new(OBJECT_NAME, bytes.clone()).await? {
        PutNew::Created => bytes,
        // The same attempt at the same run, started again: what its tasks were told before still holds.
        PutNew::Exists(found) => found,
    };
    let pinned = PinnedBook { location: location.absolute(), sha256: hex(&Sha256::digest(&bytes)) };
    Ok(RateBookRef { pinned: Some(pinned), ..rates.reference.clone() })
}

/// Binds the SQL functions of a session to a book, so that plans of the session can say where it lies.
///
/// # Errors
/// Where the session refuses a function.
pub fn bind(context: &SessionContext, reference: &RateBookRef, book: &Arc<RateBook>) -> Result<()> {
    let origin = serde_json::to_string(reference)
        .map_err(|error| internal_datafusion_err!("the reference of {reference}: {error}"))?;
    register_session_rates(context, &SessionRates::new(Arc::clone(book)).with_origin(origin))
}

/// Reads the pinned book and checks that it is the one that `reference` means.
pub(super) async fn read(
    stores: &Stores,
    reference: &RateBookRef,
) -> std::result::Result<RateBook, PinnedRatesError> {
    let Some(pinned) = &reference.pinned else {
        return Err(PinnedRatesError::NotPinned { book: reference.to_string() });
    };
    let location = Location::parse(&pinned.location)?;
    let handle = stores.for_location(&location)?;
    let request = async { handle.store.get(location.path()).await?.bytes().await };
    let bytes = request.await.map_err(StoreError::request("read", &location))?;
    let differs = |detail: String| PinnedRatesError::Differs { location: pinned.location.clone(), detail };
    let found = hex(&Sha256::digest(&bytes));
    if found != pinned.sha256 {
        return Err(differs(format!("sha256 {found}, expected {}", pinned.sha256)));
    }
    let object = unpack(&bytes).map_err(|error| differs(error.to_string()))?;
    let book = RateBook::build(object.snapshots, &object.options)
        .map_err(|source| PinnedRatesError::Book { location: pinned.location.clone(), source })?;
    let found = RateBookRef::of(&reference.url, &book);
    if found.key() != reference.key() {
        return Err(differs(format!("{found}, expected {reference}")));
    }
    Ok(book)
}

fn unpack(bytes: &[u8]) -> std::io::Result<BookObject> {
    let mut json = Vec::new();
    zstd::stream::read::Decoder::new(bytes)?.take(UNPACKED_BYTES_MAX).read_to_end(&mut json)?;
    serde_json::from_slice(&json).map_err(std::io::Error::other)
}
