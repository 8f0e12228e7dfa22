//! Where things lie: a local path or a place in an S3 bucket.
//!
//! A location is read from what a person writes and keeps that form for messages. Relative paths are made
//! absolute once, here; globs are cut off by the caller before.

use std::fmt;
use std::path::{Component, PathBuf};
use std::str::FromStr;

use object_store::path::Path;
use url::Url;

/// Why a text is not a location.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// Nothing was given; the caller should ask for a path.
    #[error("an empty location was found, expected a path, `file://` or `s3://bucket/key`")]
    Empty,
    /// The URL's scheme is not one of ours.
    #[error(
        "unknown scheme `{scheme}` in `{location}`, expected a path, `file://`, `s3://`, `s3a://` or `s3n://`"
    )]
    UnknownScheme {
        /// The scheme that was found.
        scheme: String,
        /// The whole text.
        location: String,
    },
    /// An S3 URL without a bucket.
    #[error("no bucket in `{location}`, expected `s3://bucket/key`")]
    NoBucket {
        /// The whole text.
        location: String,
    },
    /// A `file://` URL that names no path of this machine.
    #[error("`{location}` names no path on this machine, expected `file:///absolute/path`")]
    NotLocal {
        /// The whole text.
        location: String,
    },
    /// The working directory, which a relative path starts from, is not known.
    #[error("the relative path `{location}` cannot be resolved")]
    Unresolved {
        /// The whole text.
        location: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The path holds a segment that no store accepts.
    #[error("`{location}` is not a valid path")]
    InvalidPath {
        /// The whole text.
        location: String,
        /// What the store library said.
        source: object_store::path::Error,
    },
    /// A root has no sibling.
    #[error("`{location}` is the root of its store, expected a folder below it")]
    IsRoot {
        /// The location.
        location: String,
    },
}

/// The store that a location lies in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The local file system.
    Local,
    /// The S3 bucket of this name.
    Bucket(String),
}

/// A file or folder in a store.
///
/// Two locations are equal where they name the same place, however they were written.
#[derive(Clone, Debug)]
pub struct Location {
    place: Place,
    path: Path,
    display: String,
}

impl Location {
    /// Reads a path, relative or absolute, or a `file://`, `s3://`, `s3a://` or `s3n://` URL.
    ///
    /// S3 keys are taken as they stand; `file://` URLs are percent-decoded. A trailing slash means nothing.
    ///
    /// # Errors
    /// Where the text is empty, has another scheme, names no bucket, or is not a valid path.
    pub fn parse(text: &str) -> Result<Self, LocationError> {
        if text.is_empty() {
            return Err(LocationError::Empty);
        }
        match text.split_once("://") {
            None => Self::from_local(text, text),
            Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
                "file" => Self::from_file_url(text),
                "s3" | "s3a" | "s3n" => Self::from_s3(text, rest),
                _ => {
                    Err(LocationError::UnknownScheme { scheme: scheme.to_owned(), location: text.to_owned() })
                }
            },
        }
    }

    fn from_local(path: &str, written: &str) -> Result<Self, LocationError> {
        let absolute = absolute_path(path)
            .map_err(|source| LocationError::Unresolved { location: written.to_owned(), source })?;
        let path = Path::from_absolute_path(&absolute).map_err(|source| invalid(written, source))?;
        let trimmed = written.trim_end_matches('/');
        let display = if trimmed.is_empty() { "/" } else { trimmed };
        Ok(Self { place: Place::Local, path, display: display.to_owned() })
    }

    fn from_file_url(text: &str) -> Result<Self, LocationError> {
        let not_local = || LocationError::NotLocal { location: text.to_owned() };
        // The parser of URLs leaves tabs and ends of lines out, so that `.\t.` would become a step upwards.
        if text.contains(char::is_control) {
            return Err(not_local());
        }
        let url = Url::parse(text).map_err(|_| not_local())?;
        let path = url.to_file_path().map_err(|()| not_local())?;
        Self::from_local(path.to_str().ok_or_else(not_local)?, text)
    }

    fn from_s3(text: &str, rest: &str) -> Result<Self, LocationError> {
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(LocationError::NoBucket { location: text.to_owned() });
        }
        let path = Path::parse(key).map_err(|source| invalid(text, source))?;
        Ok(Self::in_bucket(bucket.to_owned(), path))
    }

    fn in_bucket(bucket: String, path: Path) -> Self {
        let slash = if path.is_root() { "" } else { "/" };
        let display = format!("s3://{bucket}{slash}{path}");
        Self { place: Place::Bucket(bucket), path, display }
    }

    /// Returns the store that this lies in.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Returns the path inside the store; for the local file system it starts at the root, without its slash.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells whether this lies on the local file system.
    pub fn is_local(&self) -> bool {
        self.place == Place::Local
    }

    /// Returns the absolute local path, or nothing for a bucket.
    pub fn local_path(&self) -> Option<PathBuf> {
        self.is_local().then(|| PathBuf::from(format!("/{}", self.path)))
    }

    /// Returns the last segment of the path, or nothing for the root of a store.
    pub fn file_name(&self) -> Option<&str> {
        self.path.filename()
    }

    /// Returns the location of `relative`, a path with `/` between its segments, below this one.
    ///
    /// # Errors
    /// Where `relative` is empty, absolute, or holds an empty, `.` or `..` segment.
    pub fn join(&self, relative: &str) -> Result<Self, LocationError> {
        let path = join_path(&self.path, relative).map_err(|source| invalid(relative, source))?;
        Ok(match &self.place {
            Place::Bucket(bucket) => Self::in_bucket(bucket.clone(), path),
            Place::Local => {
                let display = format!("{}/{relative}", self.display.trim_end_matches('/'));
                Self { place: Place::Local, path, display }
            }
        })
    }

    /// Returns the location beside this one whose name has `suffix` at its end.
    ///
    /// # Errors
    /// Where this is the root of its store, or the suffix makes no valid name.
    pub fn sibling(&self, suffix: &str) -> Result<Self, LocationError> {
        if self.path.is_root() {
            return Err(LocationError::IsRoot { location: self.display.clone() });
        }
        let path = format!("{}{suffix}", self.path);
        let path = Path::parse(&path).map_err(|source| invalid(&path, source))?;
        Ok(match &self.place {
            Place::Bucket(bucket) => Self::in_bucket(bucket.clone(), path),
            Place::Local => {
                let ends_in_name = !matches!(self.display.rsplit('/').next(), Some("." | ".." | ""));
                let display =
                    if ends_in_name { format!("{}{suffix}", self.display) } else { format!("/{path}") };
                Self { place: Place::Local, path, display }
            }
        })
    }

    /// Returns the location of another path in the same store, as a listing yields it.
    #[must_use]
    pub fn with_path(&self, path: Path) -> Self {
        match &self.place {
            Place::Bucket(bucket) => Self::in_bucket(bucket.clone(), path),
            Place::Local => {
                let display = match path.as_ref().strip_prefix(self.path.as_ref()) {
                    Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                        format!("{}{rest}", self.display)
                    }
                    _ => format!("/{path}"),
                };
                Self { place: Place::Local, path, display }
            }
        }
    }

    /// Returns the absolute URI as hive readers write it: `s3://bucket/key` or `file:///path`, nothing encoded.
    pub fn uri(&self) -> String {
        match &self.place {
            Place::Local => format!("file:///{}", self.path),
            Place::Bucket(bucket) => format!("s3://{bucket}/{}", self.path),
        }
    }

    /// Returns the text that [`Self::parse`] reads as this location in any process: an absolute path or an
    /// `s3://` URL.
    pub fn absolute(&self) -> String {
        match &self.place {
            Place::Local => format!("/{}", self.path),
            Place::Bucket(_) => self.uri(),
        }
    }

    /// Returns the URL of the store alone: `file:///` or `s3://bucket`.
    pub fn store_url(&self) -> String {
        match &self.place {
            Place::Local => "file:///".to_owned(),
            Place::Bucket(bucket) => format!("s3://{bucket}"),
        }
    }
}

impl PartialEq for Location {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place && self.path == other.path
    }
}

impl Eq for Location {}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.display)
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// Appends `relative` to `base` without encoding anything: hive names hold `%` of their own.
pub(crate) fn join_path(base: &Path, relative: &str) -> Result<Path, object_store::path::Error> {
    let slash = if base.is_root() { "" } else { "/" };
    // A leading slash would otherwise be forgiven and name a place outside `base` on paper.
    if relative.is_empty() || relative.starts_with('/') || relative.ends_with('/') {
        return Err(object_store::path::Error::EmptySegment { path: relative.into() });
    }
    Path::parse(format!("{base}{slash}{relative}"))
}

fn invalid(location: &str, source: object_store::path::Error) -> LocationError {
    LocationError::InvalidPath { location: location.to_owned(), source }
}

/// Resolves `.` and `..`; symbolic links are followed only where a `..` must step out of one.
fn absolute_path(path: &str) -> std::io::Result<PathBuf> {
    let absolute = std::path::absolute(path)?;
    let mut resolved = PathBuf::new();
    for component in absolute.components() {
        if component == Component::ParentDir {
            resolved = resolved.canonicalize().unwrap_or(resolved);
            resolved.pop();
        } else {
            resolved.push(component);
        }
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_become_absolute_and_keep_their_form() {
        let location = Location::parse("out/processed_data/").unwrap();
        let expected = std::env::current_dir().unwrap().join("out/processed_data");
        assert_eq!(location.local_path().unwrap(), expected);
        assert_eq!(location.to_string(), "out/processed_data");
        let quarantine = location.sibling("_quarantine").unwrap();
        assert_eq!(quarantine.to_string(), "out/processed_data_quarantine");
        assert_eq!(quarantine.file_name(), Some("processed_data_quarantine"));
    }

    #[test]
    fn dots_are_resolved() {
        assert_eq!(Location::parse("/a/b/../c/./d").unwrap(), Location::parse("/a/c/d").unwrap());
        let here = Location::parse(".").unwrap();
        assert_eq!(here.local_path().unwrap(), std::env::current_dir().unwrap());
        let beside = here.sibling("_quarantine").unwrap();
        assert!(beside.to_string().starts_with('/'), "{beside}");
    }

    #[test]
    fn names_with_spaces_and_signs_stay_as_they_are() {
        for name in ["/tmp/a b/100%/x=1", "/tmp/ünï/[x]/{y}#z", "/tmp/dt=2024-05-01 10%3A00"] {
            let location = Location::parse(name).unwrap();
            assert_eq!(location.local_path().unwrap(), PathBuf::from(name));
            assert_eq!(location.uri(), format!("file://{name}"));
        }
        let url = Location::parse("file:///tmp/a%20b").unwrap();
        assert_eq!(url.local_path().unwrap(), PathBuf::from("/tmp/a b"));
    }

    #[test]
    fn every_s3_scheme_is_one() {
        for scheme in ["s3", "s3a", "s3n", "S3"] {
            let location = Location::parse(&format!("{scheme}://lake/raw/2024 05/")).unwrap();
            assert_eq!(location.place(), &Place::Bucket("lake".to_owned()));
            assert_eq!(location.to_string(), "s3://lake/raw/2024 05");
            assert_eq!(location.join("a.csv").unwrap().uri(), "s3://lake/raw/2024 05/a.csv");
            assert_eq!(location.local_path(), None);
        }
        assert_eq!(Location::parse("s3://lake").unwrap().to_string(), "s3://lake");
    }

    #[test]
    fn what_is_no_location_is_refused_with_a_reason() {
        let message = |text: &str| Location::parse(text).unwrap_err().to_string();
        assert_eq!(
            message("gs://lake/raw"),
            "unknown scheme `gs` in `gs://lake/raw`, expected a path, `file://`, `s3://`, `s3a://` or `s3n://`"
        );
        assert_eq!(message("s3:///raw"), "no bucket in `s3:///raw`, expected `s3://bucket/key`");
        assert_eq!(
            message("file://raw/x"),
            "`file://raw/x` names no path on this machine, expected `file:///absolute/path`"
        );
        assert!(message("file:///lake/.\t./x").contains("names no path on this machine"));
        assert!(message("").starts_with("an empty location"));
        assert!(matches!(
            Location::parse("s3://lake").unwrap().sibling("_quarantine"),
            Err(LocationError::IsRoot { .. })
        ));
    }

    #[test]
    fn joining_never_leaves_the_folder() {
        let root = Location::parse("/tmp/table").unwrap();
        assert_eq!(root.join("a b/c").unwrap().to_string(), "/tmp/table/a b/c");
        for outside in ["../x", "a/../../x", "/x", "", "a//b"] {
            assert!(root.join(outside).is_err(), "{outside}");
        }
    }

    #[test]
    fn listed_paths_are_shown_as_the_folder_was_written() {
        let root = Location::parse("data/oxr").unwrap();
        let file = root.join("daily/2011-12-01.json").unwrap();
        assert_eq!(root.with_path(file.path().clone()).to_string(), "data/oxr/daily/2011-12-01.json");
    }
}
