//! Where the bytes of a staged file go: a file of the staging folder, or an upload.

use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use object_store::multipart::MultipartStore;

use super::error::TableError;
use super::names;
use super::root::TableRoot;
use crate::store::StoreError;

/// Every part of an upload but the last: the least that S3 takes, since each open file holds one back. S3
/// takes 10,000 parts (50 GB in all).
const PART_BYTES: usize = 5 << 20;

/// A write to a local disk: hundreds of files may hold one back at the same time.
const WRITE_BYTES: usize = 32 << 10;

/// A folder that keeps vanishing is not ours to make.
const CREATE_ATTEMPTS_MAX: u32 = 5;

/// Where a staged file's bytes go.
pub(super) enum Sink {
    /// A file of the staging folder.
    File { path: PathBuf, started: bool },
    /// An upload to `path`, below the table's folder; completed when the file is, or at its commit.
    Upload {
        store: Arc<dyn MultipartStore>,
        path: String,
        upload_id: Option<String>,
        parts: Vec<String>,
        is_readable: bool,
    },
}

impl Sink {
    pub(super) fn new(
        root: &TableRoot,
        run_id: &str,
        path: &str,
        is_readable: bool,
    ) -> Result<Self, TableError> {
        let staged = names::staged(run_id, path);
        if let Some(store) = &root.handle.multipart {
            let store = Arc::clone(store);
            let path = if is_readable { staged } else { path.to_owned() };
            return Ok(Self::Upload { store, path, upload_id: None, parts: Vec::new(), is_readable });
        }
        let staged = root.location.join(&staged)?;
        let path = staged
            .local_path()
            .ok_or_else(|| StoreError::NoUploads { location: root.location.to_string() })?;
        Ok(Self::File { path, started: false })
    }

    pub(super) fn flush_bytes(&self) -> usize {
        match self {
            Self::File { .. } => WRITE_BYTES,
            Self::Upload { .. } => PART_BYTES,
        }
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File { .. })
    }

    /// An empty file must still come to exist, on S3 through one empty part.
    pub(super) fn is_untouched(&self) -> bool {
        match self {
            Self::File { started, .. } => !started,
            Self::Upload { parts, .. } => parts.is_empty(),
        }
    }
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { path, .. } => write!(formatter, "File({})", path.display()),
            Self::Upload { path, upload_id, .. } => write!(formatter, "Upload({path}, {upload_id:?})"),
        }
    }
}

/// Bytes that wait for a write, uncopied.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    chunks: VecDeque<Bytes>,
    pub(super) bytes: usize,
}

impl Buffer {
    pub(super) fn push(&mut self, chunk: Bytes) {
        self.bytes += chunk.len();
        self.chunks.push_back(chunk);
    }

    /// Takes exactly `bytes` from the front, or all where there are fewer.
    pub(super) fn take(&mut self, bytes: usize) -> Vec<Bytes> {
        let mut taken = Vec::new();
        let mut missing = bytes.min(self.bytes);
        self.bytes -= missing;
        while missing > 0 {
            let Some(chunk) = self.chunks.front_mut() else { break };
            let part = chunk.split_to(chunk.len().min(missing));
            missing -= part.len();
            if chunk.is_empty() {
                self.chunks.pop_front();
            }
            taken.push(part);
        }
        taken
    }
}

/// The file is opened for each write: hundreds of partitions would else exhaust the file handles.
pub(super) async fn append(path: PathBuf, is_first: bool, chunks: Vec<Bytes>) -> Result<(), TableError> {
    let shown = path.clone();
    let write = tokio::task::spawn_blocking(move || {
        let mut file =
            if is_first { create(&path)? } else { std::fs::OpenOptions::new().append(true).open(&path)? };
        chunks.iter().try_for_each(|chunk| file.write_all(chunk))
    });
    let written = write.await.map_err(std::io::Error::other).flatten();
    written.map_err(TableError::io("write", &shown))
}

fn create(path: &FsPath) -> std::io::Result<std::fs::File> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match std::fs::File::create_new(path) {
            // `gc` may remove the folder again while it is still empty.
            Err(error) if error.kind() == ErrorKind::NotFound && attempt <= CREATE_ATTEMPTS_MAX => {
                std::fs::create_dir_all(path.parent().unwrap_or(path))?;
            }
            other => return other,
        }
    }
}
