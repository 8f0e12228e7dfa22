//! The store that scans of a table read from: a file is found where it lies by now.
//!
//! A scan names its files by the commit that it reads ([`names::read_at`]). While it runs, a later commit may
//! move a file to the history; the file is then read there. Nothing can be written through this store.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::error::TableError;
use super::names;
use crate::location::Location;

/// Begins the scheme under which a plan asks for this store.
const SCHEME: &str = "table+";

/// Moved files whose places are remembered, some 300 bytes each.
const PLACES_MAX: usize = 50_000;

/// Returns the URL of the store that scans of tables at `root` read from: `table+file:///` or
/// `table+s3://bucket`.
pub(crate) fn snapshot_store_url(root: &Location) -> String {
    format!("{SCHEME}{}", root.store_url())
}

/// The store; clones share what they know of moved files.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotStore {
    inner: Arc<dyn ObjectStore>,
    /// Where files lie that were moved since their commit, by the path that a scan names them by.
    moved: Arc<Mutex<HashMap<Path, Path>>>,
    /// Held by who lists a history, so that the many files of a scan cost one listing.
    searching: Arc<tokio::sync::Mutex<()>>,
}

/// A file that a scan names.
struct Named<'a> {
    root: &'a str,
    commit: u64,
    file: &'a str,
}

impl SnapshotStore {
    /// Makes a store of the files in `inner`.
    pub(crate) fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, moved: Arc::default(), searching: Arc::default() }
    }

    /// Returns the URL of the store itself, of a URL of [`snapshot_store_url`].
    pub(crate) fn inner_url(url: &str) -> Option<&str> {
        url.strip_prefix(SCHEME)
    }

    /// Returns where a file is to be looked for first.
    fn place(&self, location: &Path) -> Result<Path> {
        if let Some(place) = self.moved().get(location) {
            return Ok(place.clone());
        }
        match Named::of(location) {
            Some(named) => named.join(named.file),
            None => Ok(location.clone()),
        }
    }

    /// Returns where a file lies that is not at `tried`.
    async fn search(&self, location: &Path, tried: &Path) -> Result<Path> {
        let Some(named) = Named::of(location) else { return Err(gone_from_history(location)) };
        let _one_at_a_time = self.searching.lock().await;
        let known = self.moved().get(location).cloned();
        if let Some(place) = known.filter(|place| place != tried) {
            return Ok(place);
        }
        let history = named.join(names::HISTORY)?;
        let after = named.join(&names::history_after(named.commit))?;
        let mut listing = self.inner.list_with_offset(Some(&history), &after);
        let mut found = None;
        while let Some(object) = listing.try_next().await? {
            let below = object.location.as_ref().strip_prefix(history.as_ref());
            let Some(file) = below.and_then(|path| names::superseded_path(path.trim_start_matches('/')))
            else {
                continue;
            };
            if file == named.file {
                found = Some(object.location.clone());
            }
            let read_as = named.join(&names::read_at(named.commit, file))?;
            self.remember(read_as, object.location);
        }
        found.filter(|place| place != tried).ok_or_else(|| named.gone(location))
    }

    fn remember(&self, read_as: Path, place: Path) {
        let mut moved = self.moved();
        if moved.len() >= PLACES_MAX {
            moved.clear();
        }
        moved.insert(read_as, place);
    }

    fn moved(&self) -> MutexGuard<'_, HashMap<Path, Path>> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Named<'a> {
    fn of(location: &'a Path) -> Option<Self> {
        let (root, commit, file) = names::parse_read_at(location.as_ref())?;
        Some(Self { root, commit, file })
    }

    fn join(&self, relative: &str) -> Result<Path> {
        let slash = if self.root.is_empty() { "" } else { "/" };
        Ok(Path::parse(format!("{}{slash}{relative}", self.root))?)
    }

    fn gone(&self, location: &Path) -> Error {
        gone(location, self.file, self.root)
    }
}

/// Files that were superseded before the scan was planned are named by their place in the history.
fn gone_from_history(location: &Path) -> Error {
    let path = location.as_ref();
    let in_history = path.rsplit_once(&format!("{}/", names::HISTORY));
    match in_history.and_then(|(root, below)| Some((root, names::superseded_path(below)?))) {
        Some((root, file)) => gone(location, file, root.trim_end_matches('/')),
        None => gone(location, location.filename().unwrap_or(path), path),
    }
}

fn gone(location: &Path, file: &str, root: &str) -> Error {
    let source = TableError::FileGone { path: file.to_owned(), root: root.to_owned() };
    Error::NotFound { path: location.to_string(), source: Box::new(source) }
}

fn read_only(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.to_owned(), implementer: "a table's snapshot".to_owned() }
}

impl fmt::Display for SnapshotStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "snapshots in {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for SnapshotStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let place = self.place(location)?;
        match self.inner.get_opts(&place, options.clone()).await {
            Err(Error::NotFound { .. }) => {
                let place = self.search(location, &place).await?;
                self.inner.get_opts(&place, options).await
            }
            answer => answer,
        }
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let place = self.place(location)?;
        match self.inner.get_ranges(&place, ranges).await {
            Err(Error::NotFound { .. }) => {
                let place = self.search(location, &place).await?;
                self.inner.get_ranges(&place, ranges).await
            }
            answer => answer,
        }
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(read_only("put"))
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(read_only("put_multipart"))
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        stream::once(async { Err(read_only("delete")) }).boxed()
    }

    /// The log says which files there are.
    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::once(async { Err(read_only("list")) }).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(read_only("list"))
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(read_only("copy"))
    }
}
