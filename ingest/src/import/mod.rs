//! Files that are there already, brought into a ledger: snapshots of any shape, and logs of their versions.
//!
//! **Invariants.** Nothing that was refused stops an import. Doing it again changes nothing. What lies in memory
//! at once is a chunk of payloads, however many there are.

mod chunk;
mod log;
mod summary;

use std::collections::BTreeMap;

use bytes::Bytes;
use cambist_engine::files::{self, Files, FilesError};
use cambist_engine::rates::ledger::{
    Channel, LedgerError, LedgerWriter, MAX_PAYLOAD_BYTES, Received, WriterOptions,
};
use cambist_engine::store::{StoreError, Stores};
use cambist_udfs::rate::InstantMicros;
use cambist_udfs::reason::SnapshotReason;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use object_store::{ObjectMeta, ObjectStoreExt};

use self::chunk::Chunk;
pub use self::summary::{LISTED_MAX, RefusedPayload, Summary};

/// Objects that are fetched at once.
const CONCURRENT_FETCHES: usize = 32;

/// What is brought in, and how.
#[derive(Clone, Copy)]
pub struct Import<'a> {
    /// The stores.
    pub stores: &'a Stores,
    /// Files, folders and globs of snapshots, and of logs of versions.
    pub paths: &'a [String],
    /// The ledger.
    pub to: &'a str,
    /// How payloads are judged.
    pub options: &'a WriterOptions,
    /// When the snapshots became known; where it is not given, when their files were last modified. Logs say it
    /// themselves.
    pub known_at: Option<Timestamp>,
    /// Who brings them in.
    pub by: Option<&'a str>,
    /// The present instant.
    pub now: Timestamp,
    /// Is told how many of how many bytes are read.
    pub on_progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// Why an import did not come to its end. What was stored stays, and the same import goes on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// What is to be brought in cannot be listed.
    #[error("`{path}` cannot be read")]
    Source {
        /// What was named.
        path: String,
        /// Why not.
        source: FilesError,
    },
    /// Nothing lies there.
    #[error(
        "nothing found at `{path}`, expected snapshots such as `2024-05-01.json`, or a log of versions such as `versions.jsonl.gz`"
    )]
    Nothing {
        /// What was named.
        path: String,
    },
    /// A store failed while a file was read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger takes nothing.
    #[error("the ledger `{to}` cannot be written")]
    Ledger {
        /// The ledger.
        to: String,
        /// Why not.
        source: LedgerError,
    },
}

/// A file to bring in.
#[derive(Clone, Debug)]
struct Source<'a> {
    files: &'a Files,
    object: &'a ObjectMeta,
    display: String,
    known_at: InstantMicros,
}

impl Import<'_> {
    /// Brings everything in, and says what became of it. Logs come first, in their order, and then the snapshots in
    /// the order in which they became known.
    ///
    /// # Errors
    /// [`ImportError`]; what was stored by then stays.
    pub async fn run(self) -> Result<Summary, ImportError> {
        let mut listings = Vec::with_capacity(self.paths.len());
        for path in self.paths {
            let listed = files::list(self.stores, path).await;
            let files = listed.map_err(|source| ImportError::Source { path: path.clone(), source })?;
            if files.objects.is_empty() {
                return Err(ImportError::Nothing { path: path.clone() });
            }
            listings.push(files);
        }
        let (logs, snapshots) = self.sources(&listings);
        let failed = |source| ImportError::Ledger { to: self.to.to_owned(), source };
        let writer = LedgerWriter::open(self.stores, self.to, self.options.clone()).await.map_err(failed)?;
        let bytes_total = listings.iter().map(Files::bytes).sum();
        let mut chunk = Chunk::new(writer, &self, bytes_total);
        for source in logs {
            log::import(&source, &mut chunk).await?;
        }
        self.import_snapshots(snapshots, &mut chunk).await?;
        chunk.finish().await
    }

    /// Sorts what was listed into logs and snapshots.
    fn sources<'b>(&self, listings: &'b [Files]) -> (Vec<Source<'b>>, Vec<Source<'b>>) {
        let every = listings.iter().flat_map(|files| files.objects.iter().map(move |object| (files, object)));
        let source = |(files, object): (&'b Files, &'b ObjectMeta)| Source {
            files,
            object,
            display: files.display_of(object),
            known_at: InstantMicros(
                self.known_at.map_or(object.last_modified.timestamp_micros(), Timestamp::as_microsecond),
            ),
        };
        let (logs, mut snapshots): (Vec<_>, Vec<_>) =
            every.map(source).partition(|source| log::is_log(&source.display));
        snapshots
            .sort_by(|left, right| (left.known_at, &left.display).cmp(&(right.known_at, &right.display)));
        (logs, snapshots)
    }

    async fn import_snapshots(
        &self,
        snapshots: Vec<Source<'_>>,
        chunk: &mut Chunk<'_>,
    ) -> Result<(), ImportError> {
        let fetches = snapshots.into_iter().map(|source| async move {
            let bytes = match source.object.size > MAX_PAYLOAD_BYTES {
                true => None,
                false => Some(fetch(&source).await?),
            };
            Ok::<_, ImportError>((source, bytes))
        });
        let mut fetched = std::pin::pin!(stream::iter(fetches).buffered(CONCURRENT_FETCHES));
        while let Some((source, bytes)) = fetched.try_next().await? {
            chunk.read += source.object.size;
            let Some(bytes) = bytes else {
                let detail = format!("{} bytes, expected at most {MAX_PAYLOAD_BYTES}", source.object.size);
                chunk.refuse(&source.display, SnapshotReason::SnapshotMalformed, detail);
                continue;
            };
            let file_name = source.object.location.filename().unwrap_or_default().to_owned();
            chunk.add(self.received(bytes, file_name, source.known_at, source.display)).await?;
        }
        Ok(())
    }

    fn received(&self, bytes: Bytes, file_name: String, known_at: InstantMicros, origin: String) -> Received {
        Received {
            bytes,
            file_name,
            known_at,
            channel: Channel::Import,
            origin,
            entered_by: self.by.map(ToOwned::to_owned),
            metadata: BTreeMap::new(),
        }
    }
}

async fn fetch(source: &Source<'_>) -> Result<Bytes, ImportError> {
    let read = async { source.files.store.get(&source.object.location).await?.bytes().await };
    Ok(read.await.map_err(StoreError::request("read", &source.display))?)
}
