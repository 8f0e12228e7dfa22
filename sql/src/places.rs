//! Which places statements may name: those below the folders that the deployment allows.

use std::path::{Path, PathBuf};

use cambist_engine::location::Location;

use crate::error::{Result, SqlError};
use crate::settings::SqlSettings;

/// What makes the rest of a text a pattern.
const PATTERN_SIGNS: [char; 4] = ['*', '?', '[', '{'];

/// The places that statements may name.
#[derive(Debug)]
pub(crate) enum Places {
    /// All that the process itself can reach.
    Everywhere,
    /// Those in or below these folders.
    Below(Vec<Location>),
}

impl Places {
    /// Reads the allowed folders.
    ///
    /// # Errors
    /// Where one of them is no location.
    pub(crate) fn of(settings: &SqlSettings) -> Result<Self> {
        if settings.allows_every_location {
            return Ok(Self::Everywhere);
        }
        let folder = |text: &String| {
            Location::parse(text).map_err(|error| SqlError::invalid(format!("locations: {error}")))
        };
        settings.locations.iter().map(folder).collect::<Result<_>>().map(Self::Below)
    }

    /// Checks a place as it is written in a statement: a path or URL of a file, a folder or a pattern.
    ///
    /// Local paths are compared as they really are, symbolic links followed. A text that steps upwards, in
    /// whatever spelling, is refused unless the parser of locations has resolved it.
    ///
    /// # Errors
    /// [`Denied`](crate::SqlErrorKind::Denied), with the allowed folders.
    pub(crate) fn check(&self, text: &str) -> Result<()> {
        let Self::Below(folders) = self else { return Ok(()) };
        if has_user(text) {
            let error = SqlError::denied("a location holds a user or a password");
            return Err(error.with_hint("the server has its credentials from its environment"));
        }
        let is_inside = |place: &Location| folders.iter().any(|folder| is_below(place, folder));
        let is_fixed_inside = fixed_part(text)
            .and_then(|fixed| Location::parse(fixed).ok())
            .is_some_and(|fixed| is_inside(&fixed));
        // A pattern is read as it stands where a file of that name exists.
        if is_fixed_inside && Location::parse(text).is_ok_and(|whole| is_inside(&whole)) {
            return Ok(());
        }
        let error = SqlError::denied(format!("`{text}` is no place that statements may name"));
        Err(if folders.is_empty() {
            error.with_hint("the settings allow none: `locations` lists the folders that they may name")
        } else {
            let folders: Vec<String> = folders.iter().map(|folder| format!("`{folder}`")).collect();
            error.with_hint(format!("they may name places below {}", folders.join(", ")))
        })
    }
}

/// Returns the text before its pattern, the whole where it has none; nothing where it steps upwards in a way
/// that the file system or the store would resolve later.
fn fixed_part(text: &str) -> Option<&str> {
    let is_local = !text.contains("://");
    let fixed = match text.find(PATTERN_SIGNS) {
        Some(sign) => &text[..=text[..sign].rfind('/')?],
        None => text,
    };
    let pattern = &text[fixed.len()..];
    // Of a plain local path the upward steps are resolved as the file system does; nowhere else.
    let is_stepping = if is_local { steps_upwards(pattern) } else { steps_upwards(text) };
    // Parsers of URLs leave tabs and ends of lines out.
    let has_foreign_signs = text.contains(|sign: char| sign.is_control() || sign == '\\');
    (!is_stepping && !has_foreign_signs).then_some(fixed)
}

/// Tells whether a segment is `..`, plainly or percent-encoded, once or more often.
fn steps_upwards(text: &str) -> bool {
    let mut decoded = text.to_ascii_lowercase();
    while let Some(shorter) = ["%25", "%2e", "%2f", "%5c"].iter().find(|code| decoded.contains(**code)) {
        let sign = match *shorter {
            "%25" => "%",
            "%2e" => ".",
            _ => "/",
        };
        decoded = decoded.replace(shorter, sign);
    }
    decoded.split('/').any(|segment| segment == "..")
}

fn has_user(text: &str) -> bool {
    let authority = text.split_once("://").and_then(|(_, rest)| rest.split('/').next());
    authority.is_some_and(|authority| authority.contains('@'))
}

fn is_below(place: &Location, folder: &Location) -> bool {
    match (place.local_path(), folder.local_path()) {
        (Some(place), Some(folder)) => real(&place).starts_with(real(&folder)),
        (None, None) => place.place() == folder.place() && place.path().prefix_matches(folder.path()),
        _ => false,
    }
}

/// Follows the symbolic links of the part of a path that exists.
fn real(path: &Path) -> PathBuf {
    for existing in path.ancestors() {
        // A link that leads nowhere yet would lead somewhere once its target is there.
        let is_link = existing.symlink_metadata().is_ok_and(|found| found.is_symlink());
        match existing.canonicalize() {
            Ok(real) => {
                let rest = path.strip_prefix(existing).unwrap_or(Path::new(""));
                return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
            }
            Err(_) if is_link => return PathBuf::new(),
            Err(_) => {}
        }
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::error::SqlErrorKind;

    struct Bench {
        folder: tempfile::TempDir,
        places: Places,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().to_str().unwrap();
            for name in ["lake/raw", "lakeside", "secret"] {
                std::fs::create_dir_all(folder.path().join(name)).unwrap();
            }
            symlink(folder.path().join("secret"), folder.path().join("lake/out")).unwrap();
            symlink(folder.path().join("nowhere"), folder.path().join("lake/dangling")).unwrap();
            symlink(folder.path().join("lake/raw"), folder.path().join("lake/in")).unwrap();
            let locations = vec![format!("{root}/lake"), "s3://lake/raw".to_owned()];
            let places = Places::of(&SqlSettings { locations, ..SqlSettings::default() }).unwrap();
            Self { folder, places }
        }

        fn is_allowed(&self, text: &str) -> bool {
            let text = text.replace("ROOT", self.folder.path().to_str().unwrap());
            match self.places.check(&text) {
                Ok(()) => true,
                Err(error) => {
                    assert_eq!(error.kind, SqlErrorKind::Denied);
                    false
                }
            }
        }
    }

    #[test]
    fn places_below_an_allowed_folder_may_be_named() {
        let bench = Bench::new();
        for text in [
            "ROOT/lake",
            "ROOT/lake/raw/",
            "ROOT/lake/raw/a.csv",
            "ROOT/lake/new/folder",
            "ROOT//lake//raw/a.csv",
            "ROOT/lake/./raw/../raw/a.csv",
            "ROOT/lake/in/a.csv",
            "ROOT/lake/*.csv",
            "ROOT/lake/raw/**/part-[0-9].csv",
            "file://ROOT/lake/raw/a.csv",
            "file://ROOT/lake/raw/a%20b.csv",
            "s3://lake/raw",
            "s3://lake/raw/x.parquet",
            "s3a://lake/raw/*/x.parquet",
        ] {
            assert!(bench.is_allowed(text), "{text}");
        }
    }

    #[test]
    fn no_spelling_leads_out() {
        let bench = Bench::new();
        for text in [
            "",
            "/",
            "/etc/passwd",
            "ROOT",
            "ROOT/secret",
            "ROOT/lakeside/a.csv",
            "ROOT/lake/../secret/a.csv",
            "ROOT/lake/raw/../../secret/a.csv",
            "ROOT//lake/..//secret",
            "ROOT/lake/out/a.csv",
            "ROOT/lake/out",
            "ROOT/lake/in/../../secret/a.csv",
            "ROOT/lake/dangling/a.csv",
            "ROOT/lake*/a.csv",
            "ROOT/lake/*/../../secret/a.csv",
            "ROOT/la?e/a.csv",
            "*.csv",
            "file://ROOT/secret/a.csv",
            "file://ROOT/lake/../secret/a.csv",
            "file://ROOT/lake/%2e%2e/secret/a.csv",
            "file://ROOT/lake/%2E./secret/a.csv",
            "file://ROOT/lake/%252e%252e/secret/a.csv",
            "file://ROOT/lake/..%2fsecret/a.csv",
            "file://localhost/etc/passwd",
            "FILE:///etc/passwd",
            "file:/etc/passwd",
            "s3://lake",
            "s3://lake/rawer/x",
            "s3://lake/raw/../x",
            "s3://lake/raw/%2e%2e/x",
            "s3://other/raw/x",
            "s3://user:word@lake/raw/x",
            "https://lake/raw/x",
            "ROOT/lake/raw\0/x",
            "ROOT/lake/raw\t/x",
            "file://ROOT/lake/*/.\t./.\t./secret/a.csv",
            "file://ROOT/lake/*/%2\te./.\r./secret/a.csv",
            "file://ROOT/lake/raw/.\n./.\n./secret/a.csv",
            "ROOT\\lake\\..\\secret",
        ] {
            assert!(!bench.is_allowed(text), "{text}");
        }
    }

    #[test]
    fn without_folders_nothing_may_be_named_and_the_command_line_allows_everything() {
        let mut settings = SqlSettings::default();
        let error = Places::of(&settings).unwrap().check("/tmp/a.csv").unwrap_err();
        assert!(error.hint.unwrap().contains("`locations`"));
        settings.allows_every_location = true;
        Places::of(&settings).unwrap().check("/tmp/a.csv").unwrap();
    }
}
