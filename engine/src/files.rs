//! Which objects an input names: one file, a folder, or a glob.

use std::sync::Arc;

use glob::{MatchOptions, Pattern};
use object_store::{ObjectMeta, ObjectStore};

use crate::location::{Location, LocationError};
use crate::store::{StoreError, Stores, find_objects};

/// `*` stays inside one folder, `**` crosses them, as in shells and in every lake tool.
const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// The objects that an input names, sorted by path.
#[derive(Clone, Debug)]
pub struct Files {
    /// The file, the folder, or the deepest folder above all that a glob may match.
    pub root: Location,
    /// The store they lie in.
    pub store: Arc<dyn ObjectStore>,
    /// The objects.
    pub objects: Vec<ObjectMeta>,
}

impl Files {
    /// Returns an object's location as the user would write it.
    pub fn display_of(&self, object: &ObjectMeta) -> String {
        self.root.with_path(object.location.clone()).to_string()
    }

    /// Tells whether the input named one file itself.
    pub fn is_file(&self) -> bool {
        matches!(&self.objects[..], [object] if object.location == *self.root.path())
    }

    /// Returns the sum of the objects' sizes in bytes.
    pub fn bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.size).sum()
    }
}

/// Why an input's objects could not be listed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// The text names no place.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// The text is no glob.
    #[error("`{input}` is not a valid glob")]
    Glob {
        /// The text.
        input: String,
        /// What is wrong with it.
        source: glob::PatternError,
    },
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Lists the objects that `input` names: a path or URL of a file, of a folder, or with `*`, `**`, `?`, `[…]`.
///
/// In folders and globs, names that begin with `_` or `.` are passed over, as everything that reads lakes
/// does, and so are empty objects that only mark a folder. Nothing found is an empty list.
///
/// # Errors
/// [`FilesError`].
pub async fn list(stores: &Stores, input: &str) -> Result<Files, FilesError> {
    let (root, pattern) = split_glob(input)?;
    let handle = stores.for_location(&root)?;
    let mut objects = find_objects(&handle, &root).await?;
    let base = root.path().clone();
    objects.retain(|object| {
        let path = object.location.as_ref();
        let relative = path.strip_prefix(base.as_ref()).unwrap_or(path).trim_start_matches('/');
        if relative.is_empty() {
            return true;
        }
        let is_hidden = relative.split('/').any(|name| name.starts_with(['_', '.']));
        !is_hidden
            && !path.ends_with('/')
            && pattern.as_ref().is_none_or(|pattern| pattern.matches_with(relative, MATCHING))
    });
    Ok(Files { root, store: handle.store, objects })
}

/// Returns the place that `input` names where it may be a folder: where it is no glob and no local file.
///
/// # Errors
/// Where the text names no place.
pub fn folder_of(input: &str) -> Result<Option<Location>, FilesError> {
    let (root, pattern) = split_glob(input)?;
    let is_file = root.local_path().is_some_and(|path| path.is_file());
    Ok((pattern.is_none() && !is_file).then_some(root))
}

/// Tells whether [`list`] may find files in folders that lie `depth` below `folder`, whatever these are called.
///
/// # Errors
/// Where the text names no place.
pub fn may_list(input: &str, folder: &Location, depth: usize) -> Result<bool, FilesError> {
    let (root, pattern) = split_glob(input)?;
    if root.place() != folder.place() {
        return Ok(false);
    }
    let parts = |location: &Location| -> Vec<String> {
        location.path().parts().map(|part| part.as_ref().to_owned()).collect()
    };
    let (above, below) = (parts(&root), parts(folder));
    let Some(relative) = below.strip_prefix(above.as_slice()) else {
        return Ok(above.starts_with(&below));
    };
    if relative.iter().any(|name| name.starts_with(['_', '.'])) {
        return Ok(false);
    }
    let Some(pattern) = pattern else { return Ok(true) };
    let mut wanted = pattern.as_str().split('/');
    for name in relative {
        match wanted.next() {
            Some("**") => return Ok(true),
            Some(part) if Pattern::new(part).is_ok_and(|part| part.matches_with(name, MATCHING)) => {}
            _ => return Ok(false),
        }
    }
    let rest: Vec<&str> = wanted.collect();
    // The folders in between, and the file.
    Ok(rest.len() == depth + 1 || rest.contains(&"**"))
}

/// Splits a glob into the folder before its first special character and the pattern below it.
fn split_glob(input: &str) -> Result<(Location, Option<Pattern>), FilesError> {
    let Some(special) = input.find(['*', '?', '[']) else {
        return Ok((Location::parse(input)?, None));
    };
    let (folder, pattern) = match input[..special].rfind('/') {
        Some(slash) => (&input[..=slash], &input[slash + 1..]),
        None => (".", input),
    };
    let literal = Location::parse(input);
    if let Ok(literal) = literal
        && literal.local_path().is_some_and(|path| path.exists())
    {
        return Ok((literal, None));
    }
    let pattern =
        Pattern::new(pattern).map_err(|source| FilesError::Glob { input: input.to_owned(), source })?;
    Ok((Location::parse(folder)?, Some(pattern)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_listed_is_told_before_it_is_there() {
        for (input, folder, expected) in [
            ("/lake/raw", "/lake/raw", true),
            ("/lake/raw", "/lake/raw/out", true),
            ("/lake/raw", "/lake/rawer", false),
            ("/lake/raw", "/lake/out", false),
            ("/lake/raw", "/lake/raw/_out", false),
            ("/lake/out/dt=2024-05-01", "/lake/out", true),
            ("/lake/raw/*.csv", "/lake/raw/out", false),
            ("/lake/*/orders.csv", "/lake/totals", false),
            ("/lake/*/*/*.parquet", "/lake/totals", true),
            ("/lake/r*/*/*.parquet", "/lake/totals", false),
            ("/lake/**/*.csv", "/lake/totals", true),
            ("s3://lake/raw", "s3://lake/raw/out", true),
            ("s3://lake/raw", "s3://other/raw/out", false),
            ("/lake/raw", "s3://lake/raw", false),
        ] {
            let folder = Location::parse(folder).unwrap();
            assert_eq!(may_list(input, &folder, 1).unwrap(), expected, "{input} {folder}");
        }
    }

    async fn names(input: &str) -> Vec<String> {
        let files = list(&Stores::new(), input).await.unwrap();
        files.objects.iter().map(|object| object.location.filename().unwrap_or_default().to_owned()).collect()
    }

    #[tokio::test]
    async fn folders_globs_and_files_are_listed_without_hidden_names() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap();
        for name in ["a.csv", "b.json", "_hidden.csv", ".dot.csv", "deep/c.csv", "_staging/d.csv"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        assert_eq!(names(root).await, ["a.csv", "b.json", "c.csv"]);
        assert_eq!(names(&format!("{root}/*.csv")).await, ["a.csv"]);
        assert_eq!(names(&format!("{root}/**/*.csv")).await, ["a.csv", "c.csv"]);
        assert_eq!(names(&format!("{root}/_hidden.csv")).await, ["_hidden.csv"]);
        assert_eq!(names(&format!("{root}/nothing")).await, Vec::<String>::new());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn links_that_lead_out_are_passed_over_where_that_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["lake/raw/a.csv", "lake/in/b.csv", "secret/c.csv"] {
            std::fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            std::fs::write(path(name), "x").unwrap();
        }
        std::os::unix::fs::symlink(path("secret"), path("lake/out")).unwrap();
        std::os::unix::fs::symlink(path("secret/c.csv"), path("lake/raw/d.csv")).unwrap();
        std::os::unix::fs::symlink(path("lake/in/b.csv"), path("lake/raw/e.csv")).unwrap();
        std::os::unix::fs::symlink(path("lake"), path("link")).unwrap();
        let found = async |stores: &Stores, input: &str| {
            let files = list(stores, path(input).to_str().unwrap()).await.unwrap();
            let name = |object: &ObjectMeta| object.location.filename().unwrap().to_owned();
            files.objects.iter().map(name).collect::<Vec<_>>()
        };
        let careful = Stores::new().passing_over_links();
        for input in ["lake", "link", "lake/**/*.csv"] {
            assert_eq!(found(&careful, input).await, ["b.csv", "a.csv", "e.csv"], "{input}");
        }
        assert_eq!(found(&careful, "lake/*/c.csv").await, Vec::<String>::new());
        assert_eq!(found(&careful, "lake/raw/a.csv").await, ["a.csv"]);
        assert_eq!(found(&Stores::new(), "lake").await.len(), 5);
    }
}
