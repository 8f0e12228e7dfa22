//! The publishing lock of a table on disk.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::TableError;
use super::names;
use super::root::TableRoot;

const WAIT_STEP: Duration = Duration::from_millis(20);
/// A publish moves names, not data; one that takes longer hangs.
const WAIT_STEPS_MAX: u32 = 6_000;

/// Held while one process publishes; the kernel releases it when that process dies.
#[derive(Debug)]
pub(super) struct PublishLock {
    _file: Option<File>,
}

impl PublishLock {
    /// Waits for the lock of a table on disk; other stores, and disks that cannot lock, have none.
    pub(super) async fn acquire(root: &TableRoot) -> Result<Self, TableError> {
        let Some(path) = root.location.join(names::LOCK)?.local_path() else {
            return Ok(Self { _file: None });
        };
        let file = open(&path).map_err(TableError::io("open", &path))?;
        for _ in 0..WAIT_STEPS_MAX {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: Some(file) }),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(WAIT_STEP).await,
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
                    tracing::warn!(path = %path.display(), "this disk cannot lock: publish from one process only");
                    return Ok(Self { _file: None });
                }
                Err(TryLockError::Error(error)) => return Err(TableError::io("lock", &path)(error)),
            }
        }
        let waited = WAIT_STEP * WAIT_STEPS_MAX;
        Err(TableError::Locked { path: path.display().to_string(), seconds: waited.as_secs() })
    }
}

fn open(path: &PathBuf) -> std::io::Result<File> {
    if let Some(folder) = path.parent().filter(|folder: &&Path| !folder.exists()) {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}
