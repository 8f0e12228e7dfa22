//! `CALL`: a job with its options as named arguments, `CALL cancel_run('…')`.
//!
//! Arguments are constants, checked by the type that the registry tells of each option. What an option allows
//! beyond its type is checked by the job, when the run is submitted.

mod literal;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;

use cambist_jobs::registry::{self, JobDescription, OptionDescription, OptionType};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName,
};
use serde_json::{Map, Value};

use self::literal::Literal;
use self::value::option_value;
use crate::error::{Result, SqlError, SqlErrorKind};
use crate::near::did_you_mean;
use crate::statement::redact::is_secret_name;

/// Cancels a run.
const CANCEL_RUN: &str = "cancel_run";

/// The argument of [`CANCEL_RUN`].
const RUN_ID: &str = "run_id";

/// Whether the statement ends with the run.
const WAIT: &str = "wait";

/// The key under which every option that names a place lies.
const PLACE_KEY: &str = "url";

/// What a `CALL` asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum JobCall {
    /// Runs a job.
    Run {
        /// The job's name.
        job: String,
        /// Its options, in the form of its spec file.
        options: Map<String, Value>,
        /// Whether the answer is the run's report, or at once its id.
        wait: bool,
    },
    /// Cancels a run.
    CancelRun {
        /// The run.
        run_id: String,
    },
}

/// Reads the call of a job or of `cancel_run`.
///
/// # Errors
/// Where there is no such job, an argument is not one of it, is given twice or has no value of its type.
pub(crate) fn job_call(function: &Function) -> Result<JobCall> {
    let name = name_of(&function.name)?;
    refuse_clauses(&name, function)?;
    let arguments = arguments_of(&name, function)?;
    if name == CANCEL_RUN {
        return cancel_run(arguments);
    }
    let job = registry::job(&name).ok_or_else(|| unknown_job(&name))?;
    run(&job, arguments)
}

impl JobCall {
    /// Returns the places that its options name: those of options that take a place, and whatever is called
    /// `url` within them.
    pub(crate) fn places(&self) -> Vec<String> {
        let Self::Run { job, options, .. } = self else { return Vec::new() };
        let mut places = Vec::new();
        places_within(&Value::Object(options.clone()), &mut places);
        let described = registry::job(job).map(|job| job.options).unwrap_or_default();
        for option in described.iter().filter(|option| {
            matches!(option.option_type, OptionType::Place | OptionType::Places)
                && option.path() == option.key
                && option.key != PLACE_KEY
                && !option.key.ends_with(&format!(".{PLACE_KEY}"))
        }) {
            let pointer = format!("/{}", option.key.replace('.', "/"));
            match Value::Object(options.clone()).pointer(&pointer) {
                Some(Value::String(place)) => places.push(place.clone()),
                Some(Value::Array(listed)) => {
                    places.extend(listed.iter().filter_map(Value::as_str).map(str::to_owned));
                }
                _ => {}
            }
        }
        places
    }
}

fn places_within(options: &Value, places: &mut Vec<String>) {
    match options {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(place) if key == PLACE_KEY => places.push(place.clone()),
                    other => places_within(other, places),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| places_within(item, places)),
        _ => {}
    }
}

/// An argument as it is written; without a name it is told by its place.
struct Argument<'a> {
    name: Option<String>,
    value: &'a Expr,
}

fn run(job: &JobDescription, arguments: Vec<Argument<'_>>) -> Result<JobCall> {
    let mut options = Map::new();
    let mut wait = None;
    let mut given: BTreeMap<&str, String> = BTreeMap::new();
    for argument in arguments {
        let Some(name) = argument.name else { return Err(positional(job, argument.value)) };
        let literal = Literal::of(argument.value, &place(job, &name))?;
        if name == WAIT {
            let Literal::Boolean(is_set) = literal else {
                return Err(mistyped(job, &name, &literal, "true or false"));
            };
            if wait.replace(is_set).is_some() {
                return Err(given_twice(job, &name, &name));
            }
            continue;
        }
        let option = job.option_of_argument(&name).ok_or_else(|| unknown_argument(job, &name))?;
        if let Some(before) = given.insert(option.path(), name.clone()) {
            return Err(given_twice(job, &before, &name));
        }
        let value = option_value(option.argument_type(), &literal)
            .map_err(|expected| mistyped(job, &name, &literal, expected))?;
        set(&mut options, option, value);
    }
    Ok(JobCall::Run { job: job.name.clone(), options, wait: wait.unwrap_or(true) })
}

/// Puts a value where the spec file has it.
fn set(options: &mut Map<String, Value>, option: &OptionDescription, value: Value) {
    let mut sections: Vec<&str> = option.path().split('.').collect();
    let last = sections.pop().unwrap_or_default();
    let mut place = options;
    for section in sections {
        let inner = place.entry(section).or_insert_with(|| Value::Object(Map::new()));
        // A section is an object and no option of its own.
        let Value::Object(members) = inner else { return };
        place = members;
    }
    place.insert(last.to_owned(), value);
}

fn cancel_run(arguments: Vec<Argument<'_>>) -> Result<JobCall> {
    let usage = || SqlError::invalid("CALL cancel_run takes one run's id, such as CALL cancel_run('…')");
    let [argument] = arguments.as_slice() else { return Err(usage()) };
    if argument.name.as_ref().is_some_and(|name| name != RUN_ID) {
        return Err(usage());
    }
    match Literal::of(argument.value, "the argument of CALL cancel_run")? {
        Literal::Text(run_id) => Ok(JobCall::CancelRun { run_id }),
        _ => Err(usage()),
    }
}

fn name_of(name: &ObjectName) -> Result<String> {
    match name.0.as_slice() {
        [part] => part.as_ident().map(as_written).ok_or_else(|| unknown_job(&name.to_string())),
        _ => Err(unknown_job(&name.to_string())),
    }
}

/// Names without quotes are lower case.
fn as_written(name: &Ident) -> String {
    match name.quote_style {
        None => name.value.to_ascii_lowercase(),
        Some(_) => name.value.clone(),
    }
}

/// What other functions may have, and a call of a job has not.
fn refuse_clauses(name: &str, function: &Function) -> Result<()> {
    let has_clauses = function.over.is_some()
        || function.filter.is_some()
        || function.null_treatment.is_some()
        || !function.within_group.is_empty()
        || !matches!(function.parameters, FunctionArguments::None);
    let has_list_clauses = match &function.args {
        FunctionArguments::List(list) => list.duplicate_treatment.is_some() || !list.clauses.is_empty(),
        FunctionArguments::Subquery(_) => true,
        FunctionArguments::None => false,
    };
    if has_clauses || has_list_clauses {
        return Err(SqlError::invalid(format!(
            "CALL {name} has clauses that a call does not have, expected names with values: `name => value`"
        )));
    }
    Ok(())
}

fn arguments_of<'a>(name: &str, function: &'a Function) -> Result<Vec<Argument<'a>>> {
    let FunctionArguments::List(list) = &function.args else { return Ok(Vec::new()) };
    let argument = |argument: &'a FunctionArg| {
        let (named, value) = match argument {
            FunctionArg::Named { name, arg, .. } => (Some(as_written(name)), arg),
            FunctionArg::ExprNamed { name: Expr::Identifier(name), arg, .. } => (Some(as_written(name)), arg),
            FunctionArg::Unnamed(value) => (None, value),
            FunctionArg::ExprNamed { .. } => return Err(no_value(name, argument)),
        };
        let FunctionArgExpr::Expr(value) = value else { return Err(no_value(name, argument)) };
        Ok(Argument { name: named, value })
    };
    list.args.iter().map(argument).collect()
}

fn no_value(name: &str, argument: &FunctionArg) -> SqlError {
    SqlError::invalid(format!("CALL {name} has the argument `{argument}`, expected `name => value`"))
}

fn place(job: &JobDescription, argument: &str) -> String {
    format!("argument `{argument}` of `{}`", job.name)
}

fn mistyped(job: &JobDescription, argument: &str, found: &Literal, expected: &str) -> SqlError {
    let found = if is_secret_name(argument) { "of another type".to_owned() } else { found.to_string() };
    SqlError::invalid(format!("{} is {found}, expected {expected}", place(job, argument)))
}

fn given_twice(job: &JobDescription, before: &str, name: &str) -> SqlError {
    SqlError::invalid(if before == name {
        format!("{} is given twice", place(job, name))
    } else {
        format!("the arguments `{before}` and `{name}` of `{}` are the same one, given twice", job.name)
    })
}

fn positional(job: &JobDescription, value: &Expr) -> SqlError {
    SqlError::invalid(format!(
        "CALL {} has the value {value} without a name, expected `name => value`; the names are {}",
        job.name,
        argument_list(job)
    ))
}

fn unknown_argument(job: &JobDescription, name: &str) -> SqlError {
    let mut candidates = job.arguments();
    candidates.extend(job.options.iter().map(OptionDescription::argument));
    candidates.push(WAIT.to_owned());
    let near = did_you_mean(name, &candidates);
    SqlError::invalid(format!(
        "`{}` has no argument `{name}`{near}; expected one of {}",
        job.name,
        argument_list(job)
    ))
}

fn argument_list(job: &JobDescription) -> String {
    let mut names = job.arguments();
    names.push(WAIT.to_owned());
    names.join(", ")
}

fn unknown_job(name: &str) -> SqlError {
    let mut names: Vec<String> = registry::jobs().into_iter().map(|job| job.name).collect();
    names.push(CANCEL_RUN.to_owned());
    let near = did_you_mean(name, &names);
    SqlError::new(
        SqlErrorKind::NotFound,
        format!("no job `{name}`{near}; expected one of {}", names.join(", ")),
    )
}
