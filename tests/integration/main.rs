//! The one integration-test binary: what holds for the workspace as a whole.
//!
//! How the program behaves is tested from outside, in `tests/python`.

mod files;
mod layers;

use std::path::{Path, PathBuf};

/// The workspace's folder.
fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}
