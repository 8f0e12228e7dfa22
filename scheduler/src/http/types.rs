//! The documents of the HTTP interface.

use cambist_jobs::error::{ErrorKind, JobFailure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::ballista::ExecutorView;
use crate::service::{RunState, RunView};

/// A run to be put on record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// The job's name, one of `GET /v1/jobs`.
    pub job: String,
    /// Its options, nested as in a spec file: `{"source": {"url": …}, …}`.
    #[schema(value_type = Object)]
    #[serde(default)]
    pub options: Map<String, Value>,
    /// An id of the caller's choice. Submitting the same run under the same id again returns the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 100, pattern = "^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    pub id: Option<String>,
}

/// A page of runs, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunPage {
    /// The runs.
    pub runs: Vec<RunView>,
    /// Where there are more: what to pass as `after` for the next page.
    pub next: Option<String>,
}

/// Which runs to list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RunQuery {
    /// Only runs in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub state: Option<RunState>,
    /// Only runs of this job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// At most so many runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 500, default = 50)]
    pub limit: Option<u16>,
    /// Only runs older than the one with this id: the `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// How long to wait for a change of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WatchQuery {
    /// The `version` that the caller has: the answer waits until the run's differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(format = "uint64")]
    pub since: Option<u64>,
    /// Seconds to wait at most; without a change the present state is the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 0, maximum = 60, default = 0)]
    pub wait: Option<u16>,
}

/// What an executor has to know before it joins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterInfo {
    /// The scheduler's version of Cambist.
    pub version: String,
    /// The version of the plans it sends.
    pub plan_version: u32,
    /// The host on which executors register, as seen from them.
    pub rpc_host: String,
    /// The port on which executors register.
    pub rpc_port: u16,
}

/// The registered executors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExecutorList {
    /// The executors, by id.
    pub executors: Vec<ExecutorView>,
}

/// One option of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OptionView {
    /// Its key, such as `source.url`.
    pub key: String,
    /// Its type and unit, with what is allowed.
    pub kind: String,
    /// What holds where it is not given.
    pub default: String,
    /// What it does.
    pub doc: String,
}

/// A registered job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobView {
    /// The name it is called by.
    pub name: String,
    /// What it does.
    pub summary: String,
    /// Its options.
    pub options: Vec<OptionView>,
}

/// The registered jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobList {
    /// The jobs.
    pub jobs: Vec<JobView>,
}

/// Whether the service is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`, or what is missing.
    pub status: String,
    /// The version of Cambist.
    pub version: String,
}

/// What the caller should do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorBodyKind {
    /// Mend the data.
    Data,
    /// Mend the call.
    Usage,
    /// Come back later.
    NotReady,
    /// Something else has happened to the same thing: look at its result.
    Conflict,
    /// A quality limit was exceeded.
    Quality,
    /// The service, the store or the machine failed: a retry may help.
    Infrastructure,
}

/// Why a request or a run failed; the form of every error answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What the caller should do.
    pub kind: ErrorBodyKind,
    /// What was found.
    pub message: String,
    /// What to do next, where the message does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The causes, from the nearest to the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
}

impl From<JobFailure> for ErrorBody {
    fn from(failure: JobFailure) -> Self {
        let kind = match failure.kind {
            ErrorKind::Data => ErrorBodyKind::Data,
            ErrorKind::Usage => ErrorBodyKind::Usage,
            ErrorKind::NotReady => ErrorBodyKind::NotReady,
            ErrorKind::Conflict => ErrorBodyKind::Conflict,
            ErrorKind::Quality => ErrorBodyKind::Quality,
            ErrorKind::Infrastructure => ErrorBodyKind::Infrastructure,
        };
        Self { kind, message: failure.message, hint: failure.hint, causes: failure.causes }
    }
}
