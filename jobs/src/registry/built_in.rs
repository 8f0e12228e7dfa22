//! The jobs that every program has.

use std::sync::Arc;

use serde_json::Value;

use super::{Job, JobDescription, PreparedJob};
use crate::error::Result;
use crate::{compact, normalize, options, query, restate};

/// A job of ours.
#[derive(Debug)]
struct BuiltIn {
    describe: fn() -> JobDescription,
    prepare: fn(Value) -> Result<Box<dyn PreparedJob>>,
    options_from_toml: fn(&str, &str) -> Result<Value>,
}

impl Job for BuiltIn {
    fn describe(&self) -> JobDescription {
        (self.describe)()
    }

    fn prepare(&self, options: Value) -> Result<Box<dyn PreparedJob>> {
        (self.prepare)(options)
    }

    fn options_from_toml(&self, text: &str) -> Result<Value> {
        (self.options_from_toml)(&self.describe().name, text)
    }
}

/// Returns the built-in jobs, in the order in which they are listed.
pub(super) fn jobs() -> Vec<Arc<dyn Job>> {
    let jobs = [
        BuiltIn {
            describe: normalize::describe,
            prepare: |options| Ok(Box::new(normalize::Prepared::try_new(options)?)),
            options_from_toml: options::from_toml::<normalize::NormalizeSpec>,
        },
        BuiltIn {
            describe: compact::describe,
            prepare: |options| Ok(Box::new(compact::Prepared::try_new(options)?)),
            options_from_toml: options::from_toml::<compact::CompactSpec>,
        },
        BuiltIn {
            describe: query::describe,
            prepare: |options| Ok(Box::new(query::Prepared::try_new(options)?)),
            options_from_toml: options::from_toml::<query::QuerySpec>,
        },
        BuiltIn {
            describe: restate::describe,
            prepare: |options| Ok(Box::new(restate::Prepared::try_new(options)?)),
            options_from_toml: options::from_toml::<restate::RestateSpec>,
        },
    ];
    jobs.into_iter().map(|job| Arc::new(job) as Arc<dyn Job>).collect()
}
