//! The flags of `cambist normalize`: each is an option of the job.

use std::path::PathBuf;

use clap::Args;

use super::PlaceArguments;

#[derive(Debug, Args)]
pub(crate) struct NormalizeArguments {
    /// A TOML file with the job's options; flags override it. `cambist jobs normalize` lists its keys.
    #[arg(long, value_name = "FILE")]
    pub(crate) spec: Option<PathBuf>,
    /// The transactions: a file, folder or glob; `s3://` the same.
    #[arg(long, value_name = "URL")]
    pub(crate) source: Option<String>,
    /// csv, ndjson, json or parquet.
    #[arg(long)]
    pub(crate) format: Option<String>,
    /// utf-8 or latin1.
    #[arg(long)]
    pub(crate) encoding: Option<String>,
    /// The CSV field delimiter.
    #[arg(long)]
    pub(crate) delimiter: Option<String>,
    /// Types of columns, such as `transaction_id=int64`; repeat, or separate with commas.
    #[arg(long, value_name = "COLUMN=TYPE")]
    pub(crate) types: Vec<String>,
    /// A SELECT over `source` that yields amount, currency and event_time.
    #[arg(long)]
    pub(crate) sql: Option<String>,
    /// The amount: a column, a nested path (`amount.value`) or an SQL expression.
    #[arg(long, value_name = "EXPR")]
    pub(crate) amount: Option<String>,
    /// The currency code: a column, a nested path or an SQL expression.
    #[arg(long, value_name = "EXPR")]
    pub(crate) currency: Option<String>,
    /// When it happened: a column, a nested path or an SQL expression.
    #[arg(long, value_name = "EXPR")]
    pub(crate) event_time: Option<String>,
    /// The IANA zone of event times that name none.
    #[arg(long, value_name = "ZONE")]
    pub(crate) time_zone: Option<String>,
    /// The strptime form of text event times; ISO 8601 where none is given.
    #[arg(long, value_name = "FORM")]
    pub(crate) time_format: Option<String>,
    /// The size from which a record is quarantined unread.
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_record_bytes: Option<u64>,
    /// The rate snapshots: a file, folder or glob.
    #[arg(long, value_name = "URL")]
    pub(crate) rates: Option<String>,
    /// How a row's snapshot is chosen: date or instant.
    #[arg(long, value_name = "MODE")]
    pub(crate) rates_mode: Option<String>,
    /// The IANA zone in which an event's date is taken.
    #[arg(long, value_name = "ZONE")]
    pub(crate) rate_zone: Option<String>,
    /// The age in days above which a snapshot is too old.
    #[arg(long, value_name = "DAYS", allow_negative_numbers = true)]
    pub(crate) max_age_days: Option<i64>,
    /// Only snapshots known by this instant count.
    #[arg(long, value_name = "INSTANT")]
    pub(crate) known_as_of: Option<String>,
    /// The currencies to convert into, separated with commas.
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    pub(crate) to: Vec<String>,
    /// Decimals of a target without minor units, such as `BTC=8`.
    #[arg(long, value_name = "CODE=N", value_delimiter = ',')]
    pub(crate) scale: Vec<String>,
    /// half_even or half_up.
    #[arg(long, value_name = "MODE")]
    pub(crate) rounding: Option<String>,
    /// The table's folder; its quarantine lies beside it.
    #[arg(long, value_name = "URL")]
    pub(crate) output: Option<String>,
    /// The name of the partition column: the event date in the rate zone.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) partition_by: Option<String>,
    /// Add the columns source_file and source_offset.
    #[arg(long)]
    pub(crate) lineage: bool,
    /// The batch: what a further run under the same name replaces.
    #[arg(long, value_name = "NAME", conflicts_with = "date")]
    pub(crate) batch: Option<String>,
    /// The batch is this date; also fills `{date}` in the source.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) date: Option<String>,
    /// The largest share of quarantined records, 0 to 1; above it nothing is committed.
    #[arg(long, value_name = "RATIO", allow_negative_numbers = true)]
    pub(crate) max_quarantine_ratio: Option<f64>,
    /// Commit the whole records of files that are cut short or corrupt.
    #[arg(long)]
    pub(crate) allow_damaged: bool,
    /// Let the SQL return more rows than it read.
    #[arg(long)]
    pub(crate) allow_fan_out: bool,
    /// Into how many tasks the source is cut; the machine's cores, or on a cluster by bytes, where none is given.
    #[arg(long, value_name = "TASKS")]
    pub(crate) parallelism: Option<u64>,
    /// What a task of a cluster reads.
    #[arg(long, value_name = "BYTES")]
    pub(crate) task_bytes: Option<u64>,
    /// Files that a run may write into a partition before it merges them.
    #[arg(long, value_name = "FILES")]
    pub(crate) files_per_partition: Option<u64>,
    #[command(flatten)]
    pub(crate) place: PlaceArguments,
    /// Print the JSON summary only.
    #[arg(long)]
    pub(crate) json: bool,
}
