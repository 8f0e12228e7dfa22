//! The file of credentials as the command line changes it.

use std::fs::{self, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cambist_sql::access::Role;

use super::{Credentials, NewToken, UserView};
use crate::error::{FlightServerError, Result};
use crate::secret::Secret;

/// A change takes milliseconds, a new password some more.
const TURN_ATTEMPTS: u32 = 200;
const TURN_PAUSE: Duration = Duration::from_millis(50);

/// A file of credentials. Each change reads it, and writes it anew; a file that is not there has no users.
#[derive(Clone, Debug)]
pub struct CredentialsFile {
    path: PathBuf,
}

impl CredentialsFile {
    /// Names the file; nothing is read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns the users, by name.
    ///
    /// # Errors
    /// Where the file cannot be read, or is not valid.
    pub fn users(&self) -> Result<Vec<UserView>> {
        Ok(self.read()?.views())
    }

    /// Adds a user, who can log in once they have a password or a token; or changes a user's role, which ends
    /// their sessions.
    ///
    /// # Errors
    /// Where the name is not acceptable, or the file cannot be read or written.
    pub fn set_user(&self, name: &str, role: Role) -> Result<()> {
        self.change(|credentials| credentials.set_role(name, role))
    }

    /// Gives a user a password, in place of the one they had; the sessions that it opened end.
    ///
    /// # Errors
    /// Where there is no such user, the password is too short or too long, or the file cannot be read or written.
    pub fn set_password(&self, name: &str, password: &str) -> Result<()> {
        self.change(|credentials| credentials.set_password(name, password))
    }

    /// Gives a user one more token, and returns it; it cannot be shown again.
    ///
    /// # Errors
    /// Where there is no such user, or the file cannot be read or written.
    pub fn make_token(&self, name: &str) -> Result<NewToken> {
        self.change(|credentials| credentials.make_token(name))
    }

    /// Takes all tokens from a user, and returns how many there were.
    ///
    /// # Errors
    /// Where there is no such user, or the file cannot be read or written.
    pub fn remove_tokens(&self, name: &str) -> Result<usize> {
        self.change(|credentials| credentials.remove_tokens(name))
    }

    /// Removes a user.
    ///
    /// # Errors
    /// Where there is no such user, or the file cannot be read or written.
    pub fn remove_user(&self, name: &str) -> Result<()> {
        self.change(|credentials| {
            credentials.user(name)?;
            credentials.users.remove(name);
            Ok(())
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Credentials) -> Result<T>) -> Result<T> {
        // Until the end: who reads, changes and writes at the same time would undo this change.
        let _turn = self.turn()?;
        let mut credentials = self.read()?;
        let changed = change(&mut credentials)?;
        let text = toml::to_string(&credentials).map_err(|error| self.invalid(error.to_string()))?;
        write_private(&self.path, text.as_bytes())?;
        Ok(changed)
    }

    /// Locks the folder: the file itself is replaced by each change.
    fn turn(&self) -> Result<fs::File> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let failed = |source| FlightServerError::File { action: "write", path: self.path.clone(), source };
        let lock = fs::File::open(folder.unwrap_or(Path::new("."))).map_err(failed)?;
        for _ in 0..TURN_ATTEMPTS {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) => std::thread::sleep(TURN_PAUSE),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        Err(failed(io::Error::new(io::ErrorKind::TimedOut, "another program holds the lock of its folder")))
    }

    fn read(&self) -> Result<Credentials> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Credentials::from_toml(&text).map_err(|reason| self.invalid(reason)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Credentials::default()),
            Err(source) => Err(FlightServerError::File { action: "read", path: self.path.clone(), source }),
        }
    }

    fn invalid(&self, reason: String) -> FlightServerError {
        FlightServerError::Credentials { path: self.path.clone(), reason }
    }
}

/// Writes a file that only its owner can read, or, where there is one, whoever could read that; readers see the old
/// one or the new one, whole.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let unfinished = path.with_extension(format!("{}.unfinished", Secret::random()?.reveal_text()));
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        match fs::metadata(path) {
            Ok(before) => keep_readers(&file, &before)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().map_err(|source| {
        // It may not be there: what matters is told below.
        let _ = fs::remove_file(&unfinished);
        FlightServerError::File { action: "write", path: path.to_owned(), source }
    })
}

/// A server that runs as another user must be able to read what an administrator has changed.
fn keep_readers(file: &fs::File, before: &fs::Metadata) -> io::Result<()> {
    let made = file.metadata()?;
    if (made.uid(), made.gid()) != (before.uid(), before.gid()) {
        fchown(file, Some(before.uid()), Some(before.gid())).map_err(|error| {
            let (user, group) = (before.uid(), before.gid());
            io::Error::new(error.kind(), format!("it must stay with user {user} and group {group}: {error}"))
        })?;
    }
    file.set_permissions(fs::Permissions::from_mode(before.mode() & 0o777))
}
