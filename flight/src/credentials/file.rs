//! The file of credentials as the command line changes it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use cambist_sql::access::Role;

use super::{Credentials, NewToken, UserView};
use crate::error::{FlightServerError, Result};
use crate::secret::Secret;

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
        let mut credentials = self.read()?;
        let changed = change(&mut credentials)?;
        let text = toml::to_string(&credentials).map_err(|error| self.invalid(error.to_string()))?;
        write_private(&self.path, text.as_bytes())?;
        Ok(changed)
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

/// Writes a file that only its owner can read; readers see the old one or the new one, whole.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let unfinished = path.with_extension(format!("{}.unfinished", Secret::random()?.reveal_text()));
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
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
