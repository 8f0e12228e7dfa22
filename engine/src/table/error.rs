//! What can go wrong with a table.

use super::record::TableKind;
use crate::location::LocationError;
use crate::store::StoreError;

/// A table that cannot be read, written or committed to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The table's place, or a path inside it, is not valid.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// The store failed; see [`StoreError::is_retryable`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A local file could not be handled.
    #[error("could not {action} `{path}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no table; the caller should check the path or write one first.
    #[error("no table at `{root}`, expected a folder with commit records in `_commits/`")]
    NoTable {
        /// The folder.
        root: String,
    },
    /// The folder belongs to somebody else; the caller should name an empty or new one.
    #[error(
        "`{root}` is not a Cambist table: it holds `{found}`; expected an empty or new folder, or a table"
    )]
    NotATable {
        /// The folder.
        root: String,
        /// Something in it that is not ours.
        found: String,
    },
    /// A file lies where the table's folder should be.
    #[error("`{root}` is a file, expected a folder")]
    NotAFolder {
        /// The file.
        root: String,
    },
    /// The folder is the quarantine of a table; the caller should open the table.
    #[error("`{root}` is the quarantine of another table, expected the table's own folder")]
    IsQuarantine {
        /// The folder.
        root: String,
    },
    /// The run's columns are not the table's; the caller should write to a new folder.
    #[error("{difference} in the {table} table; expected the columns that the table already has")]
    SchemaMismatch {
        /// Which of the two tables.
        table: TableKind,
        /// The first difference.
        difference: String,
    },
    /// Another run committed the same batch meanwhile; the caller should look before running again.
    #[error("batch `{batch}` was committed meanwhile by run `{run_id}` as commit {number}")]
    Conflict {
        /// The batch.
        batch: String,
        /// The winner's commit.
        number: u64,
        /// The winner's run.
        run_id: String,
    },
    /// Other writers kept the table busy; the same call may succeed later.
    #[error("the table changed {attempts} times during one commit, expected fewer writers at once")]
    Busy {
        /// How often the commit was tried.
        attempts: u32,
    },
    /// Another process holds the table's publishing lock for too long.
    #[error("`{path}` is held by another process for more than {seconds} s, expected it to finish")]
    Locked {
        /// The lock file.
        path: String,
        /// How long was waited.
        seconds: u64,
    },
    /// A file of the draft is not where it was staged: removed by `gc`, or by hand.
    #[error("the staged file for `{path}` is missing or has another size, expected it as it was staged")]
    StagedFileMissing {
        /// The file's final path.
        path: String,
    },
    /// A file of the draft bears a name that the table already holds, or holds twice.
    #[error("a file named `{path}` is already in the table, expected names unique to the attempt")]
    DuplicatePath {
        /// The file's final path.
        path: String,
    },
    /// Files that should have the rows of others have more or fewer of them: a defect.
    #[error("the files of batch `{batch}` have {rows} rows and those that replace them {added_rows}")]
    Unbalanced {
        /// The batch.
        batch: String,
        /// Rows of the files to be replaced.
        rows: u64,
        /// Rows of the files in their place.
        added_rows: u64,
    },
    /// A name that a task or a draft gave cannot be used.
    #[error("{what} `{name}` cannot be used, expected {expected}")]
    InvalidName {
        /// What it was to name.
        what: &'static str,
        /// The name.
        name: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// An object of a run's staging folder was there and then not: the run was discarded meanwhile.
    #[error("`{path}` vanished while it was used, expected the run's staging folder to be left alone")]
    ObjectVanished {
        /// The object.
        path: String,
    },
    /// A committed file is neither staged nor in place; the caller should restore it or run the batch again.
    #[error("the file `{path}` of commit {number} is neither staged nor in place")]
    FileLost {
        /// The file's final path.
        path: String,
        /// The commit that added it.
        number: u64,
    },
    /// A file that a query reads was superseded and collected; the caller should run the query again, which
    /// then reads the newest state, or ask for a later instant.
    #[error(
        "`{path}` is neither in its place nor in the history of `{root}`: a later commit superseded it and \
         `table gc` has collected it since; run the query again, or ask for a later instant"
    )]
    FileGone {
        /// The file's path below the table's folder.
        path: String,
        /// The table's folder.
        root: String,
    },
    /// A committed file is not the Parquet file that it should be.
    #[error("the file `{path}` cannot be read")]
    FileUnreadable {
        /// The file's path below the table's folder.
        path: String,
        /// Why.
        source: parquet::errors::ParquetError,
    },
    /// The table's first commit stands but is not published; whoever opens the table next to write completes it.
    #[error(
        "the first commit of `{root}` is not yet published, expected its run to finish or another command \
         on the table to complete it"
    )]
    NothingPublished {
        /// The folder.
        root: String,
    },
    /// The table did not exist yet; the caller should ask for a later instant.
    #[error("`{root}` has no commit up to {instant}, expected an instant from {first} on")]
    NoCommitYet {
        /// The folder.
        root: String,
        /// The instant that was asked for.
        instant: jiff::Timestamp,
        /// When the oldest commit was made.
        first: jiff::Timestamp,
    },
    /// The log does not make sense; nothing was written.
    #[error("the commit log is damaged at `{path}`: {detail}")]
    LogDamaged {
        /// The object.
        path: String,
        /// What is wrong.
        detail: String,
    },
    /// The record was written by a newer version; the caller should upgrade.
    #[error("`{path}` has version {found}, expected at most {known}: upgrade cambist")]
    NewerVersion {
        /// The object.
        path: String,
        /// Its version.
        found: u64,
        /// The newest version that is understood.
        known: u64,
    },
    /// The log has no such commit.
    #[error("no commit {number}, expected 1 to {last}")]
    NoSuchCommit {
        /// The number that was asked for.
        number: u64,
        /// The newest commit.
        last: u64,
    },
    /// A record could not be written as JSON.
    #[error("could not encode `{path}` as JSON")]
    Encode {
        /// The object.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The commit stands but could not be published; whoever opens the table next completes it.
    #[error("commit {number} stands but is not yet published; the next command on this table completes it")]
    Unpublished {
        /// The commit.
        number: u64,
        /// What stopped the publishing.
        source: Box<TableError>,
    },
}

impl TableError {
    pub(crate) fn io(action: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { action, path: path.display().to_string(), source }
    }

    /// Tells whether the same command may succeed later without anyone changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(store) => store.is_retryable(),
            Self::Busy { .. } | Self::Locked { .. } | Self::NothingPublished { .. } => true,
            Self::Unpublished { source, .. } => source.is_retryable(),
            _ => false,
        }
    }
}
