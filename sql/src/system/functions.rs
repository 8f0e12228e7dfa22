//! `system.functions`: what SQL can call.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::Result as PlanResult;
use datafusion::execution::SessionState;
use datafusion::logical_expr::Documentation;

use super::rows::{batch, schema, texts};
use crate::statement::TABLE_FUNCTIONS;

pub(super) fn columns() -> SchemaRef {
    schema(["name", "kind", "origin", "signature", "description"].map(|name| (name, DataType::Utf8)))
}

struct Function {
    name: String,
    kind: &'static str,
    documentation: Option<Documentation>,
}

pub(super) fn rows(state: &SessionState) -> PlanResult<RecordBatch> {
    let function = |name: &String, kind, documentation: Option<&Documentation>| Function {
        name: name.clone(),
        kind,
        documentation: documentation.cloned(),
    };
    let scalar = state.scalar_functions().iter();
    let scalar = scalar.map(|(name, of)| function(name, "scalar", of.documentation()));
    let aggregate = state.aggregate_functions().iter();
    let aggregate = aggregate.map(|(name, of)| function(name, "aggregate", of.documentation()));
    let window = state.window_functions().iter();
    let window = window.map(|(name, of)| function(name, "window", of.documentation()));
    let tables = state.table_functions().keys().map(|name| function(name, "table", None));
    let ours = TABLE_FUNCTIONS.iter().map(|name| function(&(*name).to_owned(), "table", None));
    let mut all: Vec<Function> = scalar.chain(aggregate).chain(window).chain(tables).chain(ours).collect();
    all.sort_by(|one, other| (&one.name, one.kind).cmp(&(&other.name, other.kind)));

    let own: Vec<String> = cambist_udfs::sql::functions().into_iter().map(|function| function.name).collect();
    let is_own = |name: &String| own.contains(name) || TABLE_FUNCTIONS.contains(&name.as_str());
    let origin = |function: &Function| Some(if is_own(&function.name) { "cambist" } else { "datafusion" });
    let signature = |function: &Function| match function.name.as_str() {
        "table_at" => Some("table_at('table', 'instant')".to_owned()),
        "table_quarantine" => Some("table_quarantine('table')".to_owned()),
        _ => function.documentation.as_ref().map(|documentation| documentation.syntax_example.clone()),
    };
    let description = |function: &Function| match function.name.as_str() {
        "table_at" => Some("The table as it was at an instant.".to_owned()),
        "table_quarantine" => Some("The records that the table's jobs have set aside.".to_owned()),
        _ => function.documentation.as_ref().map(|documentation| documentation.description.trim().to_owned()),
    };
    batch(
        &columns(),
        vec![
            texts(all.iter().map(|function| Some(&function.name))),
            texts(all.iter().map(|function| Some(function.kind))),
            texts(all.iter().map(origin)),
            texts(all.iter().map(signature)),
            texts(all.iter().map(description)),
        ],
    )
}
