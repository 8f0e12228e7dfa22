//! `system.commits`: the newest commits of every declared Cambist table.

use cambist_engine::table::{CommitRecord, TableChange};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::Result as PlanResult;

use super::rows::{batch, counts, instant, instants, schema, texts};
use crate::catalog::{Catalog, TableKind};

/// The newest commits of a table that are told.
const COMMITS_MAX: u64 = 1000;

pub(super) fn columns() -> SchemaRef {
    schema([
        ("table", DataType::Utf8),
        ("commit", DataType::Int64),
        ("committed_at", instant()),
        ("run_id", DataType::Utf8),
        ("kind", DataType::Utf8),
        ("batch", DataType::Utf8),
        ("rows_added", DataType::Int64),
        ("files_added", DataType::Int64),
        ("files_removed", DataType::Int64),
        ("rows_quarantined", DataType::Int64),
        ("rules_version", DataType::Utf8),
        ("input_digest", DataType::Utf8),
    ])
}

/// What is told of a commit, without the files that its record lists.
struct Told {
    number: u64,
    committed_at: String,
    run_id: String,
    kind: String,
    batch: String,
    rows_added: u64,
    files_added: u64,
    files_removed: u64,
    rows_quarantined: u64,
    rules_version: String,
    input_digest: String,
}

impl Told {
    fn of(record: CommitRecord) -> Self {
        let added = |change: &TableChange| change.add.iter().map(|file| file.rows).sum();
        Self {
            number: record.number,
            rows_added: added(&record.main),
            files_added: record.main.add.len() as u64,
            files_removed: record.main.remove.len() as u64,
            rows_quarantined: added(&record.quarantine),
            committed_at: record.committed_at,
            run_id: record.run_id,
            kind: record.kind,
            batch: record.batch,
            rules_version: record.rules_version,
            input_digest: record.input_digest,
        }
    }
}

pub(super) async fn rows(catalog: &Catalog) -> PlanResult<RecordBatch> {
    let mut all: Vec<(String, Told)> = Vec::new();
    for (name, declared) in catalog.declared() {
        if declared.settings.kind != TableKind::Cambist {
            continue;
        }
        match catalog.commits(&name, COMMITS_MAX, Told::of).await {
            Ok(commits) => all.extend(commits.into_iter().map(|commit| (name.clone(), commit))),
            Err(error) => {
                tracing::warn!(table = name, %error, "a log cannot be read, its commits are not told")
            }
        }
    }
    batch(
        &columns(),
        vec![
            texts(all.iter().map(|(table, _)| Some(table))),
            counts(all.iter().map(|(_, one)| one.number)),
            instants(all.iter().map(|(_, one)| one.committed_at.parse().ok())),
            texts(all.iter().map(|(_, one)| Some(&one.run_id))),
            texts(all.iter().map(|(_, one)| Some(&one.kind))),
            texts(all.iter().map(|(_, one)| Some(&one.batch))),
            counts(all.iter().map(|(_, one)| one.rows_added)),
            counts(all.iter().map(|(_, one)| one.files_added)),
            counts(all.iter().map(|(_, one)| one.files_removed)),
            counts(all.iter().map(|(_, one)| one.rows_quarantined)),
            texts(all.iter().map(|(_, one)| Some(&one.rules_version))),
            texts(all.iter().map(|(_, one)| Some(&one.input_digest))),
        ],
    )
}
