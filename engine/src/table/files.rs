//! Where the files of a commit lie now: time travel.

use std::collections::{BTreeSet, HashMap};

use futures::TryStreamExt;

use super::Table;
use super::error::TableError;
use super::names;
use super::record::TableKind;
use super::state::{LiveFile, TableState};
use crate::location::Location;

/// Where a file of some commit lies now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// In its place, live.
    Live(Location),
    /// Superseded by a later commit, and kept here.
    Superseded {
        /// Where it is.
        location: Location,
        /// The commit that superseded it.
        by: u64,
    },
    /// Superseded and collected since.
    Collected {
        /// The commit that superseded it.
        by: u64,
    },
}

impl Whereabouts {
    /// Returns where the file can be read, or nothing if it was collected.
    pub fn location(&self) -> Option<&Location> {
        match self {
            Self::Live(location) | Self::Superseded { location, .. } => Some(location),
            Self::Collected { .. } => None,
        }
    }
}

/// A file that was live after some commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFile {
    /// The table it is in.
    pub table: TableKind,
    /// What the log says of it.
    pub file: LiveFile,
    /// Where it lies now.
    pub whereabouts: Whereabouts,
}

impl Table {
    /// Returns the files that were live after commit `at` (the newest by default), main table first, each
    /// with the place where it lies now.
    ///
    /// # Errors
    /// [`TableError::NoSuchCommit`] where the log has no commit `at`; otherwise where the store fails.
    pub async fn files(&self, at: Option<u64>) -> Result<Vec<TableFile>, TableError> {
        let last = self.state().last_commit();
        let number = at.unwrap_or(last);
        if number > last {
            return Err(TableError::NoSuchCommit { number, last });
        }
        let state = self.log.state_at(number).await?;
        let mut files = Vec::new();
        for table in [TableKind::Main, TableKind::Quarantine] {
            self.locate(table, &state, &mut files).await?;
        }
        Ok(files)
    }

    async fn locate(
        &self,
        table: TableKind,
        state: &TableState,
        files: &mut Vec<TableFile>,
    ) -> Result<(), TableError> {
        let root = self.roots.of(table);
        let removed_by = self.removals_after(table, state.last_commit()).await?;
        let history: BTreeSet<String> = if removed_by.is_empty() {
            BTreeSet::new()
        } else {
            root.list(names::HISTORY).await?.into_iter().map(|(path, _)| path).collect()
        };
        for file in state.files(table) {
            let here = root.location.join(&file.path)?;
            let whereabouts = match removed_by.get(&file.path) {
                None => Whereabouts::Live(here),
                Some(&by) => {
                    let moved = names::history(by, &file.path);
                    if history.contains(&moved) {
                        Whereabouts::Superseded { location: root.location.join(&moved)?, by }
                    } else if root.size(&file.path).await?.is_some() {
                        Whereabouts::Superseded { location: here, by }
                    } else {
                        Whereabouts::Collected { by }
                    }
                }
            };
            files.push(TableFile { table, file: file.clone(), whereabouts });
        }
        Ok(())
    }

    /// Returns the commit that superseded each file which was, after commit `number`.
    async fn removals_after(
        &self,
        table: TableKind,
        number: u64,
    ) -> Result<HashMap<String, u64>, TableError> {
        let mut removed_by = HashMap::new();
        let mut later = self.log.records(number + 1..=self.state().last_commit());
        while let Some(record) = later.try_next().await? {
            let removed = record.change(table).remove.iter();
            removed_by.extend(removed.map(|removed| (removed.path.clone(), record.number)));
        }
        Ok(removed_by)
    }
}
