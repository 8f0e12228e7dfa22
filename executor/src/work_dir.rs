//! The scratch folder of one executor: its own, removed when it leaves; those of dead executors are removed
//! by the next one that starts beside them.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::ExecutorError;

/// Marks the lock files of executors' folders.
const LOCK_SUFFIX: &str = ".lock";

/// Held while folders are made and removed, so that executors that start together do not take a folder that
/// is just being made for an abandoned one.
const STARTING: &str = "starting";

/// A folder that this process has for itself; dropped, it is removed.
#[derive(Debug)]
pub(crate) struct WorkDir {
    path: PathBuf,
    lock_path: PathBuf,
    /// Held while the process lives, however it dies.
    _lock: File,
}

impl WorkDir {
    /// Makes the folder `name` below `base`.
    pub(crate) fn create(base: &Path, name: &str) -> Result<Self, ExecutorError> {
        let path = base.join(name);
        let unusable = |source| ExecutorError::WorkDir { path: path.clone(), source };
        fs::create_dir_all(base).map_err(unusable)?;
        let starting = File::create(base.join(STARTING)).map_err(unusable)?;
        starting.lock().map_err(unusable)?;
        if let Err(error) = remove_abandoned(base) {
            tracing::warn!(%error, base = %base.display(), "scratch files of dead executors are left");
        }
        let lock_path = base.join(format!("{name}{LOCK_SUFFIX}"));
        let lock = File::create_new(&lock_path).map_err(unusable)?;
        lock.lock().map_err(unusable)?;
        fs::create_dir(&path).map_err(unusable)?;
        Ok(Self { path, lock_path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        for removed in [fs::remove_dir_all(&self.path), fs::remove_file(&self.lock_path)] {
            if let Err(error) = removed {
                tracing::warn!(%error, path = %self.path.display(), "scratch files are left");
            }
        }
    }
}

/// A folder whose lock nobody holds belongs to a process that died.
fn remove_abandoned(base: &Path) -> io::Result<()> {
    for entry in fs::read_dir(base)? {
        let lock_path = entry?.path();
        let name = lock_path.file_name().and_then(|name| name.to_str());
        let Some(name) = name.and_then(|name| name.strip_suffix(LOCK_SUFFIX)) else { continue };
        let Ok(lock) = File::open(&lock_path) else { continue };
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => continue,
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let path = base.join(name);
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::remove_file(&lock_path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_executors_folder_is_removed_and_a_living_ones_is_kept() {
        let base = tempfile::tempdir().unwrap();
        let living = WorkDir::create(base.path(), "living").unwrap();
        // What a killed process leaves: a folder, and a lock that nobody holds.
        fs::create_dir(base.path().join("dead")).unwrap();
        fs::write(base.path().join("dead.lock"), "").unwrap();
        let other = WorkDir::create(base.path(), "other").unwrap();
        assert!(living.path().exists() && other.path().exists());
        assert!(!base.path().join("dead").exists() && !base.path().join("dead.lock").exists());
    }

    #[test]
    fn nothing_is_left_behind() {
        let base = tempfile::tempdir().unwrap();
        let folder = WorkDir::create(base.path(), "mine").unwrap();
        fs::write(folder.path().join("spill"), "rows").unwrap();
        drop(folder);
        let left = fs::read_dir(base.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), [STARTING]);
    }
}
