//! `cambist run`: any registered job by its name.

use std::process::ExitCode;

use cambist_jobs::error::{JobError, Result};
use cambist_jobs::registry::{JobDescription, OptionType, job, options_from_toml};
use serde_json::{Map, Value};

use crate::arguments::RunArguments;
use crate::job::{execute, print};

pub(super) async fn run(arguments: RunArguments) -> Result<ExitCode> {
    let mut options = match &arguments.spec {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                JobError::usage(format!("the spec `{}` cannot be read", path.display())).caused_by(error)
            })?;
            options_from_toml(&arguments.job, &text).map_err(|error| error.in_file(path))?
        }
        None => Value::Object(Map::new()),
    };
    for text in &arguments.options {
        set(&mut options, text, job(&arguments.job).as_ref())?;
    }
    let outcome = execute(&arguments.job, options, &arguments.place, arguments.json).await?;
    print(&outcome, arguments.json)
}

/// Sets one option from `key=value`; the dots of the key are the sections of a spec file.
fn set(options: &mut Value, text: &str, job: Option<&JobDescription>) -> Result<()> {
    let refused =
        || JobError::usage(format!("--set is `{text}`, expected KEY=VALUE such as `output.url=out`"));
    let (path, value) = text.split_once('=').ok_or_else(refused)?;
    let mut place = options;
    for key in path.split('.') {
        if key.trim().is_empty() {
            return Err(refused());
        }
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(members) = place else {
            return Err(JobError::usage(format!(
                "--set is `{text}`, and what lies above `{key}` is a value"
            )));
        };
        place = members.entry(key.trim()).or_insert(Value::Null);
    }
    *place = match serde_json::from_str(value) {
        // As a number it may lose digits.
        Ok(Value::Number(_)) if job.is_some_and(|job| is_decimal(job, path)) => {
            Value::String(value.trim().to_owned())
        }
        Ok(read) => read,
        Err(_) => Value::String(value.to_owned()),
    };
    Ok(())
}

/// Tells whether every digit of an option counts.
fn is_decimal(job: &JobDescription, path: &str) -> bool {
    let option = job.options.iter().find(|option| option.path() == path.trim());
    option.is_some_and(|option| option.option_type == OptionType::Decimal)
}

#[cfg(test)]
mod tests {
    use cambist_jobs::registry::OptionDescription;
    use serde_json::json;

    use super::*;

    fn check(options: Value, texts: &[&str], expected: Value) {
        let mut found = options;
        texts.iter().for_each(|text| set(&mut found, text, Some(&large_sales())).unwrap());
        assert_eq!(found, expected);
    }

    fn large_sales() -> JobDescription {
        let option = |key, option_type| OptionDescription::new(key, option_type, "", "", "");
        let options = vec![option("least", OptionType::Decimal), option("share", OptionType::Number)];
        JobDescription::new("large_sales", "", options)
    }

    #[test]
    fn a_decimal_keeps_every_digit() {
        check(
            json!({}),
            &["least=2000.000000000000000001", "share=0.50"],
            json!({"least": "2000.000000000000000001", "share": 0.5}),
        );
        check(json!({}), &["least=\"0.50\""], json!({"least": "0.50"}));
    }

    #[test]
    fn an_option_is_json_where_it_can_be_and_text_else() {
        check(
            json!({}),
            &["output.url=out", "target.currencies=[\"INR\"]", "run.parallelism=4", "run.date=2024-05-01"],
            json!({"output": {"url": "out"}, "target": {"currencies": ["INR"]},
                   "run": {"parallelism": 4, "date": "2024-05-01"}}),
        );
        // A name of digits is quoted, as in TOML.
        check(json!({}), &["run.batch=\"2024\""], json!({"run": {"batch": "2024"}}));
        check(
            json!({}),
            &["source.sql=SELECT a = 1 FROM source"],
            json!({"source": {"sql": "SELECT a = 1 FROM source"}}),
        );
    }

    #[test]
    fn it_overrides_the_spec_and_leaves_the_rest() {
        let spec = json!({"run": {"batch": "a", "parallelism": 1}});
        check(spec, &["run.batch=b"], json!({"run": {"batch": "b", "parallelism": 1}}));
    }

    #[test]
    fn what_is_no_option_is_refused() {
        for text in ["output.url", "=x", "a..b=1"] {
            assert!(
                set(&mut json!({}), text, None).unwrap_err().to_string().contains("expected KEY=VALUE"),
                "{text}"
            );
        }
        let error = set(&mut json!({"run": {"batch": "a"}}), "run.batch.name=b", None).unwrap_err();
        assert!(error.to_string().contains("above `name` is a value"), "{error}");
    }
}
