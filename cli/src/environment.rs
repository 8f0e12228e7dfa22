//! The environment variables that the command line reads itself; `docs/operations.md` lists all.
//!
//! Those of the object stores (`AWS_…`) are read in `engine`, `RUST_LOG` by the log.

use std::env;
use std::path::PathBuf;

use cambist_jobs::error::{JobError, Result};

/// The scheduler's URL where `--cluster` is not given.
pub(crate) const CLUSTER: &str = "CAMBIST_CLUSTER";

/// The server of `cambist sql` where `--endpoint` is not given.
pub(crate) const SQL_ENDPOINT: &str = "CAMBIST_SQL_ENDPOINT";

/// Who asks it, where `--user` is not given.
pub(crate) const SQL_USER: &str = "CAMBIST_USER";

/// Their password.
pub(crate) const SQL_PASSWORD: &str = "CAMBIST_PASSWORD";

/// A token instead.
pub(crate) const SQL_TOKEN: &str = "CAMBIST_TOKEN";

/// The certificate that vouches for the server's, where `--tls-ca` is not given.
pub(crate) const SQL_CA: &str = "CAMBIST_TLS_CA";

/// The file of users where `--credentials` is not given.
pub(crate) const CREDENTIALS: &str = "CAMBIST_CREDENTIALS";

/// Where programs keep what should outlive them; the XDG base directory specification names it.
const STATE_HOME: &str = "XDG_STATE_HOME";

const HOME: &str = "HOME";

/// Returns the value of a variable, where it has one that is not empty.
pub(crate) fn given(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

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
