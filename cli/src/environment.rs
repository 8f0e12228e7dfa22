//! The environment variables that the command line reads itself; `docs/operations.md` lists all.
//!
//! Those of the object stores (`AWS_…`) are read in `engine`, `RUST_LOG` by the log.

use std::env;
use std::path::PathBuf;

use cambist_jobs::error::{JobError, Result};

/// The scheduler's URL where `--cluster` is not given.
pub(crate) const CLUSTER: &str = "CAMBIST_CLUSTER";

/// Where programs keep what should outlive them; the XDG base directory specification names it.
const STATE_HOME: &str = "XDG_STATE_HOME";

const HOME: &str = "HOME";

/// Returns a folder of ours below the user's folder for state.
///
/// # Errors
/// Where the environment tells no home; `flag` is then to be given.
pub(crate) fn state_folder(name: &str, flag: &str) -> Result<PathBuf> {
    // The specification wants relative values ignored.
    let folder = |variable| env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder(STATE_HOME).or_else(|| Some(folder(HOME)?.join(".local/state")));
    match state {
        Some(state) => Ok(state.join("cambist").join(name)),
        None => Err(JobError::usage(format!("neither {STATE_HOME} nor {HOME} names a folder; give {flag}"))),
    }
}
