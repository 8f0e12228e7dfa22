//! The tables that this process reads, each followed by its log.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::TryStreamExt;
use jiff::Timestamp;
use tokio::sync::Mutex as AsyncMutex;

use super::error::TableError;
use super::followed::{Followed, TablePlace, committed_at};
use super::record::CommitRecord;
use super::root::Roots;
use super::snapshot::TableSnapshot;
use crate::location::Location;
use crate::store::Stores;

/// Tables that are followed; the state of one with 10,000 files takes some 5 MiB.
const TABLES_MAX: usize = 64;

/// Past snapshots that are kept of each table.
const PAST_MAX: usize = 4;

/// Past snapshots that are kept of all tables together, some 5 MiB each for large ones.
const PAST_OF_ALL_MAX: usize = 16;

/// Records that are read at a time to find the commit of an instant.
const RECORDS_AT_ONCE: u64 = 64;

/// Snapshots of tables, for readers: nothing is ever written, whatever state a writer has left a table in.
///
/// Only what is published is seen. A snapshot costs two small requests where its table has not changed since
/// the last one, and otherwise a listing of what the log has gained. The least recently used tables are let go
/// when there are too many.
#[derive(Debug)]
pub struct TableSnapshots {
    stores: Stores,
    /// The most recently used last.
    tables: Mutex<Vec<(Location, Arc<Entry>)>>,
}

#[derive(Debug)]
struct Entry {
    place: TablePlace,
    /// Looks at the log that were begun.
    begun: AtomicU64,
    looked: AsyncMutex<Looked>,
    past: Mutex<Past>,
}

#[derive(Debug, Default)]
struct Looked {
    followed: Option<Followed>,
    /// The number of the last look that ended well.
    at: u64,
}

#[derive(Debug, Default)]
struct Past {
    /// When commits were made.
    instants: BTreeMap<u64, Timestamp>,
    /// The most recently used last.
    snapshots: VecDeque<Arc<TableSnapshot>>,
}

impl TableSnapshots {
    /// Makes an empty set that reads from `stores`.
    pub fn new(stores: Stores) -> Self {
        Self { stores, tables: Mutex::default() }
    }

    /// Returns the table at `root` as it is now: after the last commit that is published with all before it.
    ///
    /// # Errors
    /// [`TableError::NoTable`] where there is none, [`TableError::NothingPublished`] where its first commit is
    /// not yet published, [`TableError::IsQuarantine`] where `root` is the sibling of a table; otherwise where
    /// the log is damaged or the store fails.
    pub async fn latest(&self, root: &Location) -> Result<Arc<TableSnapshot>, TableError> {
        self.entry(root)?.latest().await
    }

    /// Returns the table at `root` as it was at an instant: after the last published commit that was made then
    /// or earlier.
    ///
    /// The first time an instant is asked for, the records of all later commits are read.
    ///
    /// # Errors
    /// [`TableError::NoCommitYet`] where the table is younger; otherwise those of [`Self::latest`].
    pub async fn at(&self, root: &Location, instant: Timestamp) -> Result<Arc<TableSnapshot>, TableError> {
        let entry = self.entry(root)?;
        let latest = entry.latest().await?;
        if latest.committed_at() <= instant {
            return Ok(latest);
        }
        let (number, committed_at) = entry.commit_at(instant, latest.number()).await?;
        if let Some(known) = entry.past().take(number) {
            return Ok(known);
        }
        let snapshot = Arc::new(entry.place.past(number, committed_at, latest.number()).await?);
        entry.past().keep(Arc::clone(&snapshot));
        self.bound_past();
        Ok(snapshot)
    }

    /// Returns what `told` makes of each of the newest published commits of the table at `root`, newest first, at
    /// most `limit` of them. Of the records themselves, which list files, a few are in memory at a time.
    ///
    /// # Errors
    /// Those of [`Self::latest`].
    pub async fn commits<T>(
        &self,
        root: &Location,
        limit: u64,
        told: impl Fn(CommitRecord) -> T + Send,
    ) -> Result<Vec<T>, TableError>
    where
        T: Send,
    {
        let entry = self.entry(root)?;
        let last = entry.latest().await?.number();
        let log = entry.place.log();
        let records = log.records(last.saturating_sub(limit) + 1..=last);
        let mut all: Vec<T> = records.map_ok(told).try_collect().await?;
        all.reverse();
        Ok(all)
    }

    /// Lets past snapshots go, of the least recently used tables first, where there are too many.
    fn bound_past(&self) {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept: usize = tables.iter().map(|(_, entry)| entry.past().snapshots.len()).sum();
        for (_, entry) in tables.iter() {
            while kept > PAST_OF_ALL_MAX && entry.past().snapshots.pop_front().is_some() {
                kept -= 1;
            }
        }
    }

    fn entry(&self, root: &Location) -> Result<Arc<Entry>, TableError> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(position) = tables.iter().position(|(known, _)| known == root) {
            let used = tables.remove(position);
            let entry = Arc::clone(&used.1);
            tables.push(used);
            return Ok(entry);
        }
        let entry = Arc::new(Entry {
            place: TablePlace::new(Roots::new(&self.stores, root)?),
            begun: AtomicU64::new(0),
            looked: AsyncMutex::default(),
            past: Mutex::default(),
        });
        tables.push((root.clone(), Arc::clone(&entry)));
        if tables.len() > TABLES_MAX {
            tables.remove(0);
        }
        Ok(entry)
    }
}

impl Entry {
    /// Who asks while somebody looks at the log waits, and those that waited share one further look: it began
    /// after all of them had asked.
    async fn latest(&self) -> Result<Arc<TableSnapshot>, TableError> {
        let begun = self.begun.load(Ordering::SeqCst);
        let mut looked = self.looked.lock().await;
        if let Some(followed) = looked.followed.as_ref().filter(|_| looked.at > begun) {
            return Ok(followed.snapshot());
        }
        let look = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        // Taken out, so that what an error leaves half read is not used again.
        let followed = match looked.followed.take() {
            Some(mut followed) => followed.refresh(&self.place).await?.then_some(followed),
            None => None,
        };
        let followed = match followed {
            Some(followed) => followed,
            None => {
                *self.past() = Past::default();
                Followed::load(&self.place).await?
            }
        };
        let snapshot = followed.snapshot();
        *looked = Looked { followed: Some(followed), at: look };
        Ok(snapshot)
    }

    /// Returns the number and the time of the last commit up to `last` that was made at `instant` or earlier.
    async fn commit_at(&self, instant: Timestamp, last: u64) -> Result<(u64, Timestamp), TableError> {
        let mut first = Timestamp::MAX;
        let mut number = last;
        while number > 0 {
            let known = self.past().instants.get(&number).copied();
            let Some(known) = known else {
                let from = number.saturating_sub(RECORDS_AT_ONCE) + 1;
                let log = self.place.log();
                let mut records = log.records(from..=number);
                while let Some(record) = records.try_next().await? {
                    let made = committed_at(&record)?;
                    self.past().instants.insert(record.number, made);
                }
                continue;
            };
            if known <= instant {
                return Ok((number, known));
            }
            first = known;
            number -= 1;
        }
        Err(TableError::NoCommitYet { root: self.place.roots.main.location.to_string(), instant, first })
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Past {
    fn take(&mut self, number: u64) -> Option<Arc<TableSnapshot>> {
        let position = self.snapshots.iter().position(|snapshot| snapshot.number() == number)?;
        let used = self.snapshots.remove(position)?;
        self.snapshots.push_back(Arc::clone(&used));
        Some(used)
    }

    fn keep(&mut self, snapshot: Arc<TableSnapshot>) {
        if self.snapshots.len() == PAST_MAX {
            self.snapshots.pop_front();
        }
        self.snapshots.push_back(snapshot);
    }
}
