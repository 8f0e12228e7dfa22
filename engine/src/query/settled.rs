//! Conditions that are settled when a query is planned, because what they are about is known then.

use arrow::array::RecordBatch;
use arrow::compute::filter_record_batch;
use datafusion::catalog::Session;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::Expr;

/// Tells whether a condition is about nothing but columns that `is_known` names, and means the same for every
/// row with their values.
pub(super) fn is_about(condition: &Expr, is_known: impl Fn(&str) -> bool) -> bool {
    let is_open = |node: &Expr| {
        let needs_more = matches!(
            node,
            Expr::Placeholder(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::ScalarVariable(..)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::ScalarSubquery(_)
                | Expr::SetComparison(_)
        );
        needs_more || node.is_volatile_node()
    };
    let columns = condition.column_refs();
    !columns.is_empty()
        && columns.iter().all(|column| is_known(column.name()))
        && !condition.exists(|node| Ok(is_open(node))).unwrap_or(true)
}

/// Returns the positions of the rows that meet all of `conditions`, in ascending order.
///
/// # Errors
/// Where a condition fails on a value that those before it let through.
pub(super) fn meeting(state: &dyn Session, rows: &RecordBatch, conditions: &[&Expr]) -> Result<Vec<usize>> {
    let schema = DFSchema::try_from(rows.schema())?;
    let mut left = rows.clone();
    let mut positions: Vec<usize> = (0..rows.num_rows()).collect();
    // One after the other: what a condition leaves out cannot make the next one fail.
    for condition in conditions {
        let condition = state.create_physical_expr((*condition).clone(), &schema)?;
        let met = condition.evaluate(&left)?.into_array(left.num_rows())?;
        let met = as_boolean_array(&met)?;
        left = filter_record_batch(&left, met)?;
        let is_met = met.iter().map(|met| met == Some(true));
        positions = positions.into_iter().zip(is_met).filter_map(|(row, met)| met.then_some(row)).collect();
    }
    Ok(positions)
}
