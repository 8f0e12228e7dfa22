//! `system.jobs`: a row for each option of each registered job.

use cambist_jobs::registry;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::Result as PlanResult;

use super::rows::{batch, schema, texts};

pub(super) fn columns() -> SchemaRef {
    schema(["job", "summary", "option", "type", "default", "description"].map(|name| (name, DataType::Utf8)))
}

pub(super) fn rows() -> PlanResult<RecordBatch> {
    let jobs = registry::jobs();
    let options: Vec<_> =
        jobs.iter().flat_map(|job| job.options.iter().map(move |option| (job, option))).collect();
    batch(
        &columns(),
        vec![
            texts(options.iter().map(|(job, _)| Some(&job.name))),
            texts(options.iter().map(|(job, _)| Some(&job.summary))),
            texts(options.iter().map(|(_, option)| Some(&option.key))),
            texts(options.iter().map(|(_, option)| Some(&option.kind))),
            texts(options.iter().map(|(_, option)| Some(&option.default))),
            texts(options.iter().map(|(_, option)| Some(&option.doc))),
        ],
    )
}
