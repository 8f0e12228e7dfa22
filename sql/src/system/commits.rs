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

pub(super) async fn rows(catalog: &Catalog) -> PlanResult<RecordBatch> {
    let mut all: Vec<(String, CommitRecord)> = Vec::new();
    for (name, declared) in catalog.declared() {
        if declared.settings.kind != TableKind::Cambist {
            continue;
        }
        match catalog.commits(&name, COMMITS_MAX).await {
            Ok(commits) => all.extend(commits.into_iter().map(|commit| (name.clone(), commit))),
            Err(error) => {
                tracing::warn!(table = name, %error, "a log cannot be read, its commits are not told")
            }
        }
    }
    let added = |change: &TableChange| change.add.iter().map(|file| file.rows).sum::<u64>();
    batch(
        &columns(),
        vec![
            texts(all.iter().map(|(table, _)| Some(table))),
            counts(all.iter().map(|(_, one)| one.number)),
            instants(all.iter().map(|(_, one)| one.committed_at.parse().ok())),
            texts(all.iter().map(|(_, one)| Some(&one.run_id))),
            texts(all.iter().map(|(_, one)| Some(&one.kind))),
            texts(all.iter().map(|(_, one)| Some(&one.batch))),
            counts(all.iter().map(|(_, one)| added(&one.main))),
            counts(all.iter().map(|(_, one)| one.main.add.len() as u64)),
            counts(all.iter().map(|(_, one)| one.main.remove.len() as u64)),
            counts(all.iter().map(|(_, one)| added(&one.quarantine))),
            texts(all.iter().map(|(_, one)| Some(&one.rules_version))),
            texts(all.iter().map(|(_, one)| Some(&one.input_digest))),
        ],
    )
}
