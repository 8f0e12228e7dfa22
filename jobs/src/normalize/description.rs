//! What `normalize` says of its options.

use crate::registry::{JobDescription, OptionDescription, OptionType};

/// Describes the job and its options, for `cambist jobs`, the reference page and every other caller.
pub fn describe() -> JobDescription {
    JobDescription::new(
        "normalize",
        "Converts raw transactions to the target currencies, exactly, into an atomic Parquet table",
        OPTIONS.to_vec(),
    )
}

const OPTIONS: &[OptionDescription] = &[
    OptionDescription::new(
        "source.url",
        OptionType::Place,
        "file, folder or glob",
        "required",
        "The transactions: a local path or `s3://`; `{date}`, `{yyyy}`, `{mm}`, `{dd}` stand for the date of `run.date`; names that begin with `_` or `.` are passed over",
    ),
    OptionDescription::new(
        "source.format",
        OptionType::Text,
        "csv | ndjson | json | parquet",
        "by file name",
        "`json` is objects one after another, with or without line ends; gzip and zstd are told by their first bytes",
    ),
    OptionDescription::new(
        "source.encoding",
        OptionType::Text,
        "utf-8 | latin1",
        "utf-8",
        "The encoding of text files",
    ),
    OptionDescription::new(
        "source.delimiter",
        OptionType::Text,
        "one byte",
        ",",
        "The CSV field delimiter; `\\t` for a tab",
    ),
    OptionDescription::new("source.quote", OptionType::Text, "one byte", "\"", "The CSV quote"),
    OptionDescription::new(
        "source.header",
        OptionType::Boolean,
        "boolean",
        "true",
        "Whether CSV files begin with a line of names; without one the columns are `column_1`, `column_2`, …",
    ),
    OptionDescription::new(
        "source.quoted_newlines",
        OptionType::Boolean,
        "boolean",
        "true",
        "Whether a quoted CSV field may hold line ends; `false` lets one large file be read by several tasks",
    ),
    OptionDescription::new(
        "source.time_zone",
        OptionType::Text,
        "IANA zone",
        "none",
        "The zone of event times that name none; required for such times",
    ),
    OptionDescription::new(
        "source.time_format",
        OptionType::Text,
        "strptime form",
        "ISO 8601",
        "The form of text event times, such as `%m/%d/%Y %H:%M`; a form without a time of day is a date already and is not moved",
    ),
    OptionDescription::new(
        "source.sql",
        OptionType::Text,
        "SELECT",
        "SELECT * FROM source",
        "Maps the columns of `source`, row by row; yields `amount`, `currency` and `event_time`",
    ),
    OptionDescription::new(
        "source.amount",
        OptionType::Text,
        "column, path or expression",
        "amount",
        "The amount: text, integer or decimal of at most 18 decimals, never floating point",
    ),
    OptionDescription::new(
        "source.currency",
        OptionType::Text,
        "column, path or expression",
        "currency",
        "The currency code",
    ),
    OptionDescription::new(
        "source.event_time",
        OptionType::Text,
        "column, path or expression",
        "event_time",
        "When the transaction happened: text, date or timestamp",
    ),
    OptionDescription::new(
        "source.types",
        OptionType::Map,
        "table of column = type",
        "CSV: text; JSON: what all values are; Parquet: its own",
        "`text`, `int64`, `decimal(p,s)`, `bool`, `date`, `timestamp` (local), `timestamptz` (an instant), `float64`",
    ),
    OptionDescription::new(
        "source.paths",
        OptionType::List,
        "list of paths",
        "none",
        "Nested JSON fields, such as `amount.value`, that become columns of that name (quote it in the SQL)",
    ),
    OptionDescription::new(
        "source.tables.NAME",
        OptionType::Map,
        "url, format, encoding, delimiter, types",
        "none",
        "A small table that the SQL may join; read whole into memory, at most 64 MiB",
    ),
    OptionDescription::new(
        "source.max_record_bytes",
        OptionType::Integer,
        "bytes",
        "1048576",
        "A record above this size is quarantined by its beginning",
    ),
    OptionDescription::new(
        "rates.url",
        OptionType::Place,
        "file, folder or glob",
        "required",
        "Rate snapshots of any known provider, told by their content",
    ),
    OptionDescription::new(
        "rates.mode",
        OptionType::Text,
        "date | instant",
        "date",
        "`date`: newest snapshot dated on or before the event's date; `instant`: newest that held at the event's instant",
    ),
    OptionDescription::new(
        "rates.rate_zone",
        OptionType::Text,
        "IANA zone",
        "UTC",
        "The zone in which an event's date is taken",
    ),
    OptionDescription::new(
        "rates.max_age_days",
        OptionType::Integer,
        "days, 0 to 36500",
        "7 (date), none (instant)",
        "An older snapshot is `RATE_STALE`",
    ),
    OptionDescription::new(
        "rates.known_as_of",
        OptionType::Instant,
        "ISO 8601 instant",
        "the run's start",
        "Only snapshots known by then count; of several versions of one day the latest known",
    ),
    OptionDescription::new(
        "target.currencies",
        OptionType::List,
        "list of codes",
        "required",
        "What to convert into; a row is quarantined where any of them fails",
    ),
    OptionDescription::new(
        "target.rounding",
        OptionType::Text,
        "half_even | half_up",
        "half_even",
        "How the one rounding is done",
    ),
    OptionDescription::new(
        "target.scales",
        OptionType::Map,
        "table of code = decimals, 0 to 18",
        "ISO 4217 minor units",
        "Required for a target without minor units, such as XAU or BTC",
    ),
    OptionDescription::new(
        "output.url",
        OptionType::Place,
        "folder",
        "required",
        "The table: a local path or `s3://`; its quarantine lies beside it under `<output>_quarantine`",
    ),
    OptionDescription::new(
        "output.partition_by",
        OptionType::Text,
        "column name",
        "dt",
        "The name of the partition column: the event date in the rate zone",
    ),
    OptionDescription::new(
        "output.lineage",
        OptionType::Boolean,
        "boolean",
        "false",
        "Adds `source_file` and `source_offset` (byte offset in the decompressed file, row number for Parquet)",
    ),
    OptionDescription::new(
        "output.retain_superseded_seconds",
        OptionType::Integer,
        "seconds",
        "0",
        "How long superseded files stay where running queries read them",
    ),
    OptionDescription::new(
        "output.files_per_partition",
        OptionType::Integer,
        "files, 1 to 10000",
        "16",
        "A run of more tasks merges what they wrote, wherever a partition has more files than this, before it commits",
    ),
    OptionDescription::new(
        "quality.max_quarantine_ratio",
        OptionType::Number,
        "ratio, 0 to 1",
        "0.01",
        "Above it nothing is committed, exit 12",
    ),
    OptionDescription::new(
        "quality.allow_fan_out",
        OptionType::Boolean,
        "boolean",
        "false",
        "Lets the SQL return more rows than it read",
    ),
    OptionDescription::new(
        "quality.allow_damaged",
        OptionType::Boolean,
        "boolean",
        "false",
        "Commits the whole records of files that are cut short or corrupt",
    ),
    OptionDescription::new(
        "run.batch",
        OptionType::Text,
        "name",
        "default",
        "What this run replaces when it is run again",
    ),
    OptionDescription::new(
        "run.date",
        OptionType::Date,
        "YYYY-MM-DD",
        "none",
        "The batch is this date; also fills `{date}` in `source.url`",
    ),
    OptionDescription::new(
        "run.parallelism",
        OptionType::Integer,
        "tasks, 1 to 1024",
        "the machine's cores; on a cluster by `run.task_bytes`",
        "Into how many tasks the source is cut; in one process they all run at once",
    ),
    OptionDescription::new(
        "run.task_bytes",
        OptionType::Integer,
        "bytes, 1 MiB or more",
        "134217728 (128 MiB)",
        "What a task of a cluster reads, as stored; a source that is worth it occupies every core",
    ),
    OptionDescription::new(
        "ready.expect",
        OptionType::Places,
        "list of files, folders or globs",
        "`source.url`",
        "What must be there before `cambist ready` says so; `{date}` and its parts as in `source.url`",
    ),
    OptionDescription::new(
        "ready.quiet_seconds",
        OptionType::Integer,
        "seconds",
        "0",
        "None of these files may have been written within this time",
    ),
    OptionDescription::new(
        "ready.currencies",
        OptionType::List,
        "list of codes",
        "`target.currencies`",
        "One snapshot of the day must hold all of them",
    ),
    OptionDescription::new(
        "ready.rates_age_days_max",
        OptionType::Integer,
        "days, 0 to 36500",
        "0",
        "How many days older than the day that snapshot may be: more than 0 for providers that skip weekends",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::normalize::NormalizeSpec;

    /// The keys that the reference page lists are those that a spec file may have, no more and no fewer.
    #[test]
    fn every_key_is_described_and_every_description_is_a_key() {
        let spec = serde_json::to_value(NormalizeSpec::default()).unwrap();
        let mut keys = BTreeSet::new();
        for (section, options) in spec.as_object().unwrap() {
            for key in options.as_object().unwrap().keys() {
                keys.insert(format!("{section}.{}", if key == "tables" { "tables.NAME" } else { key }));
            }
        }
        let described: BTreeSet<String> = OPTIONS.iter().map(|option| option.key.to_string()).collect();
        assert_eq!(keys, described);
    }
}
