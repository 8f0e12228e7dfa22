//! Why a statement cannot be planned, as its sender can mend it: the place, and what may have been meant.

use std::error::Error as StdError;
use std::ops::ControlFlow;

use cambist_engine::failure::TaskFailure;
use datafusion::common::{Column, DataFusionError, SchemaError, TableReference};
use datafusion::execution::SessionState;
use datafusion::sql::parser::Statement as Extended;
use datafusion::sql::sqlparser::ast::{Expr, ObjectName, Spanned, Statement, TableFactor, Visit, Visitor};

use super::schemas::{INFORMATION, INFORMATION_TABLES, SYSTEM};
use crate::error::{Result, SqlError, SqlErrorKind};
use crate::near;
use crate::service::CATALOG;
use crate::statement::place::Place;
use crate::statement::{PUBLIC, TABLE_FUNCTIONS};
use crate::system;

/// What was to be planned.
pub(crate) struct Asked<'a> {
    pub(crate) sql: &'a str,
    pub(crate) statement: &'a Extended,
    pub(crate) state: &'a SessionState,
    /// The names of the declared tables.
    pub(crate) declared: Vec<String>,
}

/// Carries a failure of ours through the planner.
pub(crate) fn carried(error: SqlError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Returns the failure as its sender should see it, where it is not about a statement's text.
pub(crate) fn of_plan(error: &DataFusionError) -> SqlError {
    if let Some(own) = own(error) {
        return own.clone();
    }
    match TaskFailure::known(error) {
        Some(known) => known.into(),
        None => SqlError::invalid(error.find_root().message().into_owned()),
    }
}

fn own(error: &DataFusionError) -> Option<&SqlError> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(found) = cause {
        if let Some(own) = found.downcast_ref::<SqlError>() {
            return Some(own);
        }
        // A shared error hides its own kind from its source.
        if let Some(DataFusionError::Shared(shared)) = found.downcast_ref::<DataFusionError>() {
            cause = Some(shared.as_ref());
            continue;
        }
        cause = found.source();
    }
    None
}

impl Asked<'_> {
    /// Returns the failure as its sender should see it.
    pub(crate) fn failure(&self, error: &DataFusionError) -> SqlError {
        if let Some(own) = own(error) {
            return own.clone();
        }
        if let Some(known) = TaskFailure::known(error) {
            return known.into();
        }
        let named = self.names();
        if let Some(error) = self.unknown_table(&named) {
            return error;
        }
        if let Some(error) = self.unknown_column(error) {
            return error;
        }
        if let Some(error) = self.unknown_function(&named) {
            return error;
        }
        let place = error.diagnostic().and_then(|diagnostic| Place::of_span(diagnostic.span));
        SqlError::invalid(error.find_root().message().into_owned()).at(self.sql, place)
    }

    fn names(&self) -> Names {
        let mut names = Names::default();
        let ControlFlow::Continue(()) = walk(self.statement, &mut names);
        names
    }

    fn unknown_table(&self, named: &Names) -> Option<SqlError> {
        // Without those that the query itself defines.
        let references = self.state.resolve_table_references(self.statement).ok()?;
        let (name, reference) = named.tables.iter().find_map(|name| {
            let reference = reference(name)?;
            (references.contains(&reference) && !self.is_known(&reference)).then_some((name, reference))
        })?;
        let place = Place::of(name.span().start);
        let schema = reference.schema().unwrap_or(PUBLIC);
        let table = base_name(reference.table());
        let error =
            SqlError::new(SqlErrorKind::NotFound, format!("there is no table `{}`", written(&reference)));
        let error = error.at(self.sql, place);
        let (kind, names): (&str, Vec<String>) = match schema {
            PUBLIC => ("tables", self.declared.clone()),
            SYSTEM => ("tables", system::NAMES.iter().map(|name| (*name).to_owned()).collect()),
            INFORMATION => ("tables", INFORMATION_TABLES.iter().map(|name| (*name).to_owned()).collect()),
            _ => {
                return Some(
                    error.with_hint(format!("the schemas are `{PUBLIC}`, `{SYSTEM}`, `{INFORMATION}`")),
                );
            }
        };
        if looks_like_a_place(table) {
            return Some(
                error.with_hint(
                    "files are not read by their names: only declared tables are, see SHOW TABLES",
                ),
            );
        }
        match near::hint(table, kind, &names) {
            Some(hint) => Some(error.with_hint(hint)),
            None if schema == PUBLIC => Some(error.with_hint("SHOW TABLES lists those that there are")),
            None => Some(error),
        }
    }

    fn is_known(&self, reference: &TableReference) -> bool {
        if reference.catalog().is_some_and(|catalog| catalog != CATALOG) {
            return false;
        }
        let table = reference.table();
        match reference.schema().unwrap_or(PUBLIC) {
            PUBLIC => self.declared.iter().any(|name| name == base_name(table)),
            SYSTEM => system::NAMES.contains(&table),
            INFORMATION => INFORMATION_TABLES.contains(&table),
            _ => false,
        }
    }

    fn unknown_column(&self, error: &DataFusionError) -> Option<SqlError> {
        let DataFusionError::SchemaError(schema_error, _) = error.find_root() else { return None };
        let SchemaError::FieldNotFound { field, valid_fields } = schema_error.as_ref() else { return None };
        let of_diagnostic = error.diagnostic().and_then(|diagnostic| Place::of_span(diagnostic.span));
        let place = of_diagnostic.or_else(|| Place::of_span(field.spans().first()));
        let name = match &field.relation {
            Some(table) => format!("{table}.{}", field.name),
            None => field.name.clone(),
        };
        let error = SqlError::new(SqlErrorKind::NotFound, format!("there is no column `{name}`"));
        let mut names: Vec<String> = valid_fields.iter().map(|column: &Column| column.name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        let error = error.at(self.sql, place);
        Some(match near::hint(&field.name, "columns", &names) {
            Some(hint) => error.with_hint(hint),
            None => error,
        })
    }

    fn unknown_function(&self, named: &Names) -> Option<SqlError> {
        let state = self.state;
        let is_known = |name: &str| {
            state.scalar_functions().contains_key(name)
                || state.aggregate_functions().contains_key(name)
                || state.window_functions().contains_key(name)
                || state.higher_order_functions().contains_key(name)
        };
        let unknown =
            |name: &&ObjectName| !is_known(&name.to_string()) && !is_known(&name.to_string().to_lowercase());
        if let Some(name) = named.functions.iter().find(unknown) {
            let scalar = state.scalar_functions().keys().chain(state.aggregate_functions().keys());
            let all: Vec<String> = scalar.chain(state.window_functions().keys()).cloned().collect();
            return Some(self.no_function("function", name, &all));
        }
        let is_unknown = |name: &&ObjectName| !state.table_functions().contains_key(&name.to_string());
        let name = named.table_functions.iter().find(is_unknown)?;
        let ours = TABLE_FUNCTIONS.iter().map(|name| (*name).to_owned());
        let all: Vec<String> = state.table_functions().keys().cloned().chain(ours).collect();
        Some(self.no_function("table function", name, &all))
    }

    fn no_function(&self, kind: &str, name: &ObjectName, all: &[String]) -> SqlError {
        let error = SqlError::new(SqlErrorKind::NotFound, format!("there is no {kind} `{name}`"));
        let error = error.at(self.sql, Place::of(name.span().start));
        let hint = near::hint(&name.to_string(), &format!("{kind}s"), all);
        error.with_hint(
            hint.unwrap_or_else(|| "SELECT * FROM system.functions lists those that there are".to_owned()),
        )
    }
}

/// Returns a table's name without the time or the kind that is asked for.
pub(crate) fn base_name(name: &str) -> &str {
    name.split('@').next().unwrap_or(name)
}

fn written(reference: &TableReference) -> String {
    let table = base_name(reference.table());
    match reference.schema() {
        Some(schema) => format!("{schema}.{table}"),
        None => table.to_owned(),
    }
}

fn looks_like_a_place(name: &str) -> bool {
    name.contains(['/', '\\', '*', ':'])
        || [".csv", ".parquet", ".json", ".ndjson"].iter().any(|end| name.ends_with(end))
}

pub(crate) fn reference(name: &ObjectName) -> Option<TableReference> {
    let parts: Option<Vec<String>> =
        name.0.iter().map(|part| part.as_ident().map(|word| word.value.clone())).collect();
    match &parts?[..] {
        [table] => Some(TableReference::bare(table.as_str())),
        [schema, table] => Some(TableReference::partial(schema.as_str(), table.as_str())),
        [catalog, schema, table] => {
            Some(TableReference::full(catalog.as_str(), schema.as_str(), table.as_str()))
        }
        _ => None,
    }
}

/// The names that a statement holds.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) tables: Vec<ObjectName>,
    pub(crate) table_functions: Vec<ObjectName>,
    pub(crate) functions: Vec<ObjectName>,
    is_table_function: bool,
}

impl Names {
    /// Finds the names in a statement.
    pub(crate) fn of(statement: &Extended) -> Self {
        let mut names = Self::default();
        let ControlFlow::Continue(()) = walk(statement, &mut names);
        names
    }
}

impl Visitor for Names {
    type Break = std::convert::Infallible;

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Self::Break> {
        self.is_table_function = matches!(factor, TableFactor::Table { args: Some(_), .. });
        if let TableFactor::Function { name, .. } = factor {
            self.table_functions.push(name.clone());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<Self::Break> {
        let of_its_kind = if self.is_table_function { &mut self.table_functions } else { &mut self.tables };
        of_its_kind.push(name.clone());
        self.is_table_function = false;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<Self::Break> {
        if let Expr::Function(function) = expression {
            self.functions.push(function.name.clone());
        }
        ControlFlow::Continue(())
    }
}

fn walk<V: Visitor>(statement: &Extended, visitor: &mut V) -> ControlFlow<V::Break> {
    match statement {
        Extended::Statement(statement) => Statement::visit(statement, visitor),
        Extended::Explain(explained) => walk(&explained.statement, visitor),
        _ => ControlFlow::Continue(()),
    }
}

/// Keeps the planner's result, or its failure as the sender should see it.
pub(crate) fn planned<T>(result: datafusion::common::Result<T>) -> Result<T> {
    result.map_err(|error| of_plan(&error))
}
