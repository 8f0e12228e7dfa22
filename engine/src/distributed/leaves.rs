//! Leaves of a plan that do not survive the way to a cluster, replaced by others with the same rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, NullArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::memory::LazyMemoryExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

/// Returns `plan` with leaves that a cluster can run.
///
/// - In the place of no rows, or of one without values, comes a scan of memory: in a union Ballista puts such a
///   scan there itself, but only in the tasks that do not read that branch. The scan counts what it did and the
///   other leaf does not, so that Ballista cannot add up the counts of its tasks, and drops the news of their end.
/// - A series whose column nobody asks for loses on its way that it leaves it out: a projection does so instead.
///
/// # Errors
/// Where an operator refuses its new child, or a series cannot be made.
pub fn with_lasting_leaves(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let lasting = plan.transform_up(|node| {
        Ok(match lasting_leaf(&node)? {
            Some(leaf) => Transformed::yes(leaf),
            None => Transformed::no(node),
        })
    })?;
    Ok(lasting.data)
}

fn lasting_leaf(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if node.is::<EmptyExec>() {
        return repeated(node, &[]).map(Some);
    }
    if node.is::<PlaceholderRowExec>() {
        return repeated(node, &[row_without_values(node.schema().fields().len())?]).map(Some);
    }
    match node.downcast_ref::<LazyMemoryExec>() {
        Some(series) if node.schema().fields().is_empty() => without_columns(series),
        _ => Ok(None),
    }
}

/// A scan of memory with as many partitions as `node`, each of which holds `batches`.
fn repeated(node: &Arc<dyn ExecutionPlan>, batches: &[RecordBatch]) -> Result<Arc<dyn ExecutionPlan>> {
    let partitions = vec![batches.to_vec(); node.properties().partitioning.partition_count()];
    let scan: Arc<dyn ExecutionPlan> = MemorySourceConfig::try_new_exec(&partitions, node.schema(), None)?;
    Ok(scan)
}

/// The row of a `PlaceholderRowExec`: its columns are there, whatever their types, and nobody reads them.
fn row_without_values(columns: usize) -> Result<RecordBatch> {
    let fields: Fields = (0..columns)
        .map(|column| Field::new(format!("placeholder_{column}"), DataType::Null, true))
        .collect();
    let values = (0..columns).map(|_| Arc::new(NullArray::new(1)) as ArrayRef).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), values, &options)?)
}

/// The same rows, made with their columns, which a projection then leaves out. `None` where there are no rows, and
/// so nothing to lose.
fn without_columns(series: &LazyMemoryExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let mut generators = Vec::new();
    let mut columns = None;
    for generator in series.generators() {
        // One of its own, so that nothing is taken from the plan's.
        let probe = generator.read().reset_state();
        let first = probe.write().generate_next_batch()?;
        columns = columns.or(first.map(|batch| batch.schema()));
        generators.push(Arc::clone(generator));
    }
    let Some(columns) = columns else { return Ok(None) };
    let whole = Arc::new(LazyMemoryExec::try_new(columns, generators)?);
    Ok(Some(Arc::new(ProjectionExec::try_new(Vec::<ProjectionExpr>::new(), whole)?)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ballista_core::utils::collect_plan_metrics;
    use ballista_scheduler::state::task_builder::restrict_plan_to_partitions;
    use datafusion::physical_plan::{collect, displayable};
    use datafusion::prelude::{SessionConfig, SessionContext};
    use datafusion_proto::physical_plan::{AsExecutionPlan, DefaultPhysicalExtensionCodec};
    use datafusion_proto::protobuf::PhysicalPlanNode;

    use super::*;

    async fn planned(sql: &str) -> (SessionContext, Arc<dyn ExecutionPlan>) {
        let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
        session.sql("CREATE TABLE t AS VALUES (1), (2)").await.unwrap().collect().await.unwrap();
        let plan = session.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        (session, plan)
    }

    /// Each task's own part of the plan, after its way.
    fn tasks(session: &SessionContext, plan: &Arc<dyn ExecutionPlan>) -> Vec<Arc<dyn ExecutionPlan>> {
        let partitions = 0..plan.properties().partitioning.partition_count();
        let task = |partition| {
            let part = restrict_plan_to_partitions(Arc::clone(plan), &[partition]).unwrap();
            let sent = PhysicalPlanNode::try_from_physical_plan(part, &DefaultPhysicalExtensionCodec {});
            let context = session.task_ctx();
            sent.unwrap().try_into_physical_plan(&context, &DefaultPhysicalExtensionCodec {}).unwrap()
        };
        partitions.map(task).collect()
    }

    fn counts(tasks: &[Arc<dyn ExecutionPlan>]) -> BTreeSet<usize> {
        tasks.iter().map(|task| collect_plan_metrics(task.as_ref()).len()).collect()
    }

    #[tokio::test]
    async fn all_tasks_of_a_union_count_alike_and_give_each_row_once() {
        for (sql, rows) in [
            ("SELECT column1 FROM t UNION ALL SELECT 7", 3),
            ("SELECT column1 FROM t UNION ALL SELECT 7 WHERE 1 = 2 UNION ALL SELECT 8", 3),
            ("SELECT count(*) FROM t UNION ALL SELECT column1 FROM t", 3),
        ] {
            let (session, plan) = planned(sql).await;
            let text = displayable(plan.as_ref()).indent(true).to_string();
            assert!(counts(&tasks(&session, &plan)).len() > 1, "what is mended is no longer there: {text}");
            let plan = with_lasting_leaves(plan).unwrap();
            let tasks = tasks(&session, &plan);
            assert!(tasks.len() > 1, "{text}");
            assert_eq!(counts(&tasks).len(), 1, "{text}");
            let mut found = 0;
            for task in tasks {
                let batches = collect(task, session.task_ctx()).await.unwrap();
                found += batches.iter().map(RecordBatch::num_rows).sum::<usize>();
            }
            assert_eq!(found, rows, "{text}");
        }
    }

    #[tokio::test]
    async fn nothing_and_one_row_are_told_apart_after_their_way() {
        for (sql, rows) in [("SELECT 1 AS a", 1), ("SELECT 1 AS a WHERE 1 = 2", 0)] {
            let (session, plan) = planned(sql).await;
            let plan = with_lasting_leaves(plan).unwrap();
            let [task] = tasks(&session, &plan).try_into().unwrap();
            let batches = collect(task, session.task_ctx()).await.unwrap();
            assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), rows, "{sql}");
        }
    }

    #[tokio::test]
    async fn a_series_keeps_its_number_of_rows_without_its_column() {
        for (series, rows) in
            [("generate_series(1, 20000)", 20_000), ("range(1, 1)", 0), ("range(0, 9, 2)", 5)]
        {
            let (session, plan) = planned(&format!("SELECT count(*) FROM {series}")).await;
            let plan = with_lasting_leaves(plan).unwrap();
            let codec = DefaultPhysicalExtensionCodec {};
            let sent = PhysicalPlanNode::try_from_physical_plan(plan, &codec).unwrap();
            let task = sent.try_into_physical_plan(&session.task_ctx(), &codec).unwrap();
            let batches = collect(task, session.task_ctx()).await.unwrap();
            let count = arrow::compute::cast(batches[0].column(0), &DataType::Utf8).unwrap();
            assert_eq!(
                arrow::array::AsArray::as_string::<i32>(&count).value(0),
                rows.to_string(),
                "{series}"
            );
        }
    }
}
