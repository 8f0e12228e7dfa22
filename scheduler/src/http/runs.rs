//! `/v1/runs` and `/v1/jobs`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use cambist_jobs::registry;

use super::error::ApiError;
use super::extract::{ApiJson, ApiQuery, RunId};
use super::types::{ErrorBody, JobList, JobView, OptionView, RunPage, RunQuery, SubmitRequest, WatchQuery};
use crate::service::{JobService, RunFilter, RunView};

const PAGE_DEFAULT: u16 = 50;
const PAGE_MAX: u16 = 500;
const WAIT_SECONDS_MAX: u16 = 60;

/// Puts a run on record.
///
/// Under an `id` of your own this is safe to send again: the same run is the same answer.
#[utoipa::path(
    post,
    path = "/v1/runs",
    request_body = SubmitRequest,
    responses(
        (status = ACCEPTED, body = RunView, description = "It is on record, and will be run",
            headers(("Location" = String, description = "Where the run is"))),
        (status = OK, body = RunView, description = "It was on record already",
            headers(("Location" = String, description = "Where the run is"))),
        (status = BAD_REQUEST, body = ErrorBody, description = "No JSON, or a job or option that does not exist"),
        (status = CONFLICT, body = ErrorBody, description = "Another run has this id"),
        (status = PAYLOAD_TOO_LARGE, body = ErrorBody, description = "More than 1 MiB"),
        (status = UNSUPPORTED_MEDIA_TYPE, body = ErrorBody, description = "Not `application/json`"),
        (status = UNPROCESSABLE_ENTITY, body = ErrorBody, description = "JSON of another form"),
        (status = TOO_MANY_REQUESTS, body = ErrorBody, description = "Too many runs wait",
            headers(("Retry-After" = u64, description = "Seconds"))),
        (status = SERVICE_UNAVAILABLE, body = ErrorBody, description = "The scheduler stops, or its store fails",
            headers(("Retry-After" = u64, description = "Seconds"))),
    )
)]
pub(super) async fn submit_run(
    State(service): State<JobService>,
    ApiJson(request): ApiJson<SubmitRequest>,
) -> Result<Response, ApiError> {
    let submitted = service.submit(&request.job, request.options, request.id).await?;
    let status = if submitted.is_new { StatusCode::ACCEPTED } else { StatusCode::OK };
    let location = format!("/v1/runs/{}", submitted.run.id);
    Ok((status, [(header::LOCATION, location)], Json(submitted.run)).into_response())
}

/// Lists runs, newest first. Finished runs of long ago are only found by their id.
#[utoipa::path(
    get,
    path = "/v1/runs",
    params(RunQuery),
    responses(
        (status = OK, body = RunPage, description = "The runs"),
        (status = BAD_REQUEST, body = ErrorBody, description = "A parameter is not valid"),
        (status = SERVICE_UNAVAILABLE, body = ErrorBody, description = "Too many requests at once"),
    )
)]
pub(super) async fn list_runs(
    State(service): State<JobService>,
    ApiQuery(query): ApiQuery<RunQuery>,
) -> Result<Json<RunPage>, ApiError> {
    let limit = query.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(ApiError::bad_request(format!("`limit` is {limit}, expected 1 to {PAGE_MAX}")));
    }
    let filter = RunFilter { state: query.state, job: query.job, limit: limit.into(), after: query.after };
    let listed = service.list(&filter).await.map_err(|after| {
        ApiError::bad_request(format!("`after` is `{after}`, expected the `next` of another page"))
    })?;
    Ok(Json(RunPage { runs: listed.runs, next: listed.next }))
}

/// Shows a run; with `since` and `wait` as soon as it has changed.
#[utoipa::path(
    get,
    path = "/v1/runs/{id}",
    params(("id" = String, Path, description = "The run's id"), WatchQuery),
    responses(
        (status = OK, body = RunView, description = "The run as it stands"),
        (status = BAD_REQUEST, body = ErrorBody, description = "A parameter is not valid"),
        (status = NOT_FOUND, body = ErrorBody, description = "There is no such run"),
        (status = INTERNAL_SERVER_ERROR, body = ErrorBody, description = "A record of the run is damaged"),
        (status = SERVICE_UNAVAILABLE, body = ErrorBody, description = "The records' store fails"),
    )
)]
pub(super) async fn get_run(
    State(service): State<JobService>,
    RunId(id): RunId,
    ApiQuery(query): ApiQuery<WatchQuery>,
) -> Result<Json<RunView>, ApiError> {
    let wait = query.wait.unwrap_or(0);
    if wait > WAIT_SECONDS_MAX {
        return Err(ApiError::bad_request(format!("`wait` is {wait}, expected 0 to {WAIT_SECONDS_MAX} s")));
    }
    let run = match query.since {
        Some(since) => service.watch(&id, since, Duration::from_secs(wait.into())).await?,
        None => service.get(&id).await?,
    };
    Ok(Json(run))
}

/// Cancels a run. Cancelling it again changes nothing; a committed run cannot be cancelled.
#[utoipa::path(
    delete,
    path = "/v1/runs/{id}",
    params(("id" = String, Path, description = "The run's id")),
    responses(
        (status = OK, body = RunView, description = "It is cancelled"),
        (status = ACCEPTED, body = RunView, description = "It will be cancelled"),
        (status = BAD_REQUEST, body = ErrorBody, description = "A parameter is not valid"),
        (status = NOT_FOUND, body = ErrorBody, description = "There is no such run"),
        (status = CONFLICT, body = ErrorBody, description = "It is committed or over"),
        (status = INTERNAL_SERVER_ERROR, body = ErrorBody, description = "A record of the run is damaged"),
        (status = SERVICE_UNAVAILABLE, body = ErrorBody, description = "The records' store fails"),
    )
)]
pub(super) async fn cancel_run(
    State(service): State<JobService>,
    RunId(id): RunId,
) -> Result<(StatusCode, Json<RunView>), ApiError> {
    let run = service.cancel(&id).await?;
    let status = if run.state.is_terminal() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(run)))
}

/// Lists the registered jobs with their options.
#[utoipa::path(
    get,
    path = "/v1/jobs",
    responses(
        (status = OK, body = JobList, description = "The jobs"),
        (status = SERVICE_UNAVAILABLE, body = ErrorBody, description = "Too many requests at once"),
    )
)]
pub(super) async fn list_jobs() -> Json<JobList> {
    let jobs = registry::jobs().into_iter().map(|job| JobView {
        name: job.name,
        summary: job.summary,
        options: job.options.iter().map(option_view).collect(),
    });
    Json(JobList { jobs: jobs.collect() })
}

fn option_view(option: &registry::OptionDescription) -> OptionView {
    OptionView {
        key: option.key.to_string(),
        kind: option.kind.to_string(),
        default: option.default.to_string(),
        doc: option.doc.to_string(),
    }
}
