//! Carries each record's identity through a job's own SQL.
//!
//! A user's SELECT names the columns it wants; the hidden record column must come along, so that a row
//! that cannot be converted later is quarantined with its file, place and raw text. That holds for SQL
//! that works row by row over `source`: projections, filters, joins with small tables, subqueries of
//! small tables. Anything that mixes rows of `source` is refused.

use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Column, JoinType, Result, plan_datafusion_err, plan_err};
use datafusion::datasource::TableProvider;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{
    Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder, Projection, SubqueryAlias,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::projection::ProjectionExec;

use crate::inline_join::InlineJoin;
use crate::record::RECORD_COLUMN;
use crate::record_gate::RecordGate;

/// The name of the transactions in a job's SQL.
pub const SOURCE_TABLE: &str = "source";

/// Rewrites `plan`, planned over the declared columns of `source`, to scan `table` and to yield the
/// record column after its own columns.
///
/// # Errors
/// Where the SQL does not read `source` exactly once, or not row by row.
pub fn carry_records(plan: LogicalPlan, table: &Arc<dyn TableProvider>) -> Result<LogicalPlan> {
    let mut scans = 0;
    plan.apply_with_subqueries(|node| {
        scans += usize::from(is_source(node));
        Ok(TreeNodeRecursion::Continue)
    })?;
    if scans != 1 {
        return plan_err!("the source SQL reads `{SOURCE_TABLE}` {scans} times, expected once");
    }
    match thread(plan, table)? {
        (plan, Some(_)) => Ok(plan),
        (_, None) => plan_err!(
            "the source SQL reads `{SOURCE_TABLE}` only inside a subquery, expected in its FROM clause"
        ),
    }
}

fn is_source(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::TableScan(scan) if scan.table_name.table() == SOURCE_TABLE)
}

/// Returns the rewritten plan, and the record column where the plan yields it.
fn thread(plan: LogicalPlan, table: &Arc<dyn TableProvider>) -> Result<(LogicalPlan, Option<Column>)> {
    match plan {
        LogicalPlan::TableScan(scan) if scan.table_name.table() == SOURCE_TABLE => {
            let name = scan.table_name.clone();
            let source = provider_as_source(Arc::clone(table));
            let scan = LogicalPlanBuilder::scan(name.clone(), source, None)?.build()?;
            Ok((scan, Some(Column::new(Some(name), RECORD_COLUMN))))
        }
        LogicalPlan::Projection(projection) => {
            let (input, record) = thread(Arc::unwrap_or_clone(projection.input), table)?;
            let mut columns = projection.expr;
            columns.extend(record.clone().map(Expr::Column));
            Ok((LogicalPlan::Projection(Projection::try_new(columns, Arc::new(input))?), record))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let (input, record) = thread(Arc::unwrap_or_clone(alias.input), table)?;
            let record = record.map(|record| Column::new(Some(alias.alias.clone()), record.name));
            Ok((LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(input), alias.alias)?), record))
        }
        LogicalPlan::Filter(filter) => {
            let (input, record) = thread(Arc::unwrap_or_clone(filter.input), table)?;
            Ok((LogicalPlan::Filter(Filter::try_new(filter.predicate, Arc::new(input))?), record))
        }
        LogicalPlan::Join(join) => thread_join(join, table),
        other => {
            for input in other.inputs() {
                if contains_source(input)? {
                    return plan_err!(
                        "the source SQL works on several rows of `{SOURCE_TABLE}` at once ({}), expected a SELECT that \
                         maps, filters or joins small tables row by row",
                        other.display()
                    );
                }
            }
            Ok((other, None))
        }
    }
}

fn thread_join(join: Join, table: &Arc<dyn TableProvider>) -> Result<(LogicalPlan, Option<Column>)> {
    let (left, of_left) = thread(Arc::unwrap_or_clone(join.left), table)?;
    let (right, of_right) = thread(Arc::unwrap_or_clone(join.right), table)?;
    let keeps = match join.join_type {
        JoinType::Inner => true,
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => of_right.is_none(),
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
            of_left.is_none()
        }
        JoinType::Full => of_left.is_none() && of_right.is_none(),
    };
    if !keeps {
        return plan_err!(
            "a {} JOIN of the source SQL makes rows that are no record of `{SOURCE_TABLE}`; put `{SOURCE_TABLE}` on the \
             side whose rows are kept",
            join.join_type
        );
    }
    let joined = Join::try_new(
        Arc::new(left),
        Arc::new(right),
        join.on,
        join.filter,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    Ok((LogicalPlan::Join(joined), of_left.or(of_right)))
}

fn contains_source(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= is_source(node);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Checks that a physical plan passes the records of `source` through in one stage: each task's rows
/// from the scan to the top, the small tables on the build side of every join.
///
/// # Errors
/// Where the plan would gather or shuffle the records.
pub fn check_single_stage(plan: &Arc<dyn ExecutionPlan>) -> Result<()> {
    let mut node = plan;
    loop {
        if node.downcast_ref::<RecordGate>().is_some() {
            return Ok(());
        }
        let is_row_wise = node.downcast_ref::<ProjectionExec>().is_some()
            || node.downcast_ref::<FilterExec>().is_some()
            || node.downcast_ref::<InlineJoin>().is_some();
        let is_join = node.downcast_ref::<HashJoinExec>().is_some()
            || node.downcast_ref::<NestedLoopJoinExec>().is_some()
            || node.downcast_ref::<CrossJoinExec>().is_some();
        let is_pass_through = matches!(node.name(), "CoalesceBatchesExec" | "CooperativeExec");
        let children = node.children();
        node = match (is_join, is_row_wise || is_pass_through) {
            (true, _) if !holds_gate(children[0]) => children[1],
            (false, true) => children[0],
            _ => {
                let name = node.name();
                return Err(plan_datafusion_err!(
                    "the source SQL needs {name}, which gathers the records of `{SOURCE_TABLE}`; expected a SELECT that \
                     maps, filters or joins small tables row by row"
                ));
            }
        };
    }
}

fn holds_gate(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<RecordGate>().is_some() || plan.children().into_iter().any(holds_gate)
}
