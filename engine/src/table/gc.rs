//! Collecting what no reader and no writer needs any more.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use futures::{FutureExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use object_store::ObjectMeta;
use object_store::multipart::MultipartStore;

use super::Table;
use super::error::TableError;
use super::names;
use super::publish::concurrently;
use super::record::{CommitRecord, TableKind};
use super::root::TableRoot;
use super::staging::UploadJournal;
use crate::fault;

/// What was collected, of both tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct GcReport {
    /// Superseded files deleted for good.
    pub history_files: u64,
    /// Their size.
    pub history_bytes: u64,
    /// Superseded files that had been retained in place and were moved to the history.
    pub retired_files: u64,
    /// Staged files and journals of dead runs.
    pub staged_files: u64,
    /// Their size; what an open upload held is not known and not in it.
    pub staged_bytes: u64,
    /// Open uploads of dead runs that were aborted.
    pub uploads_aborted: u64,
}

impl Table {
    /// Deletes superseded files and what dead runs staged, both older than `older_than` before `now`.
    ///
    /// Time travel to commits whose files were collected is then no longer possible; the records stay.
    /// A run counts as dead when nothing it staged is younger than the limit, so the limit must exceed the
    /// longest pause of a running one. Superseded files that were retained in place beyond their own time
    /// go to the history first.
    ///
    /// # Errors
    /// Where the store fails; what was collected so far is gone, the rest is for the next call.
    pub async fn gc(&mut self, older_than: Duration, now: Timestamp) -> Result<GcReport, TableError> {
        // A commit that landed since this table was opened still needs what its run staged.
        self.log.refresh().await?;
        self.publish_pending(None).await?;
        let limit = now.checked_sub(older_than).unwrap_or(Timestamp::MIN);
        let mut report = GcReport::default();
        for table in [TableKind::Main, TableKind::Quarantine] {
            self.retire(table, now, &mut report).await?;
            self.collect_history(table, limit, &mut report).await?;
            let root = self.roots.of(table);
            collect_staging(root, limit, &mut report).await?;
            for folder in [names::HISTORY, names::STAGING] {
                root.prune_tree(folder).await;
            }
        }
        Ok(report)
    }

    /// Moves files that a commit left in place for a while, and whose while is over, to the history.
    async fn retire(
        &self,
        table: TableKind,
        now: Timestamp,
        report: &mut GcReport,
    ) -> Result<(), TableError> {
        let root = self.roots.of(table);
        let mut dead: BTreeSet<String> = BTreeSet::new();
        for (path, _) in root.list("").await? {
            if !path.starts_with('_') && !self.state().is_live(table, &path) {
                dead.insert(path);
            }
        }
        if dead.is_empty() {
            return Ok(());
        }
        // Only the log knows which of them are ours, and since when they are dead.
        let mut records = self.log.records(1..=self.state().last_commit());
        while let Some(record) = records.try_next().await? {
            let number = record.number;
            let retained = Duration::from_secs(record.retain_superseded_seconds);
            if record.retain_superseded_seconds == 0
                || now.duration_since(instant(&record)?) < signed(retained)
            {
                continue;
            }
            for removed in record.change(table).remove.iter().filter(|removed| dead.contains(&removed.path)) {
                if root.rename(&removed.path, &names::history(number, &removed.path)).await? {
                    report.retired_files += 1;
                    fault::point("gc.history");
                }
            }
        }
        Ok(())
    }

    async fn collect_history(
        &self,
        table: TableKind,
        limit: Timestamp,
        report: &mut GcReport,
    ) -> Result<(), TableError> {
        let root = self.roots.of(table);
        let mut by_commit: BTreeMap<u64, Vec<(String, ObjectMeta)>> = BTreeMap::new();
        for (path, object) in root.list(names::HISTORY).await? {
            let number = path.split('/').nth(1).and_then(|folder| folder.parse().ok());
            if let Some(number) = number.filter(|number| (1..=self.state().last_commit()).contains(number)) {
                by_commit.entry(number).or_default().push((path, object));
            }
        }
        for (number, objects) in by_commit {
            if instant(&self.record(number).await?)? >= limit {
                continue;
            }
            report.history_files += objects.len() as u64;
            report.history_bytes += objects.iter().map(|(_, object)| object.size).sum::<u64>();
            let paths = objects.into_iter().map(|(path, _)| path).collect();
            root.delete_all(paths, "gc.history").await?;
        }
        Ok(())
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

fn instant(record: &CommitRecord) -> Result<Timestamp, TableError> {
    record.committed_at.parse().map_err(|error| damaged(record, error))
}

fn damaged(record: &CommitRecord, error: jiff::Error) -> TableError {
    TableError::LogDamaged { path: names::record(record.number), detail: error.to_string() }
}

async fn collect_staging(
    root: &TableRoot,
    limit: Timestamp,
    report: &mut GcReport,
) -> Result<(), TableError> {
    let mut runs: HashMap<String, Vec<(String, ObjectMeta)>> = HashMap::new();
    for (path, object) in root.list(names::STAGING).await? {
        if let Some(run_id) = path.split('/').nth(1) {
            runs.entry(run_id.to_owned()).or_default().push((path, object));
        }
    }
    for (run_id, staged) in runs {
        let is_dead = staged.iter().all(|(_, object)| object.last_modified.timestamp() < limit.as_second());
        if is_dead {
            let removed = remove_staged(root, &run_id, staged, |_| false).await?;
            report.staged_files += removed.files;
            report.staged_bytes += removed.bytes;
            report.uploads_aborted += removed.uploads_aborted;
        }
    }
    Ok(())
}

/// What was removed from a staging folder.
#[derive(Default)]
pub(super) struct Removed {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) uploads_aborted: u64,
}

/// Removes what run `run_id` staged, as listed in `staged`, and aborts its open uploads, except those of
/// files that `is_committed` knows by their final path: of these only the journal goes.
///
/// Journals go before their uploads, because a commit looks for the journal to know that its upload is
/// open. A process that dies in between leaves an upload to the bucket's own rule for uncompleted ones.
pub(super) async fn remove_staged(
    root: &TableRoot,
    run_id: &str,
    staged: Vec<(String, ObjectMeta)>,
    is_committed: impl Fn(&str) -> bool,
) -> Result<Removed, TableError> {
    let run_folder = names::staging(run_id);
    let bytes = staged.iter().map(|(_, object)| object.size).sum();
    let paths: Vec<_> = staged.into_iter().map(|(path, _)| path).collect();
    let is_open = |path: &&String| {
        let journal = path.strip_prefix(&run_folder).and_then(|path| path.strip_suffix(".upload"));
        journal.is_some_and(|path| !is_committed(path.trim_start_matches('/')))
    };
    let journals = paths.iter().filter(is_open).map(|path| root.get(path).boxed()).collect();
    let journals = concurrently(journals).await?;
    // Only a journal that was written whole can be read; its upload is then not ours to know.
    let uploads: Vec<_> =
        journals.iter().flatten().filter_map(|journal| serde_json::from_slice(journal).ok()).collect();
    let files = paths.len() as u64;
    root.delete_all(paths, "gc.staging").await?;
    let uploads_aborted = abort_uploads(root, &uploads).await?;
    root.remove_folder(&run_folder).await;
    Ok(Removed { files, bytes, uploads_aborted })
}

async fn abort_uploads(root: &TableRoot, uploads: &[UploadJournal]) -> Result<u64, TableError> {
    let Some(store) = &root.handle.multipart else { return Ok(0) };
    let aborts = uploads.iter().map(|upload| abort_upload(root, store.as_ref(), upload).boxed()).collect();
    let aborted = concurrently(aborts).await?;
    Ok(aborted.into_iter().map(u64::from).sum())
}

/// Aborts one upload; tells whether it was open.
async fn abort_upload(
    root: &TableRoot,
    store: &dyn MultipartStore,
    upload: &UploadJournal,
) -> Result<bool, TableError> {
    match store.abort_multipart(&root.path(&upload.path)?, &upload.upload_id).await {
        Ok(()) => return Ok(true),
        // An upload that was completed or aborted is unknown to the store.
        Err(object_store::Error::NotFound { .. }) => {}
        Err(error) => {
            tracing::warn!(%error, path = upload.path, "an upload is left to the bucket's own rule")
        }
    }
    Ok(false)
}
