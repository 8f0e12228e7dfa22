//! The one integration-test binary: what holds for the workspace as a whole.
//!
//! How the program behaves is tested from outside, in `tests/python`.

mod files;
mod layers;

use std::path::{Path, PathBuf};

/// The workspace's folder; asked at run time, because checkouts that share a target folder share binaries.
fn workspace() -> PathBuf {
    let package = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".to_owned());
    let package = Path::new(&package);
    package.parent().unwrap_or(package).to_path_buf()
}
