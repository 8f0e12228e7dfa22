//! The flags of the commands that look at a ledger of rates or add to it.

use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;

/// The gates before a ledger.
#[derive(Debug, Args)]
pub(crate) struct GateArguments {
    /// What the gates do with implausible rates: hold (kept, listed, not used until they are approved), report
    /// (used, and noted in the ledger) or off.
    #[arg(long, value_name = "MODE", default_value = "hold", help_heading = "Gates")]
    pub(crate) gates: GateChoice,
    #[command(flatten)]
    pub(crate) limits: LimitArguments,
}

/// What plausible is.
#[derive(Debug, Args)]
pub(crate) struct LimitArguments {
    /// A second provider's rates to compare with: a file, a folder or a ledger, such as the ECB's history.
    #[arg(long, value_name = "URL", help_heading = "Gates")]
    pub(crate) against: Option<String>,
    /// A limit of the gates: `cross_tolerance=0.03`, `required=EUR,GBP`; repeat for more. docs/rates.md lists
    /// them.
    #[arg(long = "limit", value_name = "NAME=VALUE", help_heading = "Gates")]
    pub(crate) limits: Vec<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum GateChoice {
    Hold,
    Report,
    Off,
}

/// Bring snapshots that are there as files into a ledger.
///
/// A PATH is a file, a folder or a glob of snapshots of any known shape, or a log of versions (`*.jsonl`, `*.jsonl.gz`):
/// one JSON object a line with `known_at`, `op` (A, M; D is counted and ignored), `file` and `payload`, the exact
/// text. A snapshot is known since its file was last modified, unless --known-at says otherwise; a log says it
/// itself. Payloads of one day with the same instant are put a microsecond apart, in their order.
///
/// Bringing the same in again changes nothing. What is no snapshot is listed with its reason and does not stop
/// the import.
///
/// Exit codes: 0 done, 1 nothing of it is a snapshot, 2 usage, 20 a store failed for now; what was stored stays.
#[derive(Debug, Args)]
pub(crate) struct RatesImportArguments {
    /// Files, folders or globs.
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<String>,
    /// The ledger: a folder, or one on `s3://`.
    #[arg(long, value_name = "URL")]
    pub(crate) to: String,
    /// When the snapshots were received [default: when each file was last modified].
    #[arg(long, value_name = "INSTANT")]
    pub(crate) known_at: Option<Timestamp>,
    /// Who brings them in, and cannot approve what is held of them.
    #[arg(long, value_name = "WHO")]
    pub(crate) by: Option<String>,
    #[command(flatten)]
    pub(crate) gates: GateArguments,
    /// Print the JSON summary only.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Some days of the calendar.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct DayArguments {
    /// From this day on.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) from: Option<Date>,
    /// Up to this day.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) until: Option<Date>,
}

/// List the days that a ledger has, their versions, and the days that are missing.
///
/// One line for each day and provider, and one for each run of calendar days without a snapshot; with --currency,
/// without that currency. Weekends are such runs where a provider rests on them.
#[derive(Debug, Args)]
pub(crate) struct RatesListArguments {
    /// The ledger, or a file, folder or glob of snapshots.
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,
    /// The rates of this currency, and the days without it.
    #[arg(long, value_name = "CODE")]
    pub(crate) currency: Option<String>,
    /// Only what this provider published, such as `ecb`.
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    #[command(flatten)]
    pub(crate) days: DayArguments,
    /// As it was known at this instant [default: now].
    #[arg(long, value_name = "INSTANT")]
    pub(crate) known_as_of: Option<Timestamp>,
    /// Print JSON, one object a line, the summary last.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show all versions of a day and which of them counts, or print its payload.
// The flag of this name means another thing here.
#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
pub(crate) struct RatesShowArguments {
    /// The ledger, or a file, folder or glob of snapshots.
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,
    /// The day.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) date: Date,
    /// Only what this provider published, such as `ecb`.
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    /// Only the payload whose sha256 begins so.
    #[arg(long, value_name = "SHA256")]
    pub(crate) version: Option<String>,
    /// As it was known at this instant [default: now].
    #[arg(long, value_name = "INSTANT")]
    pub(crate) known_as_of: Option<Timestamp>,
    /// Print the payload that counts, byte for byte as it was received.
    #[arg(long, conflicts_with = "json")]
    pub(crate) raw: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show what a correction changed.
///
/// Compared are two payloads, each named by the beginning of its sha256 or by its day (the version that counts),
/// or, with --known-as-of, all that counted at two instants. Differences are exact; ratios and percentages are
/// rounded once.
#[derive(Debug, Args)]
pub(crate) struct RatesDiffArguments {
    /// The ledger, or a file, folder or glob of snapshots.
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,
    /// The old payload: the beginning of its sha256, or its day.
    #[arg(value_name = "OLD", requires = "new", required_unless_present = "known_as_of")]
    pub(crate) old: Option<String>,
    /// The new payload.
    #[arg(value_name = "NEW")]
    pub(crate) new: Option<String>,
    /// Two instants.
    #[arg(long, value_names = ["INSTANT", "INSTANT"], num_args = 2, conflicts_with_all = ["old", "new"])]
    pub(crate) known_as_of: Vec<Timestamp>,
    /// Only this currency.
    #[arg(long, value_name = "CODE")]
    pub(crate) currency: Option<String>,
    /// Only what this provider published, such as `ecb`.
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    #[command(flatten)]
    pub(crate) days: DayArguments,
    /// Print JSON, one object a line, the summary last.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Judge what is there by the gates, without changing anything.
///
/// Each payload is judged by what had been admitted when it became known; those of a plain folder in the order of
/// their days. What was approved is not reported again.
///
/// Exit codes: 0 nothing was found, 1 something was: findings, holds that are open, entries without a payload,
/// objects that are no snapshots.
#[derive(Debug, Args)]
pub(crate) struct RatesCheckArguments {
    /// The ledger, or a file, folder or glob of snapshots.
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) limits: LimitArguments,
    #[command(flatten)]
    pub(crate) days: DayArguments,
    /// List all that was found instead of the first lines.
    #[arg(long)]
    pub(crate) all: bool,
    /// Print JSON, one object a line, the summary last.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Approve what is held back. Whoever entered or imported it cannot.
///
/// From then on it is used; what was asked as of an earlier instant stays as it was.
#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
pub(crate) struct RatesApproveArguments {
    /// The ledger.
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,
    /// Who approves.
    #[arg(long, value_name = "WHO")]
    pub(crate) by: String,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Only what is held of this day; repeat for more.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) date: Vec<Date>,
    /// Only what is held of this currency; repeat for more.
    #[arg(long, value_name = "CODE")]
    pub(crate) currency: Vec<String>,
    /// Only what this provider published, such as `ecb`.
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    /// Only the payload whose sha256 begins so.
    #[arg(long, value_name = "SHA256")]
    pub(crate) version: Option<String>,
    /// Print JSON, one object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Enter rates that no provider publishes. They are held until somebody else approves them.
#[derive(Debug, Args)]
pub(crate) struct RatesEnterArguments {
    /// The ledger: a folder, or one on `s3://`.
    #[arg(long, value_name = "URL")]
    pub(crate) to: String,
    /// The first day on which they may be used.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) date: Date,
    /// The last day [default: no limit but the run's max_age].
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) expires: Option<Date>,
    /// What they are rates of one unit of.
    #[arg(long, value_name = "CODE")]
    pub(crate) base: String,
    /// Units of a currency per one unit of the base: `VES=36.5`; repeat for more.
    #[arg(long = "rate", value_name = "CODE=RATE", required = true)]
    pub(crate) rates: Vec<String>,
    /// Who enters them.
    #[arg(long, value_name = "WHO")]
    pub(crate) by: String,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Print the JSON summary only.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write what counts, one row for each rate, as one CSV, NDJSON or Parquet file.
///
/// Columns: rate_date, valid_at, provider, base, currency, rate, snapshot, known_at. Rates are the published text
/// in CSV and NDJSON, and `decimal(38,18)` in Parquet. What is held is left out.
#[derive(Debug, Args)]
pub(crate) struct RatesExportArguments {
    /// The ledger, or a file, folder or glob of snapshots.
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,
    /// The file, or a folder that ends in `/`, in which it is called `rates`.
    #[arg(long, value_name = "URL")]
    pub(crate) to: String,
    /// csv, parquet or json (one object a line) [default: by the file's name].
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<ExportFormat>,
    /// Replace a file that is there and holds something else.
    #[arg(long)]
    pub(crate) replace: bool,
    /// Only what this provider published, such as `ecb`.
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    #[command(flatten)]
    pub(crate) days: DayArguments,
    /// As it was known at this instant [default: now].
    #[arg(long, value_name = "INSTANT")]
    pub(crate) known_as_of: Option<Timestamp>,
    /// Print the JSON summary only.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum ExportFormat {
    Csv,
    Parquet,
    #[value(alias = "ndjson")]
    Json,
}
