//! Where the key of a provider comes from: a variable or a file, never an argument.

use std::env::{self, VarError};
use std::fs;
use std::path::Path;

use cambist_ingest::secret::ApiKey;
use cambist_jobs::error::{JobError, Result};

use crate::arguments::RatesFetchArguments;

/// A key, and in words where it came from.
pub(super) struct FoundKey {
    pub(super) key: ApiKey,
    pub(super) origin: String,
}

/// Reads the key that `provider` wants; `variable` holds it where the arguments do not say otherwise.
///
/// # Errors
/// Where there is none, it is none, or one is given to a provider that wants none.
pub(super) fn find(
    arguments: &RatesFetchArguments,
    provider: &str,
    variable: Option<&str>,
    is_wanted: bool,
) -> Result<Option<FoundKey>> {
    let named = arguments.api_key_env.as_deref();
    if !is_wanted {
        return match (named, &arguments.api_key_file) {
            (None, None) => Ok(None),
            _ => Err(JobError::usage(format!("{provider} takes no key"))
                .with_hint("with --url the key's place is `{key}` in the URL, or --key-header")),
        };
    }
    if let Some(file) = &arguments.api_key_file {
        return read_file(file).map(Some);
    }
    let Some(name) = named.or(variable) else {
        return Err(JobError::usage(format!("{provider} wants a key: give --api-key-env or --api-key-file")));
    };
    let origin = format!("the variable {name}");
    let text = env::var(name).map_err(|error| match error {
        VarError::NotPresent => JobError::usage(format!("{provider} wants a key, and {name} is not set"))
            .with_hint("set it, or name another variable with --api-key-env or a file with --api-key-file"),
        VarError::NotUnicode(_) => JobError::usage(format!("{name} holds no text")),
    })?;
    parse(&text, origin).map(Some)
}

fn read_file(file: &Path) -> Result<FoundKey> {
    let text = fs::read_to_string(file).map_err(|error| {
        JobError::usage(format!("the key's file `{}` cannot be read", file.display())).caused_by(error)
    })?;
    parse(&text, format!("the file `{}`", file.display()))
}

fn parse(text: &str, origin: String) -> Result<FoundKey> {
    let key = ApiKey::parse(text)
        .map_err(|error| JobError::usage(format!("{origin} holds no key")).caused_by(error))?;
    Ok(FoundKey { key, origin })
}
