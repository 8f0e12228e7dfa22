//! `system.quarantine`: the records that the declared Cambist tables have set aside, as one view over their
//! quarantines.

use std::sync::Arc;

use cambist_engine::quarantine::table_schema;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{Result as PlanResult, ScalarValue, TableReference};
use datafusion::datasource::ViewTable;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlanBuilder, cast, ident, lit};

use crate::catalog::{Catalog, Opening, TableKind};

pub(super) fn columns() -> SchemaRef {
    let common = table_schema();
    let table = Arc::new(Field::new("table", DataType::Utf8, true));
    let common = common.fields().iter().map(|field| Arc::new(field.as_ref().clone().with_nullable(true)));
    Arc::new(Schema::new(std::iter::once(table).chain(common).collect::<Vec<_>>()))
}

pub(super) async fn table(catalog: &Catalog, opening: &Opening) -> PlanResult<Arc<dyn TableProvider>> {
    let mut union: Option<LogicalPlanBuilder> = None;
    for (name, declared) in catalog.declared() {
        if declared.settings.kind != TableKind::Cambist {
            continue;
        }
        let opened = match catalog.open(&format!("{name}@quarantine"), opening).await {
            Ok(Some(opened)) => opened,
            // Its declaration was removed just now.
            Ok(None) => continue,
            Err(error) => {
                tracing::warn!(table = name, %error, "a table cannot be opened, its quarantine is left out");
                continue;
            }
        };
        let part = part(&name, opened)?;
        union = Some(match union {
            None => part,
            Some(union) => union.union(part.build()?)?,
        });
    }
    match union {
        Some(union) => Ok(Arc::new(ViewTable::new(union.build()?, None))),
        None => Ok(Arc::new(EmptyTable::new(columns()))),
    }
}

/// The common columns of one table's quarantine, with the table's name.
fn part(name: &str, opened: Arc<dyn TableProvider>) -> PlanResult<LogicalPlanBuilder> {
    let found = opened.schema();
    let column = |field: &Arc<Field>| {
        let value = if found.field_with_name(field.name()).is_ok() {
            cast(ident(field.name()), field.data_type().clone())
        } else {
            cast(lit(ScalarValue::Null), field.data_type().clone())
        };
        value.alias(field.name())
    };
    let common = columns();
    let rest = common.fields().iter().skip(1).map(column);
    let columns = std::iter::once(lit(name).alias("table")).chain(rest).collect::<Vec<_>>();
    let quarantine = TableReference::bare(format!("{name}@quarantine"));
    LogicalPlanBuilder::scan(quarantine, provider_as_source(opened), None)?.project(columns)
}
