//! A job's options on their way between TOML, JSON and their types.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{JobError, Result};

/// The key under which every option that names a place lies.
pub(crate) const PLACE_KEY: &str = "url";

/// Reads the options of `job` from JSON.
///
/// # Errors
/// Where they are no `T`, with the option's key.
pub fn from_json<T: DeserializeOwned>(job: &str, options: &Value) -> Result<T> {
    // A list would be taken for the values of the options, in the order of their declaration.
    if !options.is_object() {
        return Err(refused(job, "the options: invalid type, expected an object of options".to_owned()));
    }
    serde_path_to_error::deserialize(options).map_err(|error| {
        let place = error.path().to_string();
        let place = if place == "." { "the options".to_owned() } else { format!("option `{place}`") };
        refused(job, format!("{place}: {}", error.inner()))
    })
}

/// Reads options from TOML, checks that they are a `T`, and returns them as JSON. A date or time that is
/// written without quotes is the text that it is written as.
///
/// # Errors
/// With the line, for text that is not TOML or no `T`.
pub fn from_toml<T: DeserializeOwned>(job: &str, text: &str) -> Result<Value> {
    let not_toml = |error: toml::de::Error| refused_toml(job, &error);
    let table: toml::Table = toml::from_str(text).map_err(not_toml)?;
    let options = json_of(toml::Value::Table(table));
    // The reader of TOML knows the line, but takes no unquoted date for a text.
    if serde_path_to_error::deserialize::<_, T>(&options).is_err() {
        toml::from_str::<T>(text).map_err(not_toml)?;
    }
    Ok(options)
}

/// Returns options as JSON, without those that are not given.
pub(crate) fn to_json(options: &impl Serialize) -> Result<Value> {
    let value = serde_json::to_value(options)
        .map_err(|error| JobError::usage("the options are not JSON").caused_by(error))?;
    Ok(given(value).unwrap_or_else(|| Value::Object(Map::new())))
}

/// Makes relative local paths absolute.
pub(crate) fn absolute_paths(options: &mut Value, base: &Path) {
    match options {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(place) if key == PLACE_KEY => make_absolute(place, base),
                    other => absolute_paths(other, base),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| absolute_paths(item, base)),
        _ => {}
    }
}

/// Makes a relative local path absolute, as seen from `base`.
pub(crate) fn make_absolute(place: &mut String, base: &Path) {
    let is_relative = !place.is_empty() && !place.contains("://") && Path::new(place).is_relative();
    if is_relative {
        *place = base.join(&place).to_string_lossy().into_owned();
    }
}

fn refused(job: &str, detail: String) -> JobError {
    JobError::usage(detail).with_hint(format!("`cambist jobs {job}` lists every option"))
}

fn refused_toml(job: &str, error: &toml::de::Error) -> JobError {
    refused(job, format!("the spec is not valid: {}", error.to_string().trim_end()))
}

/// Returns a value of TOML as JSON; a date or time is the text that it is written as.
pub(crate) fn json_of(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(is_set) => is_set.into(),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(items) => items.into_iter().map(json_of).collect(),
        toml::Value::Table(members) => {
            members.into_iter().map(|(key, value)| (key, json_of(value))).collect::<Map<_, _>>().into()
        }
    }
}

/// Leaves out nulls and what is empty: neither says anything.
fn given(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(members) => {
            let given: Map<_, _> =
                members.into_iter().filter_map(|(key, value)| Some((key, given(value)?))).collect();
            (!given.is_empty()).then_some(Value::Object(given))
        }
        Value::Array(items) if items.is_empty() => None,
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::normalize::NormalizeSpec;
    use crate::registry::prepare;

    fn refused(options: &Value) -> String {
        let error = prepare("normalize", options.clone()).unwrap_err();
        assert_eq!(error.kind, crate::error::ErrorKind::Usage);
        error.to_string()
    }

    #[test]
    fn an_unknown_option_is_refused_with_its_place_and_those_that_are_allowed() {
        let text = refused(&json!({"source": {"url": "x", "foo": 1}}));
        assert!(
            text.starts_with("option `source.foo`: unknown field `foo`, expected one of `url`"),
            "{text}"
        );
        let text = refused(&json!({"sauce": {}}));
        assert!(text.contains("unknown field `sauce`, expected one of `source`, `rates`"), "{text}");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_with_its_place() {
        let text = refused(&json!({"run": {"parallelism": "many"}}));
        assert!(text.starts_with("option `run.parallelism`: invalid type: string \"many\""), "{text}");
        let text = refused(&json!({"target": {"currencies": ["INR", 7]}}));
        assert!(text.starts_with("option `target.currencies[1]`: invalid type: integer `7`"), "{text}");
        assert!(refused(&json!(["x"])).starts_with("the options: invalid "), "{}", refused(&json!(["x"])));
    }

    #[test]
    fn an_unknown_job_is_refused_with_those_there_are() {
        let error = prepare("normalise", json!({})).unwrap_err();
        assert!(error.to_string().starts_with("no job `normalise`, expected one of normalize"), "{error}");
    }

    #[test]
    fn toml_becomes_the_same_options() {
        let text = "[source]\nurl = \"a.csv\"\n[run]\ndate = 2024-05-01\n[target]\ncurrencies = [\"INR\"]\n";
        let options = from_toml::<NormalizeSpec>("normalize", text).unwrap();
        let expected = json!({
            "source": {"url": "a.csv"}, "run": {"date": "2024-05-01"}, "target": {"currencies": ["INR"]},
        });
        assert_eq!(options, expected);
        let spec: NormalizeSpec = from_json("normalize", &options).unwrap();
        assert_eq!(to_json(&spec).unwrap(), expected);
        let error = from_toml::<NormalizeSpec>("normalize", "[source]\nfoo = 1\n").unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
    }

    #[test]
    fn only_relative_local_places_change() {
        let mut options = json!({
            "source": {"url": "raw/*.csv", "amount": "a/b", "tables": {"m": {"url": "s3://b/m.csv"}}},
            "rates": {"url": "/rates"}, "output": {"url": "file:///out"},
        });
        absolute_paths(&mut options, Path::new("/home/me"));
        assert_eq!(options["source"]["url"], "/home/me/raw/*.csv");
        assert_eq!(options["source"]["amount"], "a/b");
        assert_eq!(options["source"]["tables"]["m"]["url"], "s3://b/m.csv");
        assert_eq!(options["rates"]["url"], "/rates");
        assert_eq!(options["output"]["url"], "file:///out");
    }
}
