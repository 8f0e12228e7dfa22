//! What our SQL has and the planner has not: tables of another time, and parameters that are written `?`.
//!
//! `table_at('orders', '2024-05-01T00:00:00Z')` becomes the table `"orders@2024-05-01T00:00:00Z"`, and
//! `table_quarantine('orders')` becomes `"orders@quarantine"`; where the query gives no alias, the table is
//! called as the function is. The catalog opens tables of such names.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as Extended;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Spanned, TableAlias, TableFactor, Value,
    ValueWithSpan, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::place::Place;
use crate::error::{Result, SqlError};

/// The table functions that name a table of another time or kind.
pub(crate) const TABLE_FUNCTIONS: [&str; 2] = ["table_at", "table_quarantine"];

/// Rewrites the statement and returns the names of its parameters, `$1` or `$day`, in their order.
///
/// # Errors
/// With the place, where a table function's arguments are no constants, or parameters are written in two ways.
pub(super) fn rewrite(statement: &mut Extended, sql: &str) -> Result<Vec<String>> {
    let mut tables = Tables { sql };
    walk(statement, &mut tables)?;
    let mut found = Parameters::default();
    walk(statement, &mut found)?;
    let names = found.names(sql)?;
    walk(statement, &mut Numbered { places: found.unnamed() })?;
    Ok(names)
}

fn walk<V: VisitorMut<Break = Box<SqlError>>>(statement: &mut Extended, visitor: &mut V) -> Result<()> {
    match statement {
        Extended::Statement(statement) => match statement.visit(visitor) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(*error),
        },
        Extended::Explain(explained) => walk(&mut explained.statement, visitor),
        _ => Ok(()),
    }
}

struct Tables<'a> {
    sql: &'a str,
}

impl VisitorMut for Tables<'_> {
    type Break = Box<SqlError>;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Self::Break> {
        let TableFactor::Table { name, alias, args, version, .. } = factor else {
            return ControlFlow::Continue(());
        };
        let place = Place::of(name.span().start);
        if version.is_some() {
            let error = SqlError::invalid("a table of another time is not read like this");
            let error = error.with_hint("table_at('NAME', '2024-05-01T00:00:00Z')");
            return ControlFlow::Break(Box::new(error.at(self.sql, place)));
        }
        let Some(function) = args.as_ref().and_then(|_| table_function(name)) else {
            return ControlFlow::Continue(());
        };
        let arguments = args.take().map(|args| args.args).unwrap_or_default();
        let table = match other_name(function, &arguments) {
            Ok(table) => table,
            Err(error) => return ControlFlow::Break(Box::new(error.at(self.sql, place))),
        };
        if alias.is_none() {
            let name = Ident::new(function);
            *alias = Some(TableAlias { explicit: true, name, columns: Vec::new(), at: None });
        }
        let span = name.span();
        *name = ObjectName::from(vec![Ident::with_quote_and_span('"', span, table)]);
        ControlFlow::Continue(())
    }
}

fn table_function(name: &ObjectName) -> Option<&'static str> {
    let [part] = &name.0[..] else { return None };
    let word = &part.as_ident()?.value;
    TABLE_FUNCTIONS.into_iter().find(|function| function.eq_ignore_ascii_case(word))
}

fn other_name(function: &str, arguments: &[FunctionArg]) -> Result<String> {
    let texts: Option<Vec<&str>> = arguments.iter().map(constant).collect();
    match (function, texts.as_deref()) {
        ("table_at", Some([table, instant])) => {
            let instant: jiff::Timestamp = instant.parse().map_err(|_| {
                SqlError::invalid(format!(
                    "table_at is given `{instant}`, expected an instant such as `2024-05-01T00:00:00Z`"
                ))
            })?;
            Ok(format!("{table}@{instant}"))
        }
        ("table_quarantine", Some([table])) => Ok(format!("{table}@quarantine")),
        ("table_at", _) => Err(SqlError::invalid(
            "table_at expects the name of a table and an instant, both as constants: table_at('orders', '2024-05-01T00:00:00Z')",
        )),
        _ => Err(SqlError::invalid(
            "table_quarantine expects the name of a table as a constant: table_quarantine('orders')",
        )),
    }
}

fn constant(argument: &FunctionArg) -> Option<&str> {
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) = argument else { return None };
    match expression {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => Some(text),
        Expr::TypedString(typed) => match &typed.value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// The parameters, with where each is written.
#[derive(Default)]
struct Parameters {
    found: Vec<(Location, String)>,
}

impl VisitorMut for Parameters {
    type Break = Box<SqlError>;

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<Self::Break> {
        if let Value::Placeholder(name) = &value.value {
            self.found.push((value.span.start, name.clone()));
        }
        ControlFlow::Continue(())
    }
}

impl Parameters {
    /// The parameters' names in their order; those that are written `?` by where they stand.
    fn names(&mut self, sql: &str) -> Result<Vec<String>> {
        self.found.sort_by_key(|(place, _)| (place.line, place.column));
        let styles: Vec<Style> = self.found.iter().map(|(_, name)| Style::of(name)).collect();
        if let Some(other) = styles.iter().position(|style| style.kind() != styles[0].kind()) {
            let place = Place::of(self.found[other].0);
            let error =
                SqlError::invalid("parameters are written in two ways, expected all as `?`, `$1` or `$name`");
            return Err(error.at(sql, place));
        }
        let numbered = |count: usize| (1..=count).map(|number| format!("${number}")).collect();
        match styles.first() {
            None => Ok(Vec::new()),
            Some(Style::Unnamed) => Ok(numbered(styles.len())),
            Some(Style::Numbered(_)) => {
                let last = styles.iter().map(|style| style.number()).max().unwrap_or_default();
                if last > PARAMETERS_MAX {
                    return Err(SqlError::invalid(format!("parameter ${last} is above ${PARAMETERS_MAX}")));
                }
                Ok(numbered(last))
            }
            Some(Style::Named) => {
                let mut names: Vec<String> = Vec::new();
                for (_, name) in &self.found {
                    if !names.contains(name) {
                        names.push(name.clone());
                    }
                }
                Ok(names)
            }
        }
    }

    /// Where the parameters stand that are written `?`.
    fn unnamed(&self) -> Vec<Location> {
        self.found.iter().filter(|(_, name)| name == "?").map(|(place, _)| *place).collect()
    }
}

/// More values than that are data.
const PARAMETERS_MAX: usize = 1000;

enum Style {
    Unnamed,
    Numbered(usize),
    Named,
}

impl Style {
    fn of(name: &str) -> Self {
        match name.strip_prefix('$').map(str::parse) {
            Some(Ok(number)) => Self::Numbered(number),
            Some(Err(_)) => Self::Named,
            None if name == "?" => Self::Unnamed,
            None => Self::Named,
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Unnamed => 0,
            Self::Numbered(_) => 1,
            Self::Named => 2,
        }
    }

    fn number(&self) -> usize {
        match self {
            Self::Numbered(number) => *number,
            _ => 0,
        }
    }
}

/// Gives parameters that are written `?` their numbers.
struct Numbered {
    places: Vec<Location>,
}

impl VisitorMut for Numbered {
    type Break = Box<SqlError>;

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<Self::Break> {
        if let Value::Placeholder(name) = &mut value.value
            && let Some(position) = self.places.iter().position(|place| *place == value.span.start)
        {
            *name = format!("${}", position + 1);
        }
        ControlFlow::Continue(())
    }
}
