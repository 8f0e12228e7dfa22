use std::sync::Arc;

use serde_json::json;

use super::*;

#[derive(Debug)]
struct Named(JobDescription);

impl Job for Named {
    fn describe(&self) -> JobDescription {
        self.0.clone()
    }

    fn prepare(&self, options: Value) -> Result<Box<dyn PreparedJob>> {
        match options.get("days").and_then(Value::as_u64) {
            Some(_) => Registry::built_in().prepare("compact", json!({"output": {"url": "t"}})),
            None => Err(JobError::usage("days is not given")),
        }
    }
}

fn named(name: &str, keys: &[&'static str]) -> Arc<dyn Job> {
    let option =
        |key: &&'static str| OptionDescription::new(key, OptionType::Integer, "days", "none", "Days");
    Arc::new(Named(JobDescription::new(name, "Counts days", keys.iter().map(option).collect())))
}

fn refused(name: &str, keys: &[&'static str]) -> String {
    Registry::built_in().with_job(named(name, keys)).unwrap_err().to_string()
}

#[test]
fn a_job_of_ones_own_is_found_and_reads_its_options() {
    let registry = Registry::built_in().with_job(named("count_days", &["days"])).unwrap();
    let names: Vec<String> = registry.jobs().into_iter().map(|job| job.name).collect();
    assert_eq!(names, ["normalize", "compact", "query", "restate", "count_days"]);
    assert_eq!(registry.options_from_toml("count_days", "days = 3").unwrap(), json!({"days": 3}));
    // The rest may come from elsewhere.
    assert_eq!(registry.options_from_toml("count_days", "weeks = 3").unwrap(), json!({"weeks": 3}));
    let error = registry.prepare("count_days", json!({"weeks": 3})).unwrap_err();
    assert_eq!(error.to_string(), "days is not given");
    let error = registry.options_from_toml("count_days", "days =").unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
    assert!(registry.prepare("count_days", json!({"days": 1})).is_ok());
}

#[test]
fn a_name_that_is_taken_or_no_name_is_refused() {
    assert_eq!(refused("query", &[]), "a job `query` exists already; give the new one another name");
    assert!(refused("cancel_run", &[]).contains("exists already"), "{}", refused("cancel_run", &[]));
    for name in ["", "Days", "2days", "days-2", "_days"] {
        assert!(refused(name, &[]).starts_with(&format!("`{name}` is no name of a job")), "{name}");
    }
}

#[test]
fn two_options_under_one_argument_are_refused() {
    let text = refused("count_days", &["run.batch", "batch"]);
    assert!(text.contains("is called `batch` in SQL, and that is something else"), "{text}");
    let text = refused("count_days", &["wait"]);
    assert!(text.starts_with("the option `wait` of job `count_days`"), "{text}");
    assert!(Registry::built_in().with_job(named("count_days", &["run.batch", "run.date"])).is_ok());
}

#[test]
fn the_arguments_of_the_built_in_jobs_are_told_apart() {
    for job in Registry::built_in().jobs() {
        check_arguments(&job).unwrap();
    }
}

#[test]
fn options_have_the_arguments_that_the_command_line_has_as_flags() {
    let normalize = Registry::built_in().job("normalize").unwrap();
    for (argument, key) in
        [("source", "source.url"), ("source_url", "source.url"), ("to", "target.currencies")]
    {
        assert_eq!(normalize.option_of_argument(argument).unwrap().key, key, "{argument}");
    }
    assert!(normalize.option_of_argument("sauce").is_none());
    let query = Registry::built_in().job("query").unwrap();
    let tables = query.option_of_argument("tables").unwrap();
    assert_eq!((tables.path(), tables.argument_type()), ("tables", OptionType::Map));
    assert_eq!(query.arguments()[..3], ["sql", "tables", "rates"]);
}

#[test]
fn a_description_tells_a_program_all_it_needs() {
    let job = Registry::built_in().job("compact").unwrap();
    let option = &serde_json::to_value(&job).unwrap()["options"][0];
    assert_eq!(option["type"], "place");
    assert_eq!(option["arguments"], json!(["output", "output_url"]));
    assert_eq!(option["key"], "output.url");
}
