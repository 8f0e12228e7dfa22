//! Files keep a size that can be read, and every `lib.rs` is a table of contents.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::workspace;

const CRATES: &[&str] = &["udfs", "engine", "jobs", "ingest", "cli"];

/// Longer files have a seam somewhere.
const LINES_MAX: usize = 500;

/// Every Rust file below `folder` with its text.
pub(crate) fn rust_files(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)?;
            files.push((path, text));
        }
    }
    Ok(files)
}

#[test]
fn no_file_is_longer_than_its_seams() -> Result<()> {
    let mut long = Vec::new();
    for name in CRATES {
        for (path, text) in rust_files(&workspace().join(name).join("src"))? {
            let lines = text.lines().count();
            // A generated table has one line per entry, and tests are as long as what they list.
            let is_exempt =
                text.contains("@generated") || path.iter().any(|part| part == "tests" || part == "tests.rs");
            if lines > LINES_MAX && !is_exempt {
                long.push(format!("{} has {lines} lines", path.display()));
            }
        }
    }
    assert!(long.is_empty(), "expected at most {LINES_MAX} lines:\n{}", long.join("\n"));
    Ok(())
}

#[test]
fn every_lib_is_a_table_of_contents() -> Result<()> {
    for name in CRATES {
        let path = workspace().join(name).join("src/lib.rs");
        let Ok(text) = fs::read_to_string(&path) else {
            assert_eq!(*name, "cli", "{} is missing", path.display());
            continue;
        };
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let has_logic = line.contains("fn ")
                || line.trim_start().starts_with("impl")
                || line.contains("macro_rules!");
            assert!(!has_logic, "{}: `{}`", path.display(), line.trim());
        }
        assert!(text.starts_with("//!"), "{} does not say what the crate is", path.display());
    }
    Ok(())
}

#[test]
fn every_file_says_what_it_is() -> Result<()> {
    let mut silent = Vec::new();
    for name in CRATES {
        for (path, text) in rust_files(&workspace().join(name).join("src"))? {
            let is_test = path.iter().any(|part| part == "tests" || part == "tests.rs");
            if !text.starts_with("//!") && !is_test && !text.contains("@generated") {
                silent.push(path.display().to_string());
            }
        }
    }
    assert!(silent.is_empty(), "expected a `//!` line first:\n{}", silent.join("\n"));
    Ok(())
}
