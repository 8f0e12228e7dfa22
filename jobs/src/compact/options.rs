//! The options of `compact`.

use serde::{Deserialize, Serialize};

use crate::error::{JobError, Result};
use crate::registry::{JobDescription, OptionDescription, OptionType};

/// A merged file of this size costs a reader one request for much data, and a re-run little to replace.
const TARGET_BYTES: u64 = 128 << 20;

/// Below this a file costs a reader more to open than to read.
const TARGET_BYTES_MIN: u64 = 1 << 20;

/// A whole spec file. Unknown keys are refused.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CompactSpec {
    /// Which table, and what it should be like.
    pub output: CompactOutputSpec,
}

/// `[output]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CompactOutputSpec {
    /// The table's folder.
    pub url: Option<String>,
    /// The only partition to look at.
    pub partition: Option<String>,
    /// Small files that a batch may keep in a partition.
    pub files_max: Option<u64>,
    /// The size that files should have.
    pub target_bytes: Option<u64>,
}

impl CompactSpec {
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
pub struct CompactConfig {
    /// The table's folder.
    pub output_url: String,
    /// The only partition to look at.
    pub partition: Option<String>,
    /// Small files that a batch may keep in a partition.
    pub files_max: usize,
    /// The size that files should have; a smaller one is small.
    pub target_bytes: u64,
}

impl TryFrom<CompactSpec> for CompactConfig {
    type Error = JobError;

    fn try_from(spec: CompactSpec) -> Result<Self> {
        let output = spec.output;
        let output_url = output
            .url
            .filter(|url| !url.is_empty())
            .ok_or_else(|| JobError::usage("output.url is not given: name the table's folder (--output)"))?;
        let files_max = output.files_max.unwrap_or(1);
        let files_max = usize::try_from(files_max)
            .ok()
            .filter(|files| *files > 0)
            .ok_or_else(|| JobError::usage(format!("output.files_max is {files_max}, expected 1 or more")))?;
        let target_bytes = output.target_bytes.unwrap_or(TARGET_BYTES);
        if !(TARGET_BYTES_MIN..=i64::MAX.unsigned_abs()).contains(&target_bytes) {
            return Err(JobError::usage(format!(
                "output.target_bytes is {target_bytes}, expected {TARGET_BYTES_MIN} (1 MiB) or more"
            )));
        }
        if let Some(partition) = &output.partition
            && !partition.contains('=')
        {
            return Err(JobError::usage(format!(
                "output.partition is `{partition}`, expected one such as `dt=2024-05-01`"
            )));
        }
        Ok(Self { output_url, partition: output.partition, files_max, target_bytes })
    }
}

/// Returns the job's entry in the registry.
pub fn describe() -> JobDescription {
    JobDescription::new(
        "compact",
        "Merges a table's small files, partition by partition and batch by batch; no row changes",
        OPTIONS.to_vec(),
    )
}

const OPTIONS: &[OptionDescription] = &[
    OptionDescription::new(
        "output.url",
        OptionType::Place,
        "folder",
        "required",
        "The table: a local path or `s3://`",
    ),
    OptionDescription::new(
        "output.partition",
        OptionType::Text,
        "partition such as `dt=2024-05-01`",
        "all",
        "The only partition to look at",
    ),
    OptionDescription::new(
        "output.files_max",
        OptionType::Integer,
        "files, 1 or more",
        "1",
        "Small files that a batch may have in a partition before they are merged",
    ),
    OptionDescription::new(
        "output.target_bytes",
        OptionType::Integer,
        "bytes, 1 MiB or more",
        "134217728 (128 MiB)",
        "The size that files should have; only smaller ones are merged",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_is_described_and_every_description_is_a_key() {
        let spec = serde_json::to_value(CompactSpec::default()).unwrap();
        let keys: BTreeSet<String> =
            spec["output"].as_object().unwrap().keys().map(|key| format!("output.{key}")).collect();
        let described: BTreeSet<String> = OPTIONS.iter().map(|option| option.key.to_string()).collect();
        assert_eq!(keys, described);
    }

    #[test]
    fn options_out_of_range_are_refused() {
        let refused = |change: fn(&mut CompactOutputSpec)| {
            let mut spec = CompactSpec::default();
            spec.output.url = Some("out".to_owned());
            change(&mut spec.output);
            CompactConfig::try_from(spec).unwrap_err().to_string()
        };
        assert_eq!(
            refused(|output| output.url = None),
            "output.url is not given: name the table's folder (--output)"
        );
        assert_eq!(refused(|output| output.files_max = Some(0)), "output.files_max is 0, expected 1 or more");
        assert_eq!(
            refused(|output| output.target_bytes = Some(5)),
            "output.target_bytes is 5, expected 1048576 (1 MiB) or more"
        );
        assert_eq!(
            refused(|output| output.partition = Some("2024-05-01".to_owned())),
            "output.partition is `2024-05-01`, expected one such as `dt=2024-05-01`"
        );
    }
}
