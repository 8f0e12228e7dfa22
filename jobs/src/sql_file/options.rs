//! The options of a job that is written in SQL: its parameters, and where its rows go.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::definition::Definition;
use super::parameter::ParameterValue;
use super::run::run;
use super::url::{fill, is_plain_letter};
use crate::context::RunContext;
use crate::digest::sha256_hex;
use crate::error::{JobError, Result};
use crate::normalize::values;
use crate::query::{RatesConfig, TableConfig, rates};
use crate::registry::PreparedJob;

/// A longer name of a batch is a digest.
const BATCH_LENGTH_MAX: usize = 200;

/// Checked options.
#[derive(Clone, Debug)]
pub(super) struct SqlJobConfig {
    pub(super) definition: Arc<Definition>,
    pub(super) values: BTreeMap<String, ParameterValue>,
    pub(super) tables: BTreeMap<String, TableConfig>,
    pub(super) rates: Option<RatesConfig>,
    pub(super) output_url: String,
    pub(super) batch: String,
}

/// Checked options, beside those that were given.
#[derive(Debug)]
pub(super) struct Prepared {
    options: Value,
    config: SqlJobConfig,
}

impl Prepared {
    pub(super) fn try_new(definition: Arc<Definition>, options: Value) -> Result<Self> {
        let hint = format!("`cambist jobs {}` lists every option", definition.name);
        let config = SqlJobConfig::of(definition, &options);
        Ok(Self { config: config.map_err(|error| error.with_hint(hint))?, options })
    }

    #[cfg(test)]
    pub(super) fn config(&self) -> &SqlJobConfig {
        &self.config
    }
}

#[async_trait]
impl PreparedJob for Prepared {
    fn name(&self) -> &str {
        &self.config.definition.name
    }

    fn options(&self) -> &Value {
        &self.options
    }

    async fn run(&self, context: &RunContext) -> Result<Value> {
        let report = run(&self.config, context).await?;
        serde_json::to_value(report)
            .map_err(|error| JobError::data("the report is not JSON").caused_by(error))
    }
}

impl SqlJobConfig {
    fn of(definition: Arc<Definition>, options: &Value) -> Result<Self> {
        let Value::Object(options) = options else {
            return Err(JobError::usage("the options: invalid type, expected an object of options"));
        };
        refuse_unknown(&definition, options)?;
        let mut values = BTreeMap::new();
        for parameter in &definition.parameters {
            let value = match options.get(&parameter.name) {
                None | Some(Value::Null) => parameter.default.clone(),
                Some(given) => Some(parameter.value(given)?),
            };
            let value = value.ok_or_else(|| JobError::usage(format!("`{}` is not given", parameter.name)))?;
            values.insert(parameter.name.clone(), value);
        }
        let output_url = match member(options, "output", "url")? {
            Some(place) => place,
            None => match &definition.output_url {
                Some(place) => fill("output.url", place, &values)?,
                None => return Err(JobError::usage("output.url is not given: name the table's folder")),
            },
        };
        let batch = member(options, "run", "batch")?.unwrap_or_else(|| batch_of(&definition.name, &values));
        let mut tables = BTreeMap::new();
        for (name, spec) in &definition.tables {
            let mut spec = spec.clone();
            spec.url = fill(&format!("tables.{name}.url"), &spec.url, &values)?;
            let checked = TableConfig::of(name, spec)?;
            tables.insert(name.clone(), checked);
        }
        let mut rates_spec = definition.rates.clone();
        if let Some(place) = &mut rates_spec.url {
            *place = fill("rates.url", place, &values)?;
        }
        Ok(Self {
            rates: rates(rates_spec)?,
            batch: values::batch_name(Some(batch), None)?,
            tables,
            output_url,
            values,
            definition,
        })
    }
}

fn refuse_unknown(definition: &Definition, options: &Map<String, Value>) -> Result<()> {
    let expected = || {
        let names = definition.parameters.iter().map(|parameter| parameter.name.as_str());
        names.chain(["output.url", "run.batch"]).collect::<Vec<_>>().join(", ")
    };
    let unknown =
        |key: &str| JobError::usage(format!("option `{key}`: unknown, expected one of {}", expected()));
    for (key, value) in options {
        let allowed = match key.as_str() {
            "output" => "url",
            "run" => "batch",
            name if definition.parameters.iter().any(|parameter| parameter.name == name) => continue,
            other => return Err(unknown(other)),
        };
        let Value::Object(section) = value else {
            return Err(JobError::usage(format!("option `{key}` is {value}, expected a section")));
        };
        if let Some(other) = section.keys().find(|member| *member != allowed) {
            return Err(unknown(&format!("{key}.{other}")));
        }
    }
    Ok(())
}

/// Returns a text of a section, where it is given.
fn member(options: &Map<String, Value>, section: &str, key: &str) -> Result<Option<String>> {
    match options.get(section).and_then(|section| section.get(key)) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text.clone())),
        Some(other) => Err(JobError::usage(format!("option `{section}.{key}` is {other}, expected a text"))),
    }
}

/// Returns a name that is told by the parameters' values: other values never have the same.
pub(super) fn batch_of(job: &str, values: &BTreeMap<String, ParameterValue>) -> String {
    let mut batch = job.to_owned();
    for (name, value) in values {
        batch.push_str(&format!("/{name}={}", value.in_name()));
    }
    let is_plain = values
        .values()
        .all(|value| !value.in_name().is_empty() && value.in_name().chars().all(is_plain_letter));
    if is_plain && batch.len() <= BATCH_LENGTH_MAX {
        return batch;
    }
    let texts: BTreeMap<&String, &str> = values.iter().map(|(name, value)| (name, value.in_name())).collect();
    format!("{job}/{}", sha256_hex(json!(texts).to_string()))
}
