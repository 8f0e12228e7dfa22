//! The command line. The doc comments are the help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Turns raw multi-currency transactions into audited single-currency tables, right to the last minor unit.
///
/// Exit codes: 0 done or already done, 1 the data is at fault, 2 usage, 10 input not ready, 11 commit
/// conflict, 12 a quality limit was exceeded, 20 infrastructure (a retry may help).
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub(crate) struct Arguments {
    /// Log more to stderr; repeat for more still.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the main job on bundled data and show what comes out.
    Demo(DemoArguments),
    /// Convert raw transactions exactly and commit them to a Parquet table.
    Normalize(Box<NormalizeArguments>),
    /// Show how one row got its figure.
    Explain(ExplainArguments),
    /// Compute a table's rows again from their own columns and check them against the log.
    Verify(VerifyArguments),
    /// Look at or look after a table.
    Table(TableArguments),
    /// List the registered jobs and their options.
    Jobs(JobsArguments),
    /// List the SQL functions.
    Functions(FunctionsArguments),
    /// List the places where a test can let this process die.
    #[command(hide = true)]
    FaultPoints,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Where the demo writes its files.
    #[arg(long, value_name = "DIR", default_value = "cambist-demo")]
    pub(crate) dir: PathBuf,
    /// Print the JSON summary only.
    #[arg(long)]
    pub(crate) json: bool,
}

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
    /// Tasks that run at once; the machine's cores where none is given.
    #[arg(long, value_name = "TASKS")]
    pub(crate) parallelism: Option<u64>,
    /// Print the JSON summary only.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// The table's folder.
    #[arg(long, value_name = "URL")]
    pub(crate) output: String,
    /// Which row: a column and its value as text.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) row: String,
    /// Print JSON, one object a row.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// The table's folder.
    #[arg(long, value_name = "URL")]
    pub(crate) output: String,
    /// Compute about this many rows again, spread evenly, instead of all; counts, totals and hashes are always checked.
    #[arg(long, value_name = "N")]
    pub(crate) sample: Option<u64>,
    /// Print the JSON summary only.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TableArguments {
    #[command(subcommand)]
    pub(crate) command: TableCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TableCommand {
    /// List the commits, newest first.
    Log {
        /// The table's folder.
        #[arg(long, value_name = "URL")]
        output: String,
        /// At most so many.
        #[arg(long, default_value_t = 20)]
        limit: u64,
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// List the data files that are live, or were after a commit.
    Files {
        /// The table's folder.
        #[arg(long, value_name = "URL")]
        output: String,
        /// As they were after this commit.
        #[arg(long, value_name = "COMMIT")]
        at: Option<u64>,
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Print the statement that makes a hive or Athena table of it.
    Ddl {
        /// The table's folder.
        #[arg(long, value_name = "URL")]
        output: String,
        /// athena (manifests, partition projection) or hive (folders, MSCK REPAIR TABLE).
        #[arg(long, default_value = "athena")]
        dialect: String,
        /// The table's name, with its database if wanted.
        #[arg(long, default_value = "processed_data")]
        name: String,
        /// The quarantine's table instead.
        #[arg(long)]
        quarantine: bool,
        /// The first day that Athena looks for.
        #[arg(long, value_name = "YYYY-MM-DD", default_value = "2000-01-01")]
        first_day: String,
    },
    /// Remove history, leftovers of dead runs and uncompleted uploads.
    Gc {
        /// The table's folder.
        #[arg(long, value_name = "URL")]
        output: String,
        /// Only what is older: `30d`, `12h`, `0s`.
        #[arg(long, value_name = "AGE", default_value = "30d")]
        older_than: String,
        /// Print the JSON summary only.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct JobsArguments {
    /// Show this job's options.
    pub(crate) name: Option<String>,
    /// Print the reference page of all jobs in Markdown.
    #[arg(long, conflicts_with_all = ["name", "json"])]
    pub(crate) markdown: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FunctionsArguments {
    /// Print the reference page in Markdown.
    #[arg(long)]
    pub(crate) markdown: bool,
}
