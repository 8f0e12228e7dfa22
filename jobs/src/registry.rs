//! Which jobs there are, and how a caller that knows a job only by its name prepares it.
//!
//! Options come as JSON in the form of the job's spec file: `{"source": {"url": ..}, "run": {..}}`. Every
//! option that names a place is called `url`.

use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::Value;

use crate::context::RunContext;
use crate::error::{JobError, Result};
use crate::{compact, normalize, options, query, restate};

/// One option of a job.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct OptionDescription {
    /// Its key in a spec file, such as `source.url`.
    pub key: &'static str,
    /// Its type and unit, with what is allowed.
    pub kind: &'static str,
    /// What holds where it is not given.
    pub default: &'static str,
    /// What it does, in a sentence.
    pub doc: &'static str,
}

impl OptionDescription {
    /// Describes an option.
    pub const fn new(
        key: &'static str,
        kind: &'static str,
        default: &'static str,
        doc: &'static str,
    ) -> Self {
        Self { key, kind, default, doc }
    }
}

/// A registered job.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct JobDescription {
    /// The name it is called by.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// Its options, in the order of its spec file.
    pub options: &'static [OptionDescription],
}

/// Returns every registered job.
pub fn jobs() -> Vec<JobDescription> {
    vec![normalize::describe(), compact::describe(), query::describe(), restate::describe()]
}

/// Returns the job of that name, if there is one.
pub fn job(name: &str) -> Option<JobDescription> {
    jobs().into_iter().find(|job| job.name == name)
}

/// A job whose options were read and checked, ready to be run any number of times.
#[async_trait]
pub trait PreparedJob: fmt::Debug + Send + Sync {
    /// Returns the job's name.
    fn name(&self) -> &'static str;

    /// Returns the options as they were given.
    fn options(&self) -> &Value;

    /// Runs it and returns its report.
    ///
    /// Dropping the future cancels the run: nothing becomes visible unless the commit's record was written,
    /// and what was staged is removed by `table gc` at the latest.
    ///
    /// # Errors
    /// As the job says.
    async fn run(&self, context: &RunContext) -> Result<Value>;
}

/// Reads and checks the options of a job.
///
/// # Errors
/// [`crate::error::ErrorKind::Usage`] for a job or an option that does not exist, with those that do, and for
/// a value that is not allowed.
pub fn prepare(job: &str, options: Value) -> Result<Box<dyn PreparedJob>> {
    match job {
        "normalize" => Ok(Box::new(normalize::Prepared::try_new(options)?)),
        "compact" => Ok(Box::new(compact::Prepared::try_new(options)?)),
        "query" => Ok(Box::new(query::Prepared::try_new(options)?)),
        "restate" => Ok(Box::new(restate::Prepared::try_new(options)?)),
        unknown => Err(unknown_job(unknown)),
    }
}

/// Reads the options of a job from a spec file's text.
///
/// # Errors
/// [`crate::error::ErrorKind::Usage`] with the line, for text that is not TOML or not this job's.
pub fn options_from_toml(job: &str, text: &str) -> Result<Value> {
    match job {
        "normalize" => options::from_toml::<normalize::NormalizeSpec>(job, text),
        "compact" => options::from_toml::<compact::CompactSpec>(job, text),
        "query" => options::from_toml::<query::QuerySpec>(job, text),
        "restate" => options::from_toml::<restate::RestateSpec>(job, text),
        unknown => Err(unknown_job(unknown)),
    }
}

/// Makes relative local paths in `options` absolute, as seen from the folder `base`: another machine, or
/// another process, has another working directory.
pub fn absolute_paths(options: &mut Value, base: &Path) {
    options::absolute_paths(options, base);
}

fn unknown_job(name: &str) -> JobError {
    let names: Vec<&str> = jobs().iter().map(|job| job.name).collect();
    JobError::usage(format!("no job `{name}`, expected one of {}", names.join(", ")))
}

/// Returns the reference page of all jobs, in Markdown.
pub fn reference_page() -> String {
    let mut page = String::from(
        "# Jobs and their options\n\nThis page is made by `cambist jobs --markdown`; do not edit it by hand.\n",
    );
    for job in jobs() {
        page.push_str(&format!("\n## {}\n\n{}.\n\n", job.name, job.summary));
        page.push_str("| key | type | default | what it does |\n|---|---|---|---|\n");
        for option in job.options {
            let cells = [option.kind, option.default, option.doc].map(|cell| cell.replace('|', "\\|"));
            page.push_str(&format!("| `{}` | {} | {} | {} |\n", option.key, cells[0], cells[1], cells[2]));
        }
    }
    page
}

/// Returns the SQL functions that a job's SQL may use: signature and summary, which is the first line of
/// the function's documentation.
pub fn functions() -> Vec<(String, String)> {
    let listed = |function: cambist_udfs::sql::FunctionDescription| {
        let summary = function.doc.description.lines().next().unwrap_or_default().to_owned();
        (function.signature, summary)
    };
    cambist_udfs::sql::functions().into_iter().map(listed).collect()
}

/// Returns the reference page of the SQL functions, in Markdown.
pub fn function_reference_page() -> String {
    cambist_udfs::sql::reference_page()
}
