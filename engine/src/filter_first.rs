//! Filters stay below what is computed of the rows.
//!
//! DataFusion moves a projection that narrows its rows below a filter, and with it every expression: then a
//! function that fails for a row is asked for rows that nobody wants. Here the filter goes back below.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::projection::update_expr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

/// Puts a filter over a projection below it, where the projection computes something and the filter asks for
/// columns only that come from below.
#[derive(Debug)]
pub(crate) struct FilterFirst;

impl PhysicalOptimizerRule for FilterFirst {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let swap = |plan: Arc<dyn ExecutionPlan>| {
            let swapped = match plan.downcast_ref::<FilterExec>() {
                Some(filter) => swapped(filter)?,
                None => None,
            };
            Ok(swapped.map_or_else(|| Transformed::no(plan), Transformed::yes))
        };
        Ok(plan.transform_down(swap)?.data)
    }

    fn name(&self) -> &'static str {
        "filter_first"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn swapped(filter: &FilterExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(projection) = filter.input().downcast_ref::<ProjectionExec>() else { return Ok(None) };
    let expressions = projection.expr();
    if expressions.iter().all(|each| is_column(each) || each.expr.is::<Literal>()) {
        return Ok(None);
    }
    let are_from_below = collect_columns(filter.predicate())
        .iter()
        .all(|column| expressions.get(column.index()).is_some_and(is_column));
    if !are_from_below {
        return Ok(None);
    }
    let Some(predicate) = update_expr(filter.predicate(), expressions, true)? else { return Ok(None) };
    let below = FilterExecBuilder::new(predicate, Arc::clone(projection.input()))
        .with_default_selectivity(filter.default_selectivity())
        .with_fetch(filter.fetch())
        .build()?;
    // The columns that the filter kept, in its order.
    let kept: Vec<ProjectionExpr> = match filter.projection() {
        Some(positions) => {
            positions.iter().filter_map(|position| expressions.get(*position).cloned()).collect()
        }
        None => expressions.to_vec(),
    };
    Ok(Some(Arc::new(ProjectionExec::try_new(kept, Arc::new(below))?)))
}

fn is_column(expression: &ProjectionExpr) -> bool {
    expression.expr.is::<Column>()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{Int64Array, RecordBatch};
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::datasource::MemTable;

    use crate::rates::RateBooks;
    use crate::session::{session, session_config};
    use crate::store::Stores;

    #[tokio::test]
    async fn what_a_filter_removes_is_not_computed() {
        let stores = Stores::new();
        let books = Arc::new(RateBooks::new(stores.clone()));
        let session = session(session_config(1, books), &stores).unwrap();
        let column = |name: &str| Field::new(name, DataType::Int64, false);
        let schema = Arc::new(Schema::new(vec![column("a"), column("b"), column("c"), column("d")]));
        let values = |values: [i64; 3]| Arc::new(Int64Array::from(values.to_vec())) as _;
        let columns = vec![values([1, 2, 3]), values([10, 0, 5]), values([7, 8, 9]), values([0, 0, 0])];
        let rows = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        session.register_table("t", Arc::new(MemTable::try_new(schema, vec![vec![rows]]).unwrap())).unwrap();
        for sql in [
            "SELECT a, 100 / b AS part FROM t WHERE a <> 2",
            "SELECT 100 / b AS part, a FROM t WHERE a IN (1, 3)",
            "SELECT part FROM (SELECT a, 100 / b AS part FROM t) WHERE a <> 2",
        ] {
            let found = session.sql(sql).await.unwrap().collect().await.unwrap();
            let part = found.iter().map(|batch| batch.column_by_name("part").unwrap().clone());
            let parts: Vec<i64> = part
                .flat_map(|part| part.as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec())
                .collect();
            assert_eq!(parts, [10, 20], "{sql}");
        }
    }
}
