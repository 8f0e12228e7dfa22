//! Writing files that nobody sees before their commit.
//!
//! On a local disk a staged file lies in `_staging/<run>/` under a name that is no data file's; where the
//! store has uploads that another process can complete, the upload is left uncompleted and remembered in a
//! small journal, so that `gc` can abort those of dead runs.

use std::sync::Arc;

use bytes::Bytes;
use object_store::multipart::PartId;
use serde::{Deserialize, Serialize};

use super::error::TableError;
use super::gc::remove_staged;
use super::names;
use super::record::TableKind;
use super::root::{Roots, TableRoot};
use super::sink::{Buffer, Sink, append};
use crate::location::Location;
use crate::store::{StoreError, Stores};

/// How a file waits for its commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "snake_case")]
pub enum StagedAs {
    /// A file or object in the run's staging folder, which publishing moves.
    Local {
        /// Its path below the table's folder.
        path: String,
    },
    /// An upload that is not completed.
    Multipart {
        /// The store's name for the upload.
        upload_id: String,
        /// The store's names for its parts, in order.
        parts: Vec<String>,
    },
}

/// A file that waits for its commit; travels from the task that wrote it to the driver that commits it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedFile {
    /// The table that it is for.
    pub table: TableKind,
    /// Its final path below that table's folder.
    pub path: String,
    /// Where it is now.
    pub staged: StagedAs,
    /// Its size.
    pub bytes: u64,
}

/// What is needed to abort an upload of a run that died.
#[derive(Serialize, Deserialize)]
pub(super) struct UploadJournal {
    pub(super) path: String,
    pub(super) upload_id: String,
}

/// Where a run stages its files; cheap to clone and to make again in another process.
#[derive(Clone, Debug)]
pub struct Staging {
    roots: Arc<Roots>,
    run_id: Arc<str>,
}

impl Staging {
    /// Returns the staging place of run `run_id` for the table at `root`, without reading the table.
    ///
    /// # Errors
    /// Where the store cannot be made.
    pub fn new(stores: &Stores, root: &Location, run_id: &str) -> Result<Self, TableError> {
        Ok(Self::in_roots(Roots::new(stores, root)?, run_id))
    }

    pub(super) fn in_roots(roots: Roots, run_id: &str) -> Self {
        Self { roots: Arc::new(roots), run_id: run_id.into() }
    }

    /// Returns the table's folder.
    pub fn root(&self) -> &Location {
        &self.roots.main.location
    }

    /// Returns the name that the files are staged under.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    pub(super) fn roots(&self) -> &Roots {
        &self.roots
    }

    /// Opens a file for writing. Nothing reaches the store before a buffer is full.
    ///
    /// `partition` is a hive folder such as `dt=2024-05-01`, or empty; `file_name` must be unique to the
    /// attempt that writes it.
    ///
    /// # Errors
    /// [`TableError::InvalidName`] where the run, partition or file name cannot be part of a path or would
    /// hide the file; [`TableError::Store`] where the store has neither uploads nor a local path.
    pub fn create(
        &self,
        table: TableKind,
        partition: &str,
        file_name: &str,
    ) -> Result<StagedWriter, TableError> {
        self.create_as(table, partition, file_name, false)
    }

    /// Opens a file that can be read as soon as it is finished, by who knows its place in the staging folder:
    /// a later pass of the same run. Elsewhere than on a disk, to publish it costs a copy.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn create_readable(
        &self,
        table: TableKind,
        partition: &str,
        file_name: &str,
    ) -> Result<StagedWriter, TableError> {
        self.create_as(table, partition, file_name, true)
    }

    fn create_as(
        &self,
        table: TableKind,
        partition: &str,
        file_name: &str,
        is_readable: bool,
    ) -> Result<StagedWriter, TableError> {
        check_name("run id", &self.run_id)?;
        check_name("file name", file_name)?;
        if !partition.is_empty() {
            for folder in partition.split('/') {
                check_name("partition", folder)?;
            }
        }
        let root = self.roots.of(table).clone();
        let slash = if partition.is_empty() { "" } else { "/" };
        let path = format!("{partition}{slash}{file_name}");
        let sink = Sink::new(&root, &self.run_id, &path, is_readable)?;
        Ok(StagedWriter {
            root,
            run_id: Arc::clone(&self.run_id),
            table,
            path,
            sink,
            buffer: Buffer::default(),
            bytes: 0,
        })
    }

    /// Removes all that the run staged and did not commit, in both tables; returns the number of files.
    ///
    /// # Errors
    /// Where the store fails; what is left is then for `gc`.
    pub async fn discard(&self) -> Result<u64, TableError> {
        let mut files = 0;
        for table in [TableKind::Main, TableKind::Quarantine] {
            let root = self.roots.of(table);
            let staged = root.list(&names::staging(&self.run_id)).await?;
            files += remove_staged(root, &self.run_id, staged, |_| false).await?.files;
        }
        Ok(files)
    }
}

/// A name must be one visible path segment: readers skip names that begin with `_` or `.`.
pub(super) fn check_name(what: &'static str, name: &str) -> Result<(), TableError> {
    let expected = "a name without `/`, control characters or `#` that does not begin with `_` or `.`";
    let is_hidden = name.is_empty() || name.starts_with(['_', '.']);
    if is_hidden || name.contains(|letter: char| letter == '/' || letter == '#' || letter.is_control()) {
        return Err(TableError::InvalidName { what, name: name.to_owned(), expected });
    }
    Ok(())
}

/// A file that is being staged. Dropping it leaves what was written to `gc`; rather abort it.
#[derive(Debug)]
pub struct StagedWriter {
    root: TableRoot,
    run_id: Arc<str>,
    table: TableKind,
    path: String,
    sink: Sink,
    buffer: Buffer,
    bytes: u64,
}

impl StagedWriter {
    /// Returns the file's final path below its table's folder.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Appends; holds back at most one write (32 KiB on disk, 5 MiB elsewhere) besides `bytes` itself.
    ///
    /// # Errors
    /// Where the disk or the store fails; the file is then to be aborted.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), TableError> {
        self.bytes += bytes.len() as u64;
        self.buffer.push(bytes);
        let flush_bytes = self.sink.flush_bytes();
        while self.buffer.bytes >= flush_bytes {
            // A disk takes any size; a remainder would keep all of its chunk in memory.
            let wanted = if self.sink.is_file() { self.buffer.bytes } else { flush_bytes };
            let chunks = self.buffer.take(wanted);
            self.flush(chunks).await?;
        }
        Ok(())
    }

    /// Writes what is held back and returns what the commit needs to know.
    ///
    /// # Errors
    /// Where the disk or the store fails.
    pub async fn finish(mut self) -> Result<StagedFile, TableError> {
        let rest = self.buffer.take(self.buffer.bytes);
        if let Sink::Upload { path, upload_id: None, is_readable: true, .. } = &self.sink {
            // Small as it is, one request makes it.
            self.root.put(path, rest.concat()).await?;
        } else {
            if !rest.is_empty() || self.sink.is_untouched() {
                self.flush(rest).await?;
            }
            self.complete().await?;
        }
        let staged = match self.sink {
            Sink::File { .. } | Sink::Upload { is_readable: true, .. } => {
                StagedAs::Local { path: names::staged(&self.run_id, &self.path) }
            }
            Sink::Upload { upload_id, parts, .. } => {
                StagedAs::Multipart { upload_id: upload_id.unwrap_or_default(), parts }
            }
        };
        crate::fault::point("write.staged");
        Ok(StagedFile { table: self.table, path: self.path, staged, bytes: self.bytes })
    }

    /// Removes what was written.
    ///
    /// # Errors
    /// Where the disk or the store fails; what is left is then for `gc`.
    pub async fn abort(self) -> Result<(), TableError> {
        match &self.sink {
            Sink::File { .. } => self.root.delete(&names::staged(&self.run_id, &self.path)).await,
            Sink::Upload { upload_id: None, .. } => Ok(()),
            Sink::Upload { store, path, upload_id: Some(upload_id), .. } => {
                let aborted = store.abort_multipart(&self.root.path(path)?, upload_id).await;
                aborted.map_err(StoreError::request("abort the upload of", path))?;
                self.root.delete(&names::upload_journal(&self.run_id, &self.path)).await
            }
        }
    }

    /// Completes the upload of a file that is to be readable; others wait for their commit.
    async fn complete(&self) -> Result<(), TableError> {
        let Sink::Upload { store, path, upload_id: Some(upload_id), parts, is_readable: true } = &self.sink
        else {
            return Ok(());
        };
        let parts = parts.iter().map(|id| PartId { content_id: id.clone() }).collect();
        let completed = store.complete_multipart(&self.root.path(path)?, upload_id, parts).await;
        if let Err(source) = completed
            // A request whose answer got lost is sent again and then finds no upload.
            && self.root.size(path).await? != Some(self.bytes)
        {
            return Err(StoreError::request("complete the upload of", path)(source).into());
        }
        self.root.delete(&names::upload_journal(&self.run_id, &self.path)).await
    }

    async fn flush(&mut self, chunks: Vec<Bytes>) -> Result<(), TableError> {
        match &mut self.sink {
            Sink::File { path, started } => {
                let is_first = !std::mem::replace(started, true);
                append(path.clone(), is_first, chunks).await
            }
            Sink::Upload { store, path, upload_id, parts, .. } => {
                let failed = || StoreError::request("upload", &*path);
                let object = self.root.path(path)?;
                let id = match upload_id {
                    Some(id) => id,
                    None => {
                        let id = store.create_multipart(&object).await.map_err(failed())?;
                        let journal = UploadJournal { path: path.clone(), upload_id: id.clone() };
                        // Remembered at once, or a crash would leave an upload that nobody can abort.
                        let id = upload_id.insert(id);
                        let name = names::upload_journal(&self.run_id, &self.path);
                        write_journal(&self.root, &name, &journal).await?;
                        id
                    }
                };
                let part = store.put_part(&object, id, parts.len(), chunks.into_iter().collect()).await;
                parts.push(part.map_err(failed())?.content_id);
                Ok(())
            }
        }
    }
}

async fn write_journal(root: &TableRoot, name: &str, journal: &UploadJournal) -> Result<(), TableError> {
    let bytes =
        serde_json::to_vec(journal).map_err(|source| TableError::Encode { path: name.to_owned(), source })?;
    root.put(name, bytes).await
}
