//! Which jobs there are, and how a caller that knows a job only by its name prepares it.
//!
//! Options come as JSON in the form of the job's spec file: `{"source": {"url": ..}, "run": {..}}`. Every
//! option that names a place is called `url`.
//!
//! A program has one [`Registry`]. The built-in jobs are in it from the start; a program of one's own adds
//! further ones before anything runs and [`install`]s it once. Everybody, the scheduler and SQL included, asks
//! the installed one.

mod arguments;
mod built_in;
mod description;
mod pages;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, LazyLock, OnceLock};

use async_trait::async_trait;
use serde_json::Value;

pub use self::description::{JobDescription, OptionDescription, OptionType};
pub use self::pages::{function_reference_page, functions};
use crate::context::RunContext;
use crate::error::{JobError, Result};
use crate::input::planning;
use crate::{options, sql_file};
pub use cambist_udfs::sql::OwnFunction;
use cambist_udfs::sql::install_functions;

/// Arguments of a `CALL` that are no job's options.
const RESERVED_ARGUMENTS: &[&str] = &["wait"];

/// What is called like a job in SQL and is none.
const RESERVED_NAMES: &[&str] = &["cancel_run"];

/// A job: what it takes, and how options become a run.
pub trait Job: fmt::Debug + Send + Sync {
    /// Returns the job's name, summary and options.
    fn describe(&self) -> JobDescription;

    /// Reads and checks options.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Usage`] for an option that does not exist and for a value that is not
    /// allowed.
    fn prepare(&self, options: Value) -> Result<Box<dyn PreparedJob>>;

    /// Reads options from a spec file's text. The text may leave some to be given otherwise: what is missing is
    /// for [`Job::prepare`] to say.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Usage`] for text that is not TOML.
    fn options_from_toml(&self, text: &str) -> Result<Value> {
        options::from_toml::<Value>(&self.describe().name, text)
    }
}

/// A job whose options were read and checked, ready to be run any number of times.
#[async_trait]
pub trait PreparedJob: fmt::Debug + Send + Sync {
    /// Returns the job's name.
    fn name(&self) -> &str;

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

/// The jobs of a program.
#[derive(Clone, Debug)]
pub struct Registry {
    jobs: Vec<Arc<dyn Job>>,
    functions: Vec<OwnFunction>,
}

impl Registry {
    /// Returns the registry of the built-in jobs.
    pub fn built_in() -> Self {
        Self { jobs: built_in::jobs(), functions: Vec::new() }
    }

    /// Adds a job.
    ///
    /// # Errors
    /// Where its name is no name or is taken, or two of its options have one argument in SQL.
    pub fn with_job(mut self, job: Arc<dyn Job>) -> Result<Self> {
        let description = job.describe();
        check_name(&description.name)?;
        if self.job(&description.name).is_some() || RESERVED_NAMES.contains(&description.name.as_str()) {
            return Err(JobError::usage(format!(
                "a job `{}` exists already; give the new one another name",
                description.name
            )));
        }
        check_arguments(&description)?;
        self.jobs.push(job);
        Ok(self)
    }

    /// Adds a function that SQL has beside ours, in every session of this process.
    #[must_use]
    pub fn with_function(mut self, function: OwnFunction) -> Self {
        self.functions.push(function);
        self
    }

    /// Adds the jobs that are written as `.sql` files in a folder, in the order of their file names.
    ///
    /// # Errors
    /// Where the folder cannot be read, or a file is no job, with its name and line.
    pub fn with_folder(mut self, folder: &Path) -> Result<Self> {
        for (file, job) in sql_file::read_folder(folder)? {
            self = self.with_job(Arc::new(job)).map_err(|error| error.in_file(&file))?;
        }
        Ok(self)
    }

    /// Returns every job.
    pub fn jobs(&self) -> Vec<JobDescription> {
        self.jobs.iter().map(|job| job.describe()).collect()
    }

    /// Returns the job of that name, if there is one.
    pub fn job(&self, name: &str) -> Option<JobDescription> {
        self.jobs().into_iter().find(|job| job.name == name)
    }

    /// Reads and checks the options of a job.
    ///
    /// # Errors
    /// As for [`prepare`].
    pub fn prepare(&self, job: &str, options: Value) -> Result<Box<dyn PreparedJob>> {
        self.find(job)?.prepare(options)
    }

    /// Reads the options of a job from a spec file's text.
    ///
    /// # Errors
    /// As for [`options_from_toml`].
    pub fn options_from_toml(&self, job: &str, text: &str) -> Result<Value> {
        self.find(job)?.options_from_toml(text)
    }

    /// Returns what the job of that name says of itself.
    ///
    /// # Errors
    /// A usage error where there is none, with those that there are.
    pub fn describe(&self, name: &str) -> Result<JobDescription> {
        self.find(name).map(|job| job.describe())
    }

    fn find(&self, name: &str) -> Result<&Arc<dyn Job>> {
        let named = self.jobs.iter().find(|job| job.describe().name == name);
        named.ok_or_else(|| {
            let names: Vec<String> = self.jobs().into_iter().map(|job| job.name).collect();
            JobError::usage(format!("no job `{name}`, expected one of {}", names.join(", ")))
        })
    }
}

/// The program's registry.
static INSTALLED: OnceLock<Registry> = OnceLock::new();

/// Makes `registry` the program's, and its functions known to every session that is made from now on.
///
/// # Errors
/// Where a function has the name of another one, or the program has a registry already: it is installed before
/// anything asks for a job, and once.
pub fn install(registry: Registry) -> Result<()> {
    if !registry.functions.is_empty() {
        install_functions(registry.functions.clone())
            .map_err(|error| planning(error, "the program's functions"))?;
    }
    INSTALLED
        .set(registry)
        .map_err(|_| JobError::usage("the program's jobs are registered already, which is done once"))
}

/// Returns the program's registry; that of the built-in jobs where none was installed.
pub fn installed() -> &'static Registry {
    static BUILT_IN: LazyLock<Registry> = LazyLock::new(Registry::built_in);
    INSTALLED.get().unwrap_or_else(|| &BUILT_IN)
}

/// Returns every registered job.
pub fn jobs() -> Vec<JobDescription> {
    installed().jobs()
}

/// Returns the registered job of that name, if there is one.
pub fn job(name: &str) -> Option<JobDescription> {
    installed().job(name)
}

/// Reads and checks the options of a registered job.
///
/// # Errors
/// [`crate::error::ErrorKind::Usage`] for a job or an option that does not exist, with those that do, and for
/// a value that is not allowed.
pub fn prepare(job: &str, options: Value) -> Result<Box<dyn PreparedJob>> {
    installed().prepare(job, options)
}

/// Reads the options of a registered job from a spec file's text.
///
/// # Errors
/// [`crate::error::ErrorKind::Usage`] with the line, for text that is not TOML or not this job's.
pub fn options_from_toml(job: &str, text: &str) -> Result<Value> {
    installed().options_from_toml(job, text)
}

/// Makes relative local paths in `options` absolute, as seen from the folder `base`: another machine, or
/// another process, has another working directory.
pub fn absolute_paths(options: &mut Value, base: &Path) {
    options::absolute_paths(options, base);
}

/// Returns the reference page of all jobs, in Markdown.
pub fn reference_page() -> String {
    pages::reference_page(&jobs())
}

/// A job's name is called in SQL: it is written without quotes there.
fn check_name(name: &str) -> Result<()> {
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    if name.starts_with(|first: char| first.is_ascii_lowercase()) && name.chars().all(is_plain) {
        return Ok(());
    }
    Err(JobError::usage(format!(
        "`{name}` is no name of a job, expected lower-case letters, digits and `_` such as `daily_totals`"
    )))
}

fn check_arguments(description: &JobDescription) -> Result<()> {
    let paths: BTreeSet<&str> = description.options.iter().map(|option| option.path()).collect();
    let mut taken: BTreeSet<String> = RESERVED_ARGUMENTS.iter().map(|name| (*name).to_owned()).collect();
    for path in paths {
        let Some(option) = description.options.iter().find(|option| option.path() == path) else { continue };
        let names: BTreeSet<String> = option.argument_names().into_iter().collect();
        for name in names {
            if !taken.insert(name.clone()) {
                return Err(JobError::usage(format!(
                    "the option `{path}` of job `{}` is called `{name}` in SQL, and that is something else \
                     there; give it another name",
                    description.name
                )));
            }
        }
    }
    Ok(())
}
