//! The short names that arguments of a `CALL` have, as the flags of the command line are called.

/// Where the value of an argument goes, and its short name. Within a job no name stands for two options.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("source.url", "source"),
    ("source.format", "format"),
    ("source.encoding", "encoding"),
    ("source.delimiter", "delimiter"),
    ("source.types", "types"),
    ("source.sql", "sql"),
    ("source.amount", "amount"),
    ("source.currency", "currency"),
    ("source.event_time", "event_time"),
    ("source.time_zone", "time_zone"),
    ("source.time_format", "time_format"),
    ("source.max_record_bytes", "max_record_bytes"),
    ("query.sql", "sql"),
    ("rates.url", "rates"),
    ("rates.rate_zone", "rate_zone"),
    ("rates.max_age_days", "max_age_days"),
    ("rates.known_as_of", "known_as_of"),
    ("target.currencies", "to"),
    ("target.scales", "scale"),
    ("target.rounding", "rounding"),
    ("output.url", "output"),
    ("output.partition_by", "partition_by"),
    ("output.partition", "partition"),
    ("output.lineage", "lineage"),
    ("output.files_per_partition", "files_per_partition"),
    ("output.files_max", "files_max"),
    ("output.target_bytes", "target_bytes"),
    ("output.max_bytes", "max_bytes"),
    ("quality.max_quarantine_ratio", "max_quarantine_ratio"),
    ("quality.allow_fan_out", "allow_fan_out"),
    ("quality.allow_damaged", "allow_damaged"),
    ("run.batch", "batch"),
    ("run.batches", "batches"),
    ("run.date", "date"),
    ("run.dry_run", "dry_run"),
    ("run.parallelism", "parallelism"),
    ("run.task_bytes", "task_bytes"),
    ("run.allow_broken", "allow_broken"),
];

/// Returns the short name of what lies at `path`.
pub(super) fn short_name(path: &str) -> Option<&'static str> {
    SHORT_NAMES.iter().find(|(of, _)| *of == path).map(|(_, name)| *name)
}
