//! The folder of a local cluster, and what it tells about the cluster.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use cambist_jobs::error::{ErrorKind, JobError, Result};
use serde::{Deserialize, Serialize};

use super::process::Process;
use crate::environment;

/// A cluster that was started, as `cluster.json` keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cluster {
    /// Where its scheduler takes requests.
    pub(crate) url: String,
    /// The scheduler.
    pub(crate) scheduler: Process,
    /// The executors.
    pub(crate) executors: Vec<Process>,
}

impl Cluster {
    /// Returns its processes, the scheduler first.
    pub(crate) fn processes(&self) -> impl Iterator<Item = &Process> {
        std::iter::once(&self.scheduler).chain(&self.executors)
    }
}

/// The folder, held by one command at a time.
#[derive(Debug)]
pub(crate) struct ClusterFolder {
    path: PathBuf,
    /// The kernel releases it with this process, however that ends.
    _lock: File,
}

impl ClusterFolder {
    /// Returns the path that `--dir` names, or the usual one.
    pub(crate) fn path_of(dir: Option<&Path>) -> Result<PathBuf> {
        let path = match dir {
            Some(dir) => dir.to_owned(),
            None => environment::state_folder("cluster", "--dir")?,
        };
        std::path::absolute(&path).map_err(|error| broken(&path, error))
    }

    /// Takes the folder for this command; makes it where it is not there.
    ///
    /// # Errors
    /// Where another command holds it.
    pub(crate) fn take(path: PathBuf) -> Result<Self> {
        fs::create_dir_all(&path).map_err(|error| broken(&path, error))?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("cluster.lock"))
            .map_err(|error| broken(&path, error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(JobError::usage(format!(
                "another `cambist cluster` command is at work in `{}`; wait for it",
                path.display()
            ))),
            Err(TryLockError::Error(error)) => Err(broken(&path, error)),
        }
    }

    /// Returns the folder's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads which cluster was started in the folder and not stopped.
    pub(crate) fn read(path: &Path) -> Result<Option<Cluster>> {
        let file = path.join("cluster.json");
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(broken(&file, error)),
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| broken(&file, error.into()))
    }

    /// Writes down which cluster runs, all of it or nothing.
    pub(super) fn write(&self, cluster: &Cluster) -> Result<()> {
        let file = self.path.join("cluster.json");
        let unfinished = self.path.join("cluster.json.new");
        let write = || -> io::Result<()> {
            fs::write(&unfinished, serde_json::to_vec_pretty(cluster)?)?;
            fs::rename(&unfinished, &file)
        };
        write().map_err(|error| broken(&file, error))
    }

    /// Notes that no cluster runs any more.
    pub(super) fn clear(&self) -> Result<()> {
        let file = self.path.join("cluster.json");
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(broken(&file, error)),
            _ => Ok(()),
        }
    }
}

fn broken(path: &Path, error: io::Error) -> JobError {
    JobError::new(ErrorKind::Usage, format!("`{}` cannot be used", path.display())).caused_by(error)
}
