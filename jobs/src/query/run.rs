//! The query: plan, execute, write one file.

use std::sync::Arc;
use std::time::Instant;

use cambist_engine::query::{Broken, RawTable};
use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::prelude::SessionContext;

use super::encode::{Encoded, encode};
use super::options::QueryConfig;
use super::output::{Output, Standing};
use super::plan::{QueryPlan, plan};
use super::report::{QueryReport, QueryStatus};
use crate::context::{RunContext, RunPhase, seconds_since};
use crate::error::{ErrorKind, JobError, Result};
use crate::input::{of_execution, running};
use crate::staged::StagingGuard;

/// What helps where a value does not fit its type.
pub(crate) const CAST_HINT: &str = "TRY_CAST and parse_decimal give null for a value that does not fit";

/// A query makes one file: its first commit and its last.
const COMMIT: u64 = 1;

/// Runs the job.
///
/// An attempt whose file an earlier one has created yields that one's report.
///
/// # Errors
/// [`JobError`] with the kind that decides the exit code: [`ErrorKind::Conflict`] where another file stands
/// in the output's place. Unless the error says otherwise nothing was written.
pub async fn query(config: &QueryConfig, context: &RunContext) -> Result<QueryReport> {
    let started = Instant::now();
    let output = Output::open(config, &context.stores)?;
    if let Some(report) = output.created_before(context).await? {
        output.clear(context).await;
        return Ok(report);
    }
    let staged = StagingGuard::new(output.staging(&context.staging_name())?);
    let ended = match result(config, context, &output, &staged, started).await {
        Ok((mut report, encoded)) => {
            // From here on the account of what is created belongs to those who come after.
            staged.release();
            let created = create(context, &output, &mut report, &encoded).await;
            report.seconds = seconds_since(started);
            created.map(|()| report)
        }
        Err(failed) => {
            staged.discard().await;
            Err(failed)
        }
    };
    // After a failure of the store or the observer an attempt to come may need it.
    if !matches!(&ended, Err(failed) if failed.kind == ErrorKind::Infrastructure) {
        output.clear(context).await;
    }
    ended
}

/// Executes the query and makes the bytes of its file.
async fn result(
    config: &QueryConfig,
    context: &RunContext,
    output: &Output,
    staged: &StagingGuard,
    started: Instant,
) -> Result<(QueryReport, Encoded)> {
    let plan = plan(config, context, staged.staging()).await?;
    context.progress.begin(plan.input_bytes, plan.tasks);
    context.observer.reached(RunPhase::Planned { input_bytes: plan.input_bytes, tasks: plan.tasks }).await?;
    let batches = execute(config, context, &plan).await?;
    check_size(config.max_bytes, &batches)
        .map_err(|error| error.with_hint("ask for fewer rows or columns, or raise output.max_bytes"))?;
    let broken_records =
        if config.allow_broken { count_broken(context, &plan.session, &plan.raw).await?.0 } else { 0 };
    let encoded = encode(config.output_format, &plan.columns, batches)?;
    let report = QueryReport {
        run_id: context.run_id.clone(),
        status: QueryStatus::Committed,
        rows: encoded.rows,
        bytes: encoded.bytes.len() as u64,
        output: output.place(),
        content_hash: encoded.content_hash.to_string(),
        broken_records,
        seconds: seconds_since(started),
    };
    Ok((report, encoded))
}

async fn execute(config: &QueryConfig, context: &RunContext, plan: &QueryPlan) -> Result<Vec<RecordBatch>> {
    let executed =
        context.execution.collect(&context.run_id, plan.plan.clone(), &plan.session, &context.progress).await;
    let mut failed = match executed {
        Ok(batches) => return Ok(batches),
        Err(failed) => of_execution(failed),
    };
    if failed.kind == ErrorKind::Data {
        if !config.allow_broken
            && let (1.., first) = count_broken(context, &plan.session, &plan.raw).await?
        {
            return Err(first.with_hint("mend the files, or set run.allow_broken to leave such records out"));
        }
        failed.hint = Some(CAST_HINT.to_owned());
    }
    Err(failed)
}

/// Counts the broken records of `raw` files, and says where the first one is.
pub(crate) async fn count_broken(
    context: &RunContext,
    session: &SessionContext,
    raw: &[Arc<RawTable>],
) -> Result<(u64, JobError)> {
    let mut total = 0;
    let mut found = Vec::new();
    for table in raw {
        let counting = table.count_broken().map_err(running)?;
        let name = format!("{}-counting broken records", context.run_id);
        let counted = context.execution.collect(&name, counting, session, &context.progress).await;
        let broken = Broken::of(&counted.map_err(of_execution)?).map_err(running)?;
        total += broken.count;
        let Some(first) = broken.first else { continue };
        let place = match first.number {
            Some(number) => format!("record {number}"),
            None => format!("byte {}", first.offset),
        };
        found.push(format!(
            "{} in table `{}`, the first in `{}`, {place}: {}: {}",
            broken.count,
            table.name(),
            first.file,
            first.reason,
            first.detail
        ));
    }
    Ok((total, JobError::data(format!("{total} broken records: {}", found.join("; ")))))
}

/// Tasks bound their own rows; together they may still be too many.
pub(crate) fn check_size(bytes_max: usize, batches: &[RecordBatch]) -> Result<()> {
    let mut bytes = 0;
    for column in batches.iter().flat_map(RecordBatch::columns) {
        bytes += column.to_data().get_slice_memory_size().map_err(|error| running(error.into()))?;
    }
    if bytes > bytes_max {
        return Err(JobError::usage(format!("the result has more than {bytes_max} bytes")));
    }
    Ok(())
}

/// Creates the file, unless it is there.
async fn create(
    context: &RunContext,
    output: &Output,
    report: &mut QueryReport,
    encoded: &Encoded,
) -> Result<()> {
    match output.standing(encoded).await? {
        Standing::Absent => {}
        Standing::Same => {
            report.status = QueryStatus::AlreadyDone;
            return Ok(());
        }
        Standing::Other => return Err(conflict(output)),
    }
    output.probe().await?;
    if context.execution.is_remote() {
        // Only a service's runs have further attempts.
        output.intend(&output.staging(&context.staging_name())?, encoded, report).await?;
    }
    context.observer.reached(RunPhase::Executed).await?;
    // A request whose answer got lost is sent again, and then finds its own file.
    if !output.create(encoded.bytes.clone()).await? && !output.is(&encoded.bytes).await? {
        if let Some(earlier) = output.created_before(context).await? {
            *report = earlier;
        } else if matches!(output.standing(encoded).await?, Standing::Same) {
            report.status = QueryStatus::AlreadyDone;
            return Ok(());
        } else {
            return Err(conflict(output));
        }
    }
    context.observer.reached(RunPhase::Committed { commit: COMMIT }).await
}

fn conflict(output: &Output) -> JobError {
    JobError::new(
        ErrorKind::Conflict,
        format!("`{}` exists and holds something else, nothing was written", output.place()),
    )
    .with_hint("remove it, or write to another output.url")
}
