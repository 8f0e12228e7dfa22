//! What a run reads: listed before it begins, digested to tell whether it was done before, and recorded so
//! that it can be done again.

use std::collections::BTreeMap;

use cambist_engine::files::{self, Files};
use cambist_engine::store::Stores;
use object_store::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::config::NormalizeConfig;
use super::report::RULES_VERSION;
use crate::digest::sha256_hex;
use crate::error::{JobError, Result};
use crate::input::of_files;

/// A file that a run has read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// Where it lies, in the form that is the same in every process.
    pub location: String,
    /// As the options named it, where that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<String>,
    /// Its size.
    pub bytes: u64,
    /// What tells this content of it from another: the store's tag, or when it was last modified.
    pub version: String,
}

/// All that is needed to do a run again: the account that its commit keeps of what it read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunInputs {
    /// The options that were given, with absolute places. There are no credentials among them: these come from
    /// the environment.
    pub options: Value,
    /// The transactions.
    pub source: Vec<InputFile>,
    /// The small tables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: BTreeMap<String, Vec<InputFile>>,
    /// The digest of the snapshots that it was allowed to use, hex.
    pub rates_digest: String,
}

/// The files as they were found.
#[derive(Clone, Debug)]
pub(crate) struct FoundInputs {
    /// The transactions.
    pub(crate) source: Files,
    /// The small tables.
    pub(crate) tables: BTreeMap<String, Files>,
}

impl FoundInputs {
    /// Lists what the options name.
    pub(crate) async fn list(stores: &Stores, config: &NormalizeConfig) -> Result<Self> {
        let source = files::list(stores, &config.source.url).await.map_err(|error| of_files(&error))?;
        let mut tables = BTreeMap::new();
        for (name, table) in &config.source.tables {
            let found = files::list(stores, &table.url).await.map_err(|error| of_files(&error))?;
            tables.insert(name.clone(), found);
        }
        Ok(Self { source, tables })
    }

    /// Refuses a source that names nothing.
    pub(crate) fn refuse_empty(&self, config: &NormalizeConfig) -> Result<()> {
        if self.source.objects.is_empty() {
            return Err(JobError::usage(format!(
                "nothing found at the source `{}`, expected a file, a folder with files or a glob that matches some",
                config.source.url
            )));
        }
        Ok(())
    }

    /// Returns the account of these files.
    pub(crate) fn record(&self, config: &NormalizeConfig, rates_digest: &str) -> RunInputs {
        let tables = self.tables.iter().map(|(name, files)| (name.clone(), input_files(files)));
        RunInputs {
            options: config.options.clone(),
            source: input_files(&self.source),
            tables: tables.collect(),
            rates_digest: rates_digest.to_owned(),
        }
    }
}

impl RunInputs {
    /// Digests what pins a run: input files, the snapshots it may use, its options, the rules' version.
    pub(crate) fn digest(&self, config: &NormalizeConfig) -> String {
        let objects = |files: &[InputFile]| {
            let of = |file: &InputFile| {
                json!([file.written.as_ref().unwrap_or(&file.location), file.bytes, file.version])
            };
            files.iter().map(of).collect::<Vec<_>>()
        };
        let tables: BTreeMap<&String, _> =
            self.tables.iter().map(|(name, files)| (name, objects(files))).collect();
        let pinned = json!({
            "rules": RULES_VERSION,
            "source": objects(&self.source),
            "tables": tables,
            "rates": self.rates_digest,
            "options": config,
        });
        sha256_hex(pinned.to_string())
    }
}

/// Returns the account of `files`.
pub(crate) fn input_files(files: &Files) -> Vec<InputFile> {
    files.objects.iter().map(|object| input_file(files, object)).collect()
}

/// Returns the account of one object of `files`.
pub(crate) fn input_file(files: &Files, object: &ObjectMeta) -> InputFile {
    let (location, written) =
        (files.root.with_path(object.location.clone()).absolute(), files.display_of(object));
    InputFile {
        written: (written != location).then_some(written),
        location,
        bytes: object.size,
        version: object.e_tag.clone().unwrap_or_else(|| object.last_modified.to_rfc3339()),
    }
}
