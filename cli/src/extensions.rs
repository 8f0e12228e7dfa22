//! What a program of one's own has beside ours.

use std::path::Path;
use std::sync::Arc;

use cambist_jobs::error::Result;
use cambist_jobs::registry::{Job, OwnFunction, Registry, install};

/// Jobs and SQL functions of a program's own.
#[derive(Debug, Default)]
pub struct Extensions {
    jobs: Vec<Arc<dyn Job>>,
    functions: Vec<OwnFunction>,
}

impl Extensions {
    /// Returns none.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a job.
    #[must_use]
    pub fn with_job(mut self, job: impl Job + 'static) -> Self {
        self.jobs.push(Arc::new(job));
        self
    }

    /// Adds a function of SQL, scalar or aggregate.
    #[must_use]
    pub fn with_function(mut self, function: impl Into<OwnFunction>) -> Self {
        self.functions.push(function.into());
        self
    }

    /// Makes them known to this process, with the jobs that are written in SQL in `folder`.
    pub(crate) fn install(self, folder: Option<&Path>) -> Result<()> {
        let mut registry = Registry::built_in();
        for job in self.jobs {
            registry = registry.with_job(job)?;
        }
        for function in self.functions {
            registry = registry.with_function(function);
        }
        if let Some(folder) = folder {
            registry = registry.with_folder(folder)?;
        }
        install(registry)
    }
}
