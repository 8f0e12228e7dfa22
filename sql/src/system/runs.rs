//! `system.runs` and `system.executors`; a run is also the result of a `CALL`.

use std::sync::Arc;

use datafusion::arrow::array::{BooleanArray, Float64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::Result as PlanResult;

use super::rows::{batch, counts, instant, instants, schema, texts};
use crate::access::Role;
use crate::error::Result;
use crate::planning::failure::planned;
use crate::runs::{ExecutorRow, RunRow, Runs};

/// The newest runs that are told.
const RUNS_MAX: usize = 10_000;

pub(super) fn columns() -> SchemaRef {
    schema([
        ("run_id", DataType::Utf8),
        ("job", DataType::Utf8),
        ("state", DataType::Utf8),
        ("is_over", DataType::Boolean),
        ("submitted_at", instant()),
        ("ended_at", instant()),
        ("attempts", DataType::Int64),
        ("records", DataType::Int64),
        ("seconds", DataType::Float64),
        ("options", DataType::Utf8),
        ("report", DataType::Utf8),
        ("error", DataType::Utf8),
    ])
}

pub(super) async fn rows(runs: &dyn Runs, role: Role) -> Result<RecordBatch> {
    let runs = runs.list(RUNS_MAX).await?;
    // What names places is for those who may run jobs.
    let is_shown = role >= Role::Operator;
    planned(batch(
        &columns(),
        vec![
            texts(runs.iter().map(|run| Some(&run.run_id))),
            texts(runs.iter().map(|run| Some(&run.job))),
            texts(runs.iter().map(|run| Some(&run.state))),
            Arc::new(runs.iter().map(|run| Some(run.is_over)).collect::<BooleanArray>()),
            instants(runs.iter().map(|run| run.submitted_at)),
            instants(runs.iter().map(|run| run.ended_at)),
            counts(runs.iter().map(|run| u64::from(run.attempts))),
            counts(runs.iter().map(|run| run.records)),
            Arc::new(Float64Array::from_iter_values(runs.iter().map(|run| run.seconds))),
            texts(runs.iter().map(|run| is_shown.then(|| run.options.to_string()))),
            texts(runs.iter().map(|run| run.report.as_ref().filter(|_| is_shown).map(ToString::to_string))),
            texts(runs.iter().map(|run| run.error.as_ref().filter(|_| is_shown))),
        ],
    ))
}

/// The columns of the result of a `CALL`.
pub(crate) fn call_columns() -> SchemaRef {
    schema([
        ("run_id", DataType::Utf8),
        ("job", DataType::Utf8),
        ("state", DataType::Utf8),
        ("submitted_at", instant()),
        ("ended_at", instant()),
        ("records", DataType::Int64),
        ("seconds", DataType::Float64),
        ("report", DataType::Utf8),
        ("error", DataType::Utf8),
    ])
}

/// The result of a `CALL`.
pub(crate) fn call_row(run: &RunRow) -> Result<RecordBatch> {
    planned(batch(
        &call_columns(),
        vec![
            texts([Some(&run.run_id)]),
            texts([Some(&run.job)]),
            texts([Some(&run.state)]),
            instants([run.submitted_at]),
            instants([run.ended_at]),
            counts([run.records]),
            Arc::new(Float64Array::from_iter_values([run.seconds])),
            texts([run.report.as_ref().map(ToString::to_string)]),
            texts([run.error.as_ref()]),
        ],
    ))
}

pub(super) fn executor_columns() -> SchemaRef {
    schema([
        ("executor_id", DataType::Utf8),
        ("host", DataType::Utf8),
        ("status", DataType::Utf8),
        ("vcores_total", DataType::Int64),
        ("vcores_free", DataType::Int64),
    ])
}

pub(super) fn executor_rows(executors: &[ExecutorRow]) -> PlanResult<RecordBatch> {
    batch(
        &executor_columns(),
        vec![
            texts(executors.iter().map(|one| Some(&one.executor_id))),
            texts(executors.iter().map(|one| Some(&one.host))),
            texts(executors.iter().map(|one| Some(&one.status))),
            counts(executors.iter().map(|one| u64::from(one.vcores_total))),
            counts(executors.iter().map(|one| u64::from(one.vcores_free))),
        ],
    )
}
