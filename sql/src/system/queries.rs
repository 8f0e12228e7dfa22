//! `system.queries`: statements that run, and the last ones that did.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::Result as PlanResult;

use super::rows::{batch, counts, instant, instants, schema, texts};
use crate::access::{Principal, Role};
use crate::queries::{QueryState, QueryView};

pub(super) fn columns() -> SchemaRef {
    schema([
        ("query_id", DataType::Utf8),
        ("user", DataType::Utf8),
        ("statement", DataType::Utf8),
        ("state", DataType::Utf8),
        ("started_at", instant()),
        ("ended_at", instant()),
        ("rows", DataType::Int64),
        ("bytes", DataType::Int64),
        ("error", DataType::Utf8),
    ])
}

pub(super) fn rows(queries: &[QueryView], principal: &Principal) -> PlanResult<RecordBatch> {
    let is_seen = |query: &&QueryView| principal.role == Role::Admin || *query.user == *principal.name;
    let seen: Vec<&QueryView> = queries.iter().filter(is_seen).collect();
    batch(
        &columns(),
        vec![
            texts(seen.iter().map(|query| Some(&query.query_id))),
            texts(seen.iter().map(|query| Some(&query.user))),
            texts(seen.iter().map(|query| Some(&query.statement))),
            texts(seen.iter().map(|query| Some(state(query.state)))),
            instants(seen.iter().map(|query| Some(query.started_at))),
            instants(seen.iter().map(|query| query.ended_at)),
            counts(seen.iter().map(|query| query.rows)),
            counts(seen.iter().map(|query| query.bytes)),
            texts(seen.iter().map(|query| query.error.as_ref())),
        ],
    )
}

const fn state(state: QueryState) -> &'static str {
    match state {
        QueryState::Running => "running",
        QueryState::Done => "done",
        QueryState::Failed => "failed",
        QueryState::Cancelled => "cancelled",
    }
}
