//! The audit log as a local file, one JSON object a line.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{AuditEntry, AuditLog};

/// Appends entries to a file, each with one write, so that a line is whole or not there.
///
/// A file that was moved away or removed, as programs that rotate logs do, is created anew with the next entry.
/// What cannot be written is told in the process's log.
#[derive(Debug)]
pub struct FileAudit {
    path: PathBuf,
    file: Mutex<File>,
}

impl FileAudit {
    /// Opens the file at `path`, or creates it, readable by its owner alone.
    ///
    /// # Errors
    /// Where it cannot be opened for appending.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: Mutex::new(append_to(path)?) })
    }

    fn write(&self, entry: &AuditEntry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry).map_err(io::Error::other)?;
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_at(&file, &self.path)? {
            *file = append_to(&self.path)?;
        }
        file.write_all(&line)
    }
}

impl AuditLog for FileAudit {
    fn note(&self, entry: &AuditEntry) {
        if let Err(error) = self.write(entry) {
            tracing::error!(%error, path = %self.path.display(), "an audit entry cannot be written");
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Tells whether the open file is still the one that lies at `path`.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(user: &str) -> AuditEntry {
        AuditEntry {
            at: "2024-05-01T00:00:00Z".to_owned(),
            user: user.to_owned(),
            peer: None,
            action: "select".to_owned(),
            query: None,
            statement: Some("SELECT\n1".to_owned()),
            outcome: "ok".to_owned(),
            error: None,
            rows: 1,
            bytes: 8,
            seconds: 0.5,
        }
    }

    fn users(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        let user = |line: &str| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["user"].as_str().unwrap().to_owned()
        };
        text.lines().map(user).collect()
    }

    #[test]
    fn entries_are_appended_one_a_line_and_a_rotated_file_is_created_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("audit.jsonl"), folder.path().join("audit.jsonl.1"));
        FileAudit::open(&path).unwrap().note(&entry("ann"));
        let audit = FileAudit::open(&path).unwrap();
        audit.note(&entry("bob"));
        assert_eq!(users(&path), ["ann", "bob"]);
        std::fs::rename(&path, &old).unwrap();
        audit.note(&entry("cid"));
        audit.note(&entry("dan"));
        assert_eq!(users(&old), ["ann", "bob"]);
        assert_eq!(users(&path), ["cid", "dan"]);
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
}
