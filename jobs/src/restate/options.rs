//! The options of `restate`.

use std::collections::BTreeSet;

use cambist_udfs::rate::InstantMicros;
use serde::{Deserialize, Serialize};

use super::materiality::Materiality;
use crate::error::{JobError, Result};
use crate::normalize::values::{instant, required};
use crate::registry::{JobDescription, OptionDescription, OptionType};

/// A whole spec file. Unknown keys are refused.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RestateSpec {
    /// Amounts such as `INR=1000` and shares such as `0.01%`.
    pub materiality: Vec<String>,
    /// Which table.
    pub output: RestateOutputSpec,
    /// From which knowledge to which.
    pub known: KnownSpec,
    /// Which batches, and whether in earnest.
    pub run: RestateRunSpec,
}

/// `[output]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RestateOutputSpec {
    /// The table's folder.
    pub url: Option<String>,
}

/// `[known]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct KnownSpec {
    /// The instant as of which the table's rates are known.
    pub from: Option<String>,
    /// The instant as of which they shall be.
    pub to: Option<String>,
}

/// `[run]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RestateRunSpec {
    /// The only batches to look at.
    pub batches: Vec<String>,
    /// Whether nothing is committed.
    pub dry_run: Option<bool>,
}

impl RestateSpec {
    /// Returns the options that are given, as JSON; [`crate::registry::prepare`] reads them again.
    ///
    /// # Errors
    /// Where a number has no JSON form.
    pub fn to_options(&self) -> Result<serde_json::Value> {
        crate::options::to_json(self)
    }
}

/// Checked options.
#[derive(Clone, Debug)]
pub struct RestateConfig {
    /// The table's folder.
    pub output_url: String,
    /// The instant as of which the table's rates are known; each batch's own where none.
    pub known_from: Option<InstantMicros>,
    /// The instant as of which they shall be; the run's start where none.
    pub known_to: Option<InstantMicros>,
    /// The only batches to look at; all where none are named.
    pub batches: BTreeSet<String>,
    /// Whether nothing is committed.
    pub dry_run: bool,
    /// From which change on the restatement is material.
    pub materiality: Materiality,
}

impl TryFrom<RestateSpec> for RestateConfig {
    type Error = JobError;

    fn try_from(spec: RestateSpec) -> Result<Self> {
        let read = |key, text: Option<String>| text.map(|text| instant(key, &text)).transpose();
        let known_from = read("known.from", spec.known.from)?;
        let known_to = read("known.to", spec.known.to)?;
        if let (Some(from), Some(to)) = (known_from, known_to)
            && from > to
        {
            return Err(JobError::usage(format!(
                "known.from is {from} and known.to {to}, expected the later one last"
            )));
        }
        Ok(Self {
            output_url: required("output.url", "--output", spec.output.url)?,
            known_from,
            known_to,
            batches: spec.run.batches.into_iter().collect(),
            dry_run: spec.run.dry_run.unwrap_or(false),
            materiality: Materiality::parse(&spec.materiality)?,
        })
    }
}

/// Returns the job's entry in the registry.
pub fn describe() -> JobDescription {
    JobDescription::new(
        "restate",
        "Converts again what corrected rates touch in a table, partition by partition, and tells what changed",
        OPTIONS.to_vec(),
    )
}

const OPTIONS: &[OptionDescription] = &[
    OptionDescription::new(
        "materiality",
        OptionType::List,
        "list of CODE=AMOUNT and PERCENT%",
        "none",
        "The restatement is material where a target's total, or its total of one day, changes by more: an amount of that target such as `INR=1000`, or a share of what the batches that were looked at had as a total, such as `0.01%`; it changes nothing but the report",
    ),
    OptionDescription::new(
        "output.url",
        OptionType::Place,
        "folder",
        "required",
        "The table: a local path or `s3://`",
    ),
    OptionDescription::new(
        "known.from",
        OptionType::Instant,
        "ISO 8601 instant",
        "what each batch recorded",
        "The table's rates are known as of this instant; a batch whose rates are known as of an earlier one, and differ, is refused; one of a later instant is compared from its own",
    ),
    OptionDescription::new(
        "known.to",
        OptionType::Instant,
        "ISO 8601 instant",
        "the run's start",
        "The rates to restate to are known as of this instant; a batch that knows more already is left alone",
    ),
    OptionDescription::new(
        "run.batches",
        OptionType::List,
        "list of names",
        "all",
        "The only batches to look at",
    ),
    OptionDescription::new(
        "run.dry_run",
        OptionType::Boolean,
        "boolean",
        "false",
        "Reads, converts and reports as in earnest, and commits nothing",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_is_described_and_every_description_is_a_key() {
        let spec = serde_json::to_value(RestateSpec::default()).unwrap();
        let mut keys = BTreeSet::new();
        for (section, options) in spec.as_object().unwrap() {
            match options.as_object() {
                Some(options) => keys.extend(options.keys().map(|key| format!("{section}.{key}"))),
                None => drop(keys.insert(section.clone())),
            }
        }
        let described: BTreeSet<String> = OPTIONS.iter().map(|option| option.key.to_string()).collect();
        assert_eq!(keys, described);
    }

    #[test]
    fn options_that_make_no_sense_are_refused() {
        let refused = |change: fn(&mut RestateSpec)| {
            let mut spec = RestateSpec::default();
            spec.output.url = Some("out".to_owned());
            change(&mut spec);
            RestateConfig::try_from(spec).unwrap_err().to_string()
        };
        assert_eq!(
            refused(|spec| spec.output.url = None),
            "output.url is missing: give it in the spec or with --output"
        );
        assert_eq!(
            refused(|spec| spec.known.to = Some("yesterday".to_owned())),
            "known.to is `yesterday`, expected an instant such as `2024-05-01T06:00:00Z`"
        );
        assert_eq!(
            refused(|spec| {
                spec.known.from = Some("2024-05-02T00:00:00Z".to_owned());
                spec.known.to = Some("2024-05-01T00:00:00Z".to_owned());
            }),
            "known.from is 2024-05-02T00:00:00Z and known.to 2024-05-01T00:00:00Z, expected the later one last"
        );
    }
}
