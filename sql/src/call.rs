//! `CALL JOB(…)`: which job is to be run, with which options.

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value as Literal,
};
use serde_json::{Map, Value};

use crate::error::{Result, SqlError};

/// What a `CALL` asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum JobCall {
    /// A job is to be run.
    Run {
        /// Its name.
        job: String,
        /// Its options in the form of its spec file.
        options: Map<String, Value>,
        /// Whether to wait for its end.
        wait: bool,
    },
    /// A run is to be cancelled.
    CancelRun {
        /// Its id.
        run_id: String,
    },
}

impl JobCall {
    /// Returns the places that the options name: every `url`, however deep.
    pub(crate) fn places(&self) -> Vec<String> {
        let mut places = Vec::new();
        if let Self::Run { options, .. } = self {
            options.iter().for_each(|(key, value)| add_places(key, value, &mut places));
        }
        places
    }
}

fn add_places(key: &str, value: &Value, places: &mut Vec<String>) {
    match value {
        Value::String(text) if key == "url" => places.push(text.clone()),
        Value::Object(members) => members.iter().for_each(|(key, value)| add_places(key, value, places)),
        Value::Array(values) => values.iter().for_each(|value| add_places(key, value, places)),
        _ => {}
    }
}

/// Reads `JOB(options => '{…}', wait => true)` and `cancel_run('ID')`.
pub(crate) fn job_call(function: &Function) -> Result<JobCall> {
    let job = function.name.to_string();
    let arguments = match &function.args {
        FunctionArguments::None => &[][..],
        FunctionArguments::List(list) => &list.args[..],
        FunctionArguments::Subquery(_) => return Err(not_constant(&job)),
    };
    if job == "cancel_run" {
        return match arguments {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(value))] => match literal(value) {
                Some(Literal::SingleQuotedString(run_id)) => {
                    Ok(JobCall::CancelRun { run_id: run_id.clone() })
                }
                _ => Err(not_constant(&job)),
            },
            _ => Err(SqlError::invalid("cancel_run expects one argument, the id of a run: cancel_run('…')")),
        };
    }
    let (mut options, mut wait) = (Map::new(), true);
    for argument in arguments {
        let (name, value) = named(argument).ok_or_else(|| not_constant(&job))?;
        match (name, value) {
            ("options", Literal::SingleQuotedString(text)) => {
                options = serde_json::from_str(text).map_err(|error| {
                    SqlError::invalid(format!("the argument `options` is no JSON object: {error}"))
                })?;
            }
            ("wait", Literal::Boolean(is_set)) => wait = *is_set,
            ("options" | "wait", other) => {
                let error = format!("the argument `{name}` is {other}, expected a JSON object or a boolean");
                return Err(SqlError::invalid(error));
            }
            _ => {
                let error = format!("{job} has no argument `{name}`, expected `options` or `wait`");
                return Err(SqlError::invalid(error));
            }
        }
    }
    Ok(JobCall::Run { job, options, wait })
}

fn named(argument: &FunctionArg) -> Option<(&str, &Literal)> {
    match argument {
        FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
            Some((&name.value, literal(value)?))
        }
        FunctionArg::ExprNamed {
            name: Expr::Identifier(name), arg: FunctionArgExpr::Expr(value), ..
        } => Some((&name.value, literal(value)?)),
        _ => None,
    }
}

fn literal(value: &Expr) -> Option<&Literal> {
    match value {
        Expr::Value(value) => Some(&value.value),
        _ => None,
    }
}

fn not_constant(job: &str) -> SqlError {
    SqlError::invalid(format!(
        "{job} is called with something else than named constants, expected NAME => VALUE"
    ))
}
