//! What is done to a table besides running jobs into it: read its log, list its files, write its DDL,
//! collect what nobody needs any more.

use std::time::Duration;

use cambist_engine::location::Location;
use cambist_engine::store::Stores;
use cambist_engine::table::{DdlDialect, DdlOptions, GcReport, Table, TableKind, Whereabouts};
use serde::Serialize;

use crate::error::{JobError, Result};
use crate::input::of_table;

/// A commit, for `table log`.
#[derive(Clone, Debug, Serialize)]
pub struct CommitSummary {
    /// Its number.
    pub number: u64,
    /// When, RFC 3339 in UTC.
    pub committed_at: String,
    /// The batch it replaced; of a restatement the names of all, one after the other.
    pub batch: String,
    /// The run that made it.
    pub run_id: String,
    /// What kind of run that was.
    pub kind: String,
    /// Data files added, the quarantine's too.
    pub files_added: usize,
    /// Data files superseded.
    pub files_removed: usize,
    /// Rows added to the main table.
    pub rows: u64,
    /// Records added to the quarantine.
    pub quarantined: u64,
}

/// A data file, for `table files`.
#[derive(Clone, Debug, Serialize)]
pub struct FileSummary {
    /// `main` or `quarantine`.
    pub table: String,
    /// Its path below the table's folder.
    pub path: String,
    /// Where it can be read now; none where it was collected.
    pub location: Option<String>,
    /// Its rows.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
    /// The batch it belongs to.
    pub batch: String,
    /// The commit that added it.
    pub commit: u64,
    /// The commit that superseded it.
    pub superseded_by: Option<u64>,
}

/// What `table gc` removed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct GcSummary {
    /// Superseded files, gone from the history.
    pub history_files: u64,
    /// Their bytes.
    pub history_bytes: u64,
    /// Superseded files that had been retained in place and went to the history.
    pub retired_files: u64,
    /// Staged files of runs that died.
    pub staged_files: u64,
    /// Their bytes.
    pub staged_bytes: u64,
    /// Uncompleted uploads that were aborted.
    pub uploads_aborted: u64,
}

impl From<GcReport> for GcSummary {
    fn from(report: GcReport) -> Self {
        Self {
            history_files: report.history_files,
            history_bytes: report.history_bytes,
            retired_files: report.retired_files,
            staged_files: report.staged_files,
            staged_bytes: report.staged_bytes,
            uploads_aborted: report.uploads_aborted,
        }
    }
}

async fn open(stores: &Stores, output: &str) -> Result<Table> {
    let root = Location::parse(output).map_err(|error| JobError::usage(error.to_string()))?;
    Table::open(stores, &root).await.map_err(|error| of_table(&error))
}

/// Tells whether a table of ours lies at `url`.
///
/// # Errors
/// Where the store fails.
pub async fn is_table(stores: &Stores, url: &str) -> Result<bool> {
    // A glob is no place of a table.
    let Ok(root) = Location::parse(url) else { return Ok(false) };
    match Table::exists(stores, &root).await {
        Ok(exists) => Ok(exists),
        Err(error) => Err(of_table(&error)),
    }
}

/// Lists the newest `limit` commits, newest first.
///
/// # Errors
/// Where there is no table, or the store fails.
pub async fn log(stores: &Stores, output: &str, limit: u64) -> Result<Vec<CommitSummary>> {
    let records = open(stores, output).await?.log(limit).await.map_err(|error| of_table(&error))?;
    let summary = |record: cambist_engine::table::CommitRecord| CommitSummary {
        number: record.number,
        committed_at: record.committed_at.clone(),
        files_added: record.main.add.len() + record.quarantine.add.len(),
        files_removed: record.main.remove.len() + record.quarantine.remove.len(),
        rows: record.main.add.iter().map(|file| file.rows).sum(),
        quarantined: record.quarantine.add.iter().map(|file| file.rows).sum(),
        batch: record.replaced_batches().map(|(batch, ..)| batch).collect::<Vec<_>>().join(", "),
        run_id: record.run_id,
        kind: record.kind,
    };
    Ok(records.into_iter().map(summary).collect())
}

/// Lists the files that are live, or were after commit `at`.
///
/// # Errors
/// Where there is no table or no such commit, or the store fails.
pub async fn files(stores: &Stores, output: &str, at: Option<u64>) -> Result<Vec<FileSummary>> {
    let files = open(stores, output).await?.files(at).await.map_err(|error| of_table(&error))?;
    let summary = |file: cambist_engine::table::TableFile| FileSummary {
        table: file.table.to_string(),
        location: file.whereabouts.location().map(Location::uri),
        superseded_by: match file.whereabouts {
            Whereabouts::Live(_) => None,
            Whereabouts::Superseded { by, .. } | Whereabouts::Collected { by } => Some(by),
        },
        path: file.file.path,
        rows: file.file.rows,
        bytes: file.file.bytes,
        batch: file.file.batch,
        commit: file.file.commit,
    };
    Ok(files.into_iter().map(summary).collect())
}

/// Returns the statement that makes a hive or Athena table of one of the two tables.
///
/// # Errors
/// Where there is no table, or the name or day cannot stand in a statement.
pub async fn ddl(
    stores: &Stores,
    output: &str,
    dialect: &str,
    table_name: &str,
    quarantine: bool,
    first_day: &str,
) -> Result<String> {
    let dialect = match dialect {
        "athena" => DdlDialect::Athena,
        "hive" => DdlDialect::Hive,
        other => return Err(JobError::usage(format!("dialect is `{other}`, expected athena or hive"))),
    };
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '.';
    if table_name.is_empty() || !table_name.chars().all(is_plain) {
        return Err(JobError::usage(format!(
            "table name is `{table_name}`, expected letters, digits, `_` and `.`"
        )));
    }
    if first_day.parse::<jiff::civil::Date>().is_err() {
        return Err(JobError::usage(format!(
            "first day is `{first_day}`, expected a date such as `2020-01-01`"
        )));
    }
    let table = if quarantine { TableKind::Quarantine } else { TableKind::Main };
    let options =
        DdlOptions { dialect, table_name: table_name.to_owned(), table, first_day: first_day.to_owned() };
    open(stores, output).await?.ddl(&options).map_err(|error| of_table(&error))
}

/// Removes history, staged leftovers and uploads that are older than `older_than`.
///
/// # Errors
/// Where there is no table, or the store fails.
pub async fn gc(
    stores: &Stores,
    output: &str,
    older_than: Duration,
    now: jiff::Timestamp,
) -> Result<GcSummary> {
    let report = open(stores, output).await?.gc(older_than, now).await;
    report.map(Into::into).map_err(|error| of_table(&error))
}
