//! The job that a file describes.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{
    Expr, Statement as SqlStatement, Value as SqlValue, visit_expressions,
};
use serde_json::Value;

use super::header::{Header, read, split};
use super::options::Prepared;
use super::parameter::Parameter;
use super::url;
use crate::digest::sha256_hex;
use crate::error::{JobError, Result};
use crate::input::within_limits;
use crate::normalize::values;
use crate::options::make_absolute;
use crate::query::{QueryRatesSpec, QueryTableSpec, TableConfig, rates};
use crate::registry::{Job, JobDescription, OptionDescription, OptionType, PreparedJob};

/// A file beyond this is no SELECT that somebody wrote.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A folder with more files is none of jobs.
const FILES_MAX: usize = 1000;

/// What errors call the SELECT.
pub(super) const SQL: &str = "the SELECT";

/// A job that is written in SQL.
#[derive(Clone, Debug)]
pub struct SqlFileJob {
    definition: Arc<Definition>,
}

/// What the file says.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) name: String,
    summary: String,
    pub(super) parameters: Vec<Parameter>,
    pub(super) tables: BTreeMap<String, QueryTableSpec>,
    pub(super) rates: QueryRatesSpec,
    /// The table's folder, where the file names one.
    pub(super) output_url: Option<String>,
    pub(super) partition_by: String,
    pub(super) sql: String,
    /// The digest of the whole file.
    pub(super) sha256: String,
}

impl SqlFileJob {
    /// Reads a job from its file's text. Relative places are seen from `folder`; `stem` is the job's name where
    /// the header gives none.
    ///
    /// # Errors
    /// With the line where there is one, where the text is no job.
    pub fn from_text(text: &str, stem: &str, folder: &Path) -> Result<Self> {
        let parts = split(text)?;
        let definition = Definition::of(read(&parts.header)?, parts.sql, text, stem, folder)?;
        definition.check()?;
        Ok(Self { definition: Arc::new(definition) })
    }

    #[cfg(test)]
    pub(super) fn definition(&self) -> Arc<Definition> {
        Arc::clone(&self.definition)
    }
}

impl Job for SqlFileJob {
    fn describe(&self) -> JobDescription {
        let definition = &self.definition;
        let mut options: Vec<OptionDescription> = definition.parameters.iter().map(describe).collect();
        let default = definition.output_url.clone().unwrap_or_else(|| "required".to_owned());
        options.push(OptionDescription {
            default: default.into(),
            ..OptionDescription::new(
                "output.url",
                OptionType::Place,
                "folder",
                "",
                "The table: a local path or `s3://`",
            )
        });
        options.push(OptionDescription::new(
            "run.batch",
            OptionType::Text,
            "name",
            "the job's name and the values of its parameters",
            "What this run replaces when it is run again",
        ));
        JobDescription::new(&definition.name, &definition.summary, options)
    }

    fn prepare(&self, options: Value) -> Result<Box<dyn PreparedJob>> {
        Ok(Box::new(Prepared::try_new(Arc::clone(&self.definition), options)?))
    }
}

fn describe(parameter: &Parameter) -> OptionDescription {
    let default = parameter.default.as_ref().map_or("required", |value| value.text());
    OptionDescription {
        key: parameter.name.clone().into(),
        option_type: parameter.option_type(),
        kind: parameter.kind().into(),
        default: default.to_owned().into(),
        doc: parameter.doc.clone().into(),
    }
}

/// Reads the jobs of a folder, in the order of their files' names. Files that begin with `.` or `_` are passed
/// over.
pub(crate) fn read_folder(folder: &Path) -> Result<Vec<(PathBuf, SqlFileJob)>> {
    let unreadable = |path: &Path, error| {
        JobError::usage(format!("the jobs at `{}` cannot be read", path.display())).caused_by(error)
    };
    let folder = std::path::absolute(folder).map_err(|error| unreadable(folder, error))?;
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).map_err(|error| unreadable(&folder, error))? {
        let path = entry.map_err(|error| unreadable(&folder, error))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(".sql") && !name.starts_with(['.', '_']) {
            files.push(path);
        }
    }
    if files.len() > FILES_MAX {
        return Err(JobError::usage(format!(
            "`{}` has {} files of jobs, expected at most {FILES_MAX}",
            folder.display(),
            files.len()
        )));
    }
    files.sort();
    let mut jobs = Vec::new();
    for path in files {
        let size = fs::metadata(&path).map_err(|error| unreadable(&path, error))?.len();
        if size > FILE_BYTES_MAX {
            return Err(
                JobError::usage(format!("{size} bytes, expected at most {FILE_BYTES_MAX}")).in_file(&path)
            );
        }
        let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let job = SqlFileJob::from_text(&text, stem, &folder).map_err(|error| error.in_file(&path))?;
        jobs.push((path, job));
    }
    Ok(jobs)
}

impl Definition {
    fn of(mut header: Header, sql: String, text: &str, stem: &str, folder: &Path) -> Result<Self> {
        for table in header.tables.values_mut() {
            make_absolute(&mut table.url, folder);
        }
        for url in [&mut header.rates.url, &mut header.output.url].into_iter().flatten() {
            make_absolute(url, folder);
        }
        let parameters = header.parameters.iter().map(|(name, spec)| Parameter::of(name, spec));
        let summary = header.summary.unwrap_or_else(|| "A job that is written in SQL".to_owned());
        Ok(Self {
            name: header.name.unwrap_or_else(|| stem.to_owned()),
            summary: summary.trim_end_matches('.').to_owned(),
            parameters: parameters.collect::<Result<_>>()?,
            tables: header.tables,
            rates: header.rates,
            output_url: header.output.url,
            partition_by: values::partition_column(Some(header.output.partition_by))?,
            sql,
            sha256: sha256_hex(text),
        })
    }

    /// Checks what can be checked without values.
    fn check(&self) -> Result<()> {
        let is_parameter = |name: &str| self.parameters.iter().any(|parameter| parameter.name == name);
        for (name, spec) in &self.tables {
            url::check(&format!("tables.{name}.url"), &spec.url, is_parameter)?;
            TableConfig::of(name, spec.clone())?;
        }
        if let Some(place) = &self.rates.url {
            url::check("rates.url", place, is_parameter)?;
        }
        rates(self.rates.clone())?;
        if let Some(place) = &self.output_url {
            url::check("output.url", place, is_parameter)?;
        }
        self.check_sql(is_parameter)
    }

    fn check_sql(&self, is_parameter: impl Fn(&str) -> bool) -> Result<()> {
        let refused = |error: datafusion::error::DataFusionError| {
            JobError::usage(format!("{SQL} cannot be read: {}", error.strip_backtrace()))
        };
        within_limits(&self.sql, SQL)?;
        let parsed =
            DFParserBuilder::new(self.sql.as_str()).build().and_then(|mut parser| parser.parse_statements());
        let statements = Vec::from(parsed.map_err(refused)?);
        let query = match statements.as_slice() {
            [Statement::Statement(statement)] if matches!(**statement, SqlStatement::Query(_)) => statement,
            [] => return Err(JobError::usage("there is no SELECT below the header")),
            [_] => return Err(JobError::usage("what is below the header is not a SELECT")),
            more => {
                return Err(JobError::usage(format!(
                    "there are {} statements below the header, expected one SELECT",
                    more.len()
                )));
            }
        };
        let unknown = visit_expressions(query.as_ref(), |expression| match expression {
            Expr::Value(value) => match &value.value {
                SqlValue::Placeholder(name) if !is_parameter(name.trim_start_matches('$')) => {
                    ControlFlow::Break(name.clone())
                }
                _ => ControlFlow::Continue(()),
            },
            _ => ControlFlow::Continue(()),
        });
        match unknown {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(name) => Err(JobError::usage(format!(
                "{SQL} has the parameter `{name}`, which the header does not declare under [parameters]"
            ))),
        }
    }
}
