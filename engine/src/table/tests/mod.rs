mod commits;
mod compactions;
mod crashes;
mod faulty;
mod maintenance;
mod refusals;
mod restatements;
mod snapshots;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use tempfile::TempDir;

use super::*;
use crate::store::{StoreHandle, list_objects};

/// A place for a table: a disk folder with a space in its name, or a bucket in memory.
struct Lake {
    root: Location,
    handle: StoreHandle,
    _folder: Option<TempDir>,
}

impl Lake {
    fn on_disk() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Location::parse(&format!("{}/my lake/processed data", folder.path().display())).unwrap();
        let handle = StoreHandle::without_multipart(Arc::new(LocalFileSystem::new()));
        Self { root, handle, _folder: Some(folder) }
    }

    fn in_memory() -> Self {
        let root = Location::parse("s3://lake/processed data").unwrap();
        let handle = StoreHandle::with_multipart(Arc::new(InMemory::new()));
        Self { root, handle, _folder: None }
    }

    /// A folder of a real or imitated S3 bucket, where `CAMBIST_TEST_S3` names one (`s3://bucket/folder`).
    fn in_bucket() -> Option<Self> {
        let folder = std::env::var("CAMBIST_TEST_S3").ok()?;
        let unique = RandomState::new().build_hasher().finish();
        let root = Location::parse(&format!("{folder}/{unique:x}/processed data")).unwrap();
        let handle = Stores::new().for_location(&root).unwrap();
        Some(Self { root, handle, _folder: None })
    }

    fn everywhere() -> impl Iterator<Item = Self> {
        let bucket = Self::in_bucket();
        if bucket.is_none() {
            eprintln!("skipped on S3: CAMBIST_TEST_S3 is not set");
        }
        [Self::on_disk(), Self::in_memory()].into_iter().chain(bucket)
    }

    fn stores(&self) -> Stores {
        self.stores_with(self.handle.clone())
    }

    fn stores_with(&self, handle: StoreHandle) -> Stores {
        let stores = Stores::new();
        stores.register(self.root.place().clone(), handle);
        stores
    }

    async fn open(&self) -> Table {
        Table::open(&self.stores(), &self.root).await.unwrap()
    }

    async fn open_or_create(&self) -> Table {
        Table::open_or_create(&self.stores(), &self.root).await.unwrap()
    }

    /// Stages and commits one run with a table of its own.
    async fn run(&self, run: &Run) -> Result<CommitOutcome, TableError> {
        let mut table = Table::open_or_create(&self.stores(), &self.root).await?;
        let draft = run.stage(&table).await?;
        table.commit(draft).await
    }

    /// What a reader of the manifests sees: partition and row, sorted.
    async fn manifest_rows(&self, kind: TableKind) -> Vec<String> {
        let root = self.root_of(kind);
        let mut rows = Vec::new();
        for object in self.objects(&root.join(names::MANIFESTS).unwrap()).await {
            for line in self.text(&object).await.lines() {
                assert!(line.ends_with(".parquet"), "{line}");
                let file = Location::parse(line).unwrap();
                assert_eq!(file.uri(), line, "a manifest names files as they are");
                rows.extend(self.file_rows(&file).await);
            }
        }
        rows.sort_unstable();
        rows
    }

    /// What a reader sees that takes every data file in the folder.
    async fn flat_rows(&self, kind: TableKind) -> Vec<String> {
        let root = self.root_of(kind);
        let mut rows = Vec::new();
        for object in self.objects(&root).await {
            let relative = object.path().as_ref().strip_prefix(root.path().as_ref()).unwrap();
            if relative.ends_with(".parquet") {
                assert!(!relative.starts_with("/_"), "{relative} would be found by a glob");
                rows.extend(self.file_rows(&object).await);
            }
        }
        rows.sort_unstable();
        rows
    }

    /// Both kinds of readers of both tables must see the same; rows of the quarantine begin with `!`.
    async fn rows(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for kind in [TableKind::Main, TableKind::Quarantine] {
            let of_kind = self.manifest_rows(kind).await;
            assert_eq!(of_kind, self.flat_rows(kind).await, "{kind}");
            rows.extend(of_kind);
        }
        rows.sort_unstable();
        rows
    }

    async fn file_rows(&self, file: &Location) -> Vec<String> {
        let folder = file.path().parent().unwrap();
        let partition = folder.filename().unwrap().strip_prefix("dt=").unwrap_or("").to_owned();
        self.text(file).await.lines().map(|row| format!("{row}@{partition}")).collect()
    }

    async fn text(&self, file: &Location) -> String {
        let bytes = self.handle.store.get(file.path()).await.unwrap().bytes().await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    async fn put(&self, relative: &str, text: &str) {
        let path = self.root.join(relative).unwrap();
        self.handle.store.put(path.path(), text.to_owned().into()).await.unwrap();
    }

    async fn objects(&self, folder: &Location) -> Vec<Location> {
        let objects = list_objects(self.handle.store.as_ref(), folder).await.unwrap();
        objects.into_iter().map(|object| self.root.with_path(object.location)).collect()
    }

    /// Everything that exists below a folder of the main table, by its path there.
    async fn names(&self, folder: &str) -> Vec<String> {
        let folder = if folder.is_empty() { self.root.clone() } else { self.root.join(folder).unwrap() };
        let prefix = format!("{}/", folder.path());
        let objects = self.objects(&folder).await;
        objects
            .iter()
            .map(|object| object.path().as_ref().strip_prefix(&prefix).unwrap().to_owned())
            .collect()
    }

    fn root_of(&self, kind: TableKind) -> Location {
        match kind {
            TableKind::Main => self.root.clone(),
            TableKind::Quarantine => self.root.sibling("_quarantine").unwrap(),
        }
    }
}

/// A run: its batch, and rows by day; a day that begins with `!` is of the quarantine.
#[derive(Clone)]
struct Run {
    id: String,
    batch: String,
    digest: String,
    days: Vec<(String, String)>,
    ready: Vec<String>,
    retain_superseded_seconds: u64,
}

impl Run {
    fn new(id: &str, batch: &str, days: &[(&str, &str)]) -> Self {
        Self {
            id: id.to_owned(),
            batch: batch.to_owned(),
            digest: format!("digest of {id}"),
            days: days.iter().map(|(day, rows)| ((*day).to_owned(), (*rows).to_owned())).collect(),
            ready: Vec::new(),
            retain_superseded_seconds: 0,
        }
    }

    /// The rows as [`Lake::rows`] shows them.
    fn rows(&self) -> Vec<String> {
        let rows = self.days.iter().flat_map(|(day, rows)| {
            rows.split(' ').map(move |row| match day.strip_prefix('!') {
                Some(day) => format!("!{row}@{day}"),
                None => format!("{row}@{day}"),
            })
        });
        rows.collect()
    }

    async fn stage(&self, table: &Table) -> Result<CommitDraft, TableError> {
        let staging = table.staging(&self.id);
        let mut files = Vec::new();
        for (day, rows) in &self.days {
            let (kind, day, mark) = match day.strip_prefix('!') {
                Some(day) => (TableKind::Quarantine, day, "!"),
                None => (TableKind::Main, day.as_str(), ""),
            };
            let file_name = format!("part-00000-{}.zstd.parquet", self.id);
            let mut writer = staging.create(kind, &format!("dt={day}"), &file_name)?;
            for row in rows.split(' ') {
                writer.write(Bytes::from(format!("{mark}{row}\n"))).await?;
            }
            files.push(data_file(writer.finish().await?, rows.split(' ').count()));
        }
        Ok(CommitDraft { files, ..self.empty_draft() })
    }

    fn empty_draft(&self) -> CommitDraft {
        CommitDraft {
            run_id: self.id.clone(),
            staging: self.id.clone(),
            batch: self.batch.clone(),
            kind: "normalize".to_owned(),
            committed_at: instant("2024-05-02T03:04:05Z"),
            input_digest: self.digest.clone(),
            rules_version: "1".to_owned(),
            schema: schema(&[("id", "bigint"), ("amount_inr", "decimal(38,2)")]),
            quarantine_schema: schema(&[("reason", "string")]),
            files: Vec::new(),
            partitions: BTreeMap::new(),
            quarantine_partitions: BTreeMap::new(),
            ready: self.ready.clone(),
            retain_superseded_seconds: self.retain_superseded_seconds,
            details: serde_json::json!({"run": self.id}),
        }
    }
}

fn data_file(file: StagedFile, rows: usize) -> DataFile {
    let totals = BTreeMap::from([("INR".to_owned(), "12.34".to_owned())]);
    DataFile {
        file,
        rows: rows as u64,
        content_hash: "00ff".to_owned(),
        source_totals: BTreeMap::new(),
        totals,
        batch: None,
    }
}

fn schema(columns: &[(&str, &str)]) -> TableSchema {
    let column = |(name, hive_type): &(&str, &str)| Column {
        name: (*name).to_owned(),
        hive_type: (*hive_type).to_owned(),
    };
    TableSchema { columns: columns.iter().map(column).collect(), partition_column: Some("dt".to_owned()) }
}

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn sorted(runs: &[&Run]) -> Vec<String> {
    let mut rows: Vec<_> = runs.iter().flat_map(|run| run.rows()).collect();
    rows.sort_unstable();
    rows
}
