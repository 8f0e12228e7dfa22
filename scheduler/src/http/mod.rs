//! The HTTP interface of the scheduler: `/v1`, described by `/v1/openapi.json`, and the pages of a process.

mod cluster;
mod error;
mod extract;
mod limits;
mod metrics;
mod router;
mod runs;
#[cfg(test)]
mod tests;
mod types;

pub use cluster::ClusterView;
pub use metrics::Measure;
pub use router::{router, serve};
pub use types::{
    ClusterInfo, ErrorBody, ErrorBodyKind, ExecutorList, Health, JobList, JobView, OptionView, RunPage,
    RunQuery, SubmitRequest, WatchQuery,
};
