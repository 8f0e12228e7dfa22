//! Publishing: what makes a commit visible. Every step may be redone, in any state that a crash left.
//!
//! Commits are published together with everything before them. Two processes may publish at once (a local
//! table has a lock, a bucket has none), so a publisher looks at the log again after it wrote manifests or
//! ready files, and starts over with the newer commits included: whoever writes such a file last has then
//! seen every commit that was there before.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};

use super::Table;
use super::error::TableError;
use super::gc::remove_staged;
use super::lock::PublishLock;
use super::names;
use super::record::{CommitRecord, DataFile, TableKind};
use super::root::TableRoot;
use super::staging::{StagedAs, StagedFile};
use super::state::TableState;
use crate::fault;
use crate::store::StoreError;

/// Requests under way at once.
const REQUESTS_AT_ONCE: usize = 16;

/// Each further round means that another commit landed during the last one.
const ROUNDS_MAX: u32 = 100;

/// Publishes the quarantine first: a reader of the main table can then always ask why a row is missing.
const ORDER: [TableKind; 2] = [TableKind::Quarantine, TableKind::Main];

impl Table {
    /// Publishes every commit without a marker. `fresh` is the caller's own new commit, whose files need no
    /// look whether they are in place already.
    pub(super) async fn publish_pending(&mut self, fresh: Option<u64>) -> Result<(), TableError> {
        if self.log.unpublished().is_empty() {
            return Ok(());
        }
        let _lock = PublishLock::acquire(&self.roots.main).await?;
        self.log.refresh().await?;
        let mut work = self.log.unpublished().to_vec();
        for _ in 0..ROUNDS_MAX {
            if work.is_empty() {
                return Ok(());
            }
            let newer = self.publish_round(&work, fresh).await?;
            if newer.is_empty() {
                return self.mark_published(&work).await;
            }
            // Included even if their own writers have published them: our manifests may be the later ones.
            work.extend(newer);
        }
        Err(TableError::Busy { attempts: ROUNDS_MAX })
    }

    /// Does all steps but the marker; returns commits that landed meanwhile and must be included.
    async fn publish_round(
        &mut self,
        work: &[CommitRecord],
        fresh: Option<u64>,
    ) -> Result<Vec<CommitRecord>, TableError> {
        let mut missing = Vec::new();
        for table in ORDER {
            missing.extend(self.place_files(table, work, fresh).await?);
            if table == TableKind::Quarantine {
                self.mirror_records(work).await?;
            }
            self.write_manifests(table, work).await?;
        }
        let newer = self.log.refresh().await?;
        // Another publisher may have placed a file and moved it on to the history already.
        if let Some((table, path, number)) =
            missing.into_iter().find(|(table, path, _)| self.state().is_live(*table, path))
        {
            tracing::error!(%table, path, "a committed file is lost");
            return Err(TableError::FileLost { path, number });
        }
        if !newer.is_empty() {
            return Ok(newer);
        }
        for table in ORDER {
            self.move_superseded(table, work).await?;
            self.clean_staging(table, work).await?;
        }
        self.write_ready(work).await?;
        self.log.refresh().await
    }

    /// Completes uploads and renames staged files; returns the files that are neither staged nor in place.
    async fn place_files(
        &self,
        table: TableKind,
        work: &[CommitRecord],
        fresh: Option<u64>,
    ) -> Result<Vec<(TableKind, String, u64)>, TableError> {
        let root = self.roots.of(table);
        let (each, all) = match table {
            TableKind::Main => ("publish.file", "publish.files"),
            TableKind::Quarantine => ("publish.quarantine_file", "publish.quarantine_files"),
        };
        let mut placements = Vec::new();
        for record in work {
            let is_fresh = fresh == Some(record.number);
            for DataFile { file, .. } in &record.change(table).add {
                let is_live = self.state().is_live(table, &file.path);
                let placement = async move {
                    let is_placed = place_file(root, file, is_fresh, is_live).await?;
                    fault::point(each);
                    Ok((!is_placed).then(|| (table, file.path.clone(), record.number)))
                };
                placements.push(placement.boxed());
            }
        }
        let missing = concurrently(placements).await?;
        fault::point(all);
        Ok(missing.into_iter().flatten().collect())
    }

    /// The quarantine keeps its own copy of the log, so that it is a table by itself.
    async fn mirror_records(&self, work: &[CommitRecord]) -> Result<(), TableError> {
        for record in work {
            let mirrored = CommitRecord { table: TableKind::Quarantine, ..record.clone() };
            // One that exists is the same one: the log numbers both.
            self.roots.quarantine.create(&names::record(record.number), mirrored.encode()?).await?;
            fault::point("publish.quarantine_record");
        }
        Ok(())
    }

    /// Writes the list of live files of every partition that a commit touched.
    async fn write_manifests(&self, table: TableKind, work: &[CommitRecord]) -> Result<(), TableError> {
        let root = self.roots.of(table);
        let (each, all) = match table {
            TableKind::Main => ("publish.manifest", "publish.manifests"),
            TableKind::Quarantine => ("publish.quarantine_manifest", "publish.quarantine_manifest"),
        };
        let mut writes = Vec::new();
        for partition in touched_partitions(table, work) {
            let name = names::manifest(partition);
            let text = manifest(self.state(), table, root, partition)?;
            let write = async move {
                match text {
                    Some(text) => root.put(&name, text).await?,
                    None => root.delete(&name).await?,
                }
                fault::point(each);
                Ok(())
            };
            writes.push(write.boxed());
        }
        concurrently(writes).await?;
        fault::point(all);
        Ok(())
    }

    /// Moves what the commits superseded out of the readers' way; the log still finds it there.
    async fn move_superseded(&self, table: TableKind, work: &[CommitRecord]) -> Result<(), TableError> {
        let root = self.roots.of(table);
        let mut moves = Vec::new();
        for record in work.iter().filter(|record| record.retain_superseded_seconds == 0) {
            let superseded = record.change(table).remove.iter().map(|removed| removed.path.as_str());
            for path in superseded.filter(|path| !self.state().is_live(table, path)) {
                let move_one = async move {
                    // One that is not there was moved by an earlier attempt, and perhaps collected since.
                    root.rename(path, &names::history(record.number, path)).await?;
                    fault::point("publish.superseded_file");
                    Ok(())
                };
                moves.push(move_one.boxed());
            }
        }
        concurrently(moves).await?;
        let emptied = touched_partitions(table, work).into_iter();
        let emptied =
            emptied.filter(|partition| self.state().partition_files(table, partition).next().is_none());
        root.prune(emptied.map(str::to_owned).collect()).await;
        fault::point("publish.superseded");
        Ok(())
    }

    /// Removes what the runs staged but did not commit, and the journals of what they did.
    async fn clean_staging(&self, table: TableKind, work: &[CommitRecord]) -> Result<(), TableError> {
        let root = self.roots.of(table);
        for record in work {
            let committed: BTreeSet<_> =
                record.change(table).add.iter().map(|added| added.file.path.as_str()).collect();
            for staging in record.stagings() {
                let staged = root.list(&names::staging(staging)).await?;
                remove_staged(root, staging, staged, |path| committed.contains(path)).await?;
            }
        }
        fault::point("publish.staging");
        Ok(())
    }

    /// Tells sensors which partitions are complete.
    async fn write_ready(&self, work: &[CommitRecord]) -> Result<(), TableError> {
        let partitions: BTreeSet<_> = work.iter().flat_map(|record| &record.ready).collect();
        let mut writes = Vec::new();
        for partition in partitions {
            let Some(ready) = self.state().ready(partition) else { continue };
            let rows: u64 =
                self.state().partition_files(TableKind::Main, partition).map(|file| file.rows).sum();
            let content = serde_json::json!({
                "partition": partition, "run_id": ready.run_id, "commit": ready.number, "rows": rows,
            });
            let write = async move {
                self.roots.main.put(&names::ready(partition), content.to_string()).await?;
                fault::point("publish.ready");
                Ok(())
            };
            writes.push(write.boxed());
        }
        concurrently(writes).await?;
        Ok(())
    }

    async fn mark_published(&mut self, work: &[CommitRecord]) -> Result<(), TableError> {
        fault::point("publish.before_marker");
        for record in work {
            self.roots.main.put(&names::published(record.number), Bytes::new()).await?;
        }
        fault::point("publish.after_marker");
        self.log.set_published(&work.iter().map(|record| record.number).collect());
        if self.log.checkpoint_if_due().await? {
            fault::point("publish.checkpoint");
        }
        Ok(())
    }
}

/// Runs requests a few at a time; boxed, so that the caller's future stays `Send`.
pub(super) async fn concurrently<T>(
    requests: Vec<BoxFuture<'_, Result<T, TableError>>>,
) -> Result<Vec<T>, TableError> {
    futures::stream::iter(requests).buffer_unordered(REQUESTS_AT_ONCE).try_collect().await
}

fn touched_partitions(table: TableKind, work: &[CommitRecord]) -> BTreeSet<&str> {
    let changes = work.iter().map(|record| record.change(table));
    changes
        .flat_map(|change| {
            let added = change.add.iter().map(|added| added.partition());
            added.chain(change.remove.iter().map(|removed| removed.partition()))
        })
        .collect()
}

/// Returns one absolute URI a line, or nothing where the partition is empty.
fn manifest(
    state: &TableState,
    table: TableKind,
    root: &TableRoot,
    partition: &str,
) -> Result<Option<String>, TableError> {
    let mut text = String::new();
    for file in state.partition_files(table, partition) {
        text.push_str(&root.location.join(&file.path)?.uri());
        text.push('\n');
    }
    Ok((!text.is_empty()).then_some(text))
}

/// Puts one file in place; tells whether it is there.
///
/// The look before completing keeps a redo from bringing back a file that a later commit has superseded:
/// a store may accept the same completion twice.
async fn place_file(
    root: &TableRoot,
    file: &StagedFile,
    is_fresh: bool,
    is_live: bool,
) -> Result<bool, TableError> {
    match &file.staged {
        StagedAs::Local { path } => {
            Ok(root.rename(path, &file.path).await? || is_in_place(root, file).await?)
        }
        StagedAs::Multipart { upload_id, parts } => {
            if !is_fresh && is_in_place(root, file).await? {
                return Ok(true);
            }
            let Some(store) = &root.handle.multipart else {
                return Err(StoreError::NoUploads { location: root.location.to_string() }.into());
            };
            let path = root.path(&file.path)?;
            let part = |id: &String| object_store::multipart::PartId { content_id: id.clone() };
            let completed =
                store.complete_multipart(&path, upload_id, parts.iter().map(part).collect()).await;
            match completed {
                Ok(_) => Ok(true),
                Err(_) if is_in_place(root, file).await? => Ok(true),
                // Completed, superseded and moved on: its upload is gone with it.
                Err(_) if !is_live => Ok(false),
                Err(object_store::Error::NotFound { .. }) => Ok(false),
                Err(source) => Err(StoreError::request("complete the upload of", &path)(source).into()),
            }
        }
    }
}

async fn is_in_place(root: &TableRoot, file: &StagedFile) -> Result<bool, TableError> {
    Ok(root.size(&file.path).await? == Some(file.bytes))
}
