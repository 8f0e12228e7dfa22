//! A statement in the form in which it is executed.

use datafusion::sql::parser::{ResetStatement, Statement as Extended};
use datafusion::sql::sqlparser::ast::{
    DescribeAlias, Expr, ObjectName, Set, ShowStatementOptions, Statement, UnaryOperator, Value,
};

use super::external_table::{self, NewTable};
use super::rewrite;
use crate::call::{JobCall, job_call};
use crate::error::{Result, SqlError};
use crate::options::SessionOption;
use crate::service::CATALOG;

/// The schema of declared tables.
pub(crate) const PUBLIC: &str = "public";

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Action {
    /// Rows are to be read.
    Query(Box<Query>),
    /// Options of the session are to be told.
    ShowOptions(Vec<SessionOption>),
    /// An option is to be set, or unset.
    SetOption(SessionOption, Option<String>),
    /// A job is to be run, or a run cancelled.
    Call(JobCall),
    /// A table is to be declared.
    CreateTable(NewTable),
    /// A table's declaration is to be removed.
    DropTable { name: String, if_exists: bool },
}

/// A query as the planner takes it.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) statement: Extended,
    /// The names of its parameters as the plan has them, `$1` or `$day`, in their order.
    pub(crate) parameters: Vec<String>,
}

/// Returns what is to be done.
pub(super) fn action(statement: Extended, sql: &str) -> Result<Action> {
    let statement = match statement {
        Extended::Statement(statement) => *statement,
        Extended::CreateExternalTable(table) => return external_table::read(table).map(Action::CreateTable),
        Extended::Reset(ResetStatement::Variable(name)) => {
            return Ok(Action::SetOption(SessionOption::named(&dotted(&name))?, None));
        }
        explained => return query(explained, sql),
    };
    match statement {
        Statement::Set(Set::SingleAssignment { variable, values, .. }) => {
            let option = SessionOption::named(&dotted(&variable))?;
            Ok(Action::SetOption(option, set_value(option, &values)?))
        }
        Statement::Call(function) => job_call(&function).map(Action::Call),
        Statement::Drop { if_exists, names, .. } => {
            let [name] = &names[..] else {
                return Err(SqlError::invalid(format!(
                    "DROP TABLE names {} tables, expected one",
                    names.len()
                )));
            };
            Ok(Action::DropTable { name: public_name(name)?, if_exists })
        }
        Statement::ShowVariable { variable } => {
            let parts: Vec<&str> = variable.iter().map(|part| part.value.as_str()).collect();
            match &parts[..] {
                [all] if all.eq_ignore_ascii_case("all") => {
                    Ok(Action::ShowOptions(SessionOption::ALL.to_vec()))
                }
                parts => Ok(Action::ShowOptions(vec![SessionOption::named(&parts.join("."))?])),
            }
        }
        Statement::ShowTables { show_options, .. } => show_tables(&show_options, sql),
        Statement::ShowColumns { show_options, .. } => show_columns(show_options, sql),
        other => query(Extended::Statement(Box::new(other)), sql),
    }
}

fn query(mut statement: Extended, sql: &str) -> Result<Action> {
    let parameters = rewrite::rewrite(&mut statement, sql)?;
    Ok(Action::Query(Box::new(Query { statement, parameters })))
}

fn show_tables(options: &ShowStatementOptions, sql: &str) -> Result<Action> {
    if options.show_in.is_some() || options.filter_position.is_some() || options.limit.is_some() {
        let error = SqlError::invalid("SHOW TABLES with a filter is not supported");
        return Err(error.with_hint("SELECT * FROM information_schema.tables WHERE …"));
    }
    let select = "SELECT table_catalog, table_schema, table_name, table_type FROM information_schema.tables \
                  WHERE table_schema <> 'information_schema' ORDER BY table_schema, table_name";
    super::Parsed::read(select)?.action(sql)
}

fn show_columns(options: ShowStatementOptions, sql: &str) -> Result<Action> {
    let table = options.show_in.and_then(|of| of.parent_name);
    let Some(table_name) = table.filter(|_| options.filter_position.is_none()) else {
        let error = SqlError::invalid("SHOW COLUMNS is not complete, expected SHOW COLUMNS FROM a table");
        return Err(error.with_hint("SELECT * FROM information_schema.columns WHERE …"));
    };
    let described = Statement::ExplainTable {
        describe_alias: DescribeAlias::Describe,
        hive_format: None,
        has_table_keyword: false,
        table_name,
    };
    query(Extended::Statement(Box::new(described)), sql)
}

fn set_value(option: SessionOption, values: &[Expr]) -> Result<Option<String>> {
    let invalid = || {
        let name = option.name();
        SqlError::invalid(format!(
            "SET {name} is not given one constant, expected for example SET {name} = '…'"
        ))
    };
    let [value] = values else { return Err(invalid()) };
    let constant = |value: &Value| match value {
        Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => Ok(Some(text.clone())),
        Value::Number(number, _) => Ok(Some(number.to_string())),
        Value::Boolean(is_set) => Ok(Some(is_set.to_string())),
        Value::Null => Ok(None),
        _ => Err(invalid()),
    };
    match value {
        Expr::Value(value) => constant(&value.value),
        Expr::Identifier(word) if word.value.eq_ignore_ascii_case("default") => Ok(None),
        Expr::Identifier(word) => Ok(Some(word.value.clone())),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match expr.as_ref() {
            Expr::Value(value) => Ok(constant(&value.value)?.map(|number| format!("-{number}"))),
            _ => Err(invalid()),
        },
        _ => Err(invalid()),
    }
}

fn dotted(name: &ObjectName) -> String {
    parts(name).join(".")
}

fn parts(name: &ObjectName) -> Vec<String> {
    let part = |part: &datafusion::sql::sqlparser::ast::ObjectNamePart| match part.as_ident() {
        Some(word) => word.value.clone(),
        None => part.to_string(),
    };
    name.0.iter().map(part).collect()
}

/// Returns the name of a table that can be declared or removed.
///
/// # Errors
/// Where it stands in another schema than ours.
pub(super) fn public_name(name: &ObjectName) -> Result<String> {
    let parts = parts(name);
    match parts.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [table] | [PUBLIC, table] | [CATALOG, PUBLIC, table] => Ok(table.to_owned()),
        _ => Err(SqlError::invalid(format!(
            "`{}` names no table of schema `{PUBLIC}`, which alone holds declared tables",
            parts.join(".")
        ))),
    }
}
