//! The flags of `cambist rates`.

use std::path::PathBuf;
use std::time::Duration;

use cambist_ingest::fetch::Pace;
use clap::{ArgGroup, Args, Subcommand, value_parser};
use jiff::civil::Date;

use super::ledger::{
    GateArguments, RatesApproveArguments, RatesCheckArguments, RatesDiffArguments, RatesEnterArguments,
    RatesExportArguments, RatesImportArguments, RatesListArguments, RatesShowArguments,
};
use crate::duration;

#[derive(Debug, Subcommand)]
pub(crate) enum RatesCommand {
    /// Ask a provider for rates and keep its answers.
    ///
    /// The answers are kept byte for byte as they were received, each with the time at which it was. Nothing is
    /// overwritten: a day that is answered otherwise than before gets a further version. A range goes on where
    /// an earlier run of it stopped.
    ///
    /// Exit codes: 0 all is there, 1 an answer cannot be used (a wrong key, a wrong day, no rates), 2 usage, 20
    /// the provider or the destination failed for now. What was stored stays.
    Fetch(Box<RatesFetchArguments>),
    /// Bring snapshots that are there as files into a ledger.
    Import(RatesImportArguments),
    /// List the days that a ledger has, their versions, and the days that are missing.
    List(RatesListArguments),
    /// Show all versions of a day and which of them counts, or print its payload.
    Show(RatesShowArguments),
    /// Show what a correction changed.
    Diff(RatesDiffArguments),
    /// Judge what is there by the gates, without changing anything.
    Check(RatesCheckArguments),
    /// Approve what is held back. Whoever entered or imported it cannot.
    Approve(RatesApproveArguments),
    /// Enter rates that no provider publishes. They are held until somebody else approves them.
    Enter(RatesEnterArguments),
    /// Write what counts, one row for each rate, as one CSV, NDJSON or Parquet file.
    Export(RatesExportArguments),
    /// Make the index anew, from which thousands of snapshots are read fast.
    Index {
        /// The ledger, or a plain folder of snapshots.
        #[arg(long, value_name = "URL")]
        url: String,
        /// Print the JSON summary only.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("wanted").args(["latest", "date", "from", "every"]).required(true).multiple(true))]
pub(crate) struct RatesFetchArguments {
    /// Who is asked: openexchangerates, currencylayer, exchangerate.host, frankfurter, ecb, or url (see --url).
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: String,
    /// Where the answers go: the ledger in a folder or on `s3://`, or `firehose://STREAM`.
    #[arg(long, value_name = "URL")]
    pub(crate) to: String,

    /// The newest rates.
    #[arg(long, help_heading = "What", conflicts_with_all = ["date", "from"])]
    pub(crate) latest: bool,
    /// The rates of this day, whether they are there or not.
    #[arg(long, value_name = "YYYY-MM-DD", help_heading = "What", conflicts_with_all = ["from", "every"])]
    pub(crate) date: Option<Date>,
    /// Every day from this one on that is not there yet.
    #[arg(long, value_name = "YYYY-MM-DD", help_heading = "What", conflicts_with = "every")]
    pub(crate) from: Option<Date>,
    /// The last day of the range [default: today, in UTC].
    #[arg(long, value_name = "YYYY-MM-DD", help_heading = "What", requires = "from")]
    pub(crate) until: Option<Date>,
    /// Ask for the days of the range that are there as well, and keep what has changed.
    #[arg(long, help_heading = "What", requires = "from")]
    pub(crate) refetch: bool,
    /// Ask for many days of the range with one request, where the provider can answer so.
    #[arg(long, help_heading = "What", requires = "from")]
    pub(crate) series: bool,
    /// The newest rates now and then again and again, until SIGINT or SIGTERM: `1h`, `15m`. A round that
    /// fails is reported, and the next one comes in its time.
    #[arg(long, value_name = "TIME", help_heading = "What", value_parser = duration::parse)]
    pub(crate) every: Option<Duration>,
    /// Ends after so many rounds.
    #[arg(long, value_name = "ROUNDS", help_heading = "What", requires = "every", value_parser = value_parser!(u64).range(1..))]
    pub(crate) rounds: Option<u64>,
    /// The currency that the rates are of one unit of [default: the provider's].
    #[arg(long, value_name = "CODE", help_heading = "What")]
    pub(crate) base: Option<String>,

    /// The variable that holds the provider's key [default: the provider's, such as OPENEXCHANGERATES_APP_ID].
    #[arg(long, value_name = "NAME", help_heading = "Provider", conflicts_with = "api_key_file")]
    pub(crate) api_key_env: Option<String>,
    /// A file that holds the provider's key and nothing else.
    #[arg(long, value_name = "FILE", help_heading = "Provider")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// Where the provider is, if not where it usually is.
    #[arg(long, value_name = "URL", help_heading = "Provider", conflicts_with = "url")]
    pub(crate) base_url: Option<String>,
    /// What `--provider url` asks: a URL with the placeholders {date}, {year}, {month}, {day}, {from}, {until},
    /// {base} and {key}.
    #[arg(long, value_name = "TEMPLATE", help_heading = "Provider", requires = "shape")]
    pub(crate) url: Option<String>,
    /// The shape of what `--url` answers: openexchangerates, fixer, frankfurter, currencylayer, abstractapi,
    /// currency-api or ecb.
    #[arg(long, value_name = "SHAPE", help_heading = "Provider", requires = "url")]
    pub(crate) shape: Option<String>,
    /// The header that bears the key of `--url`, if it does not stand in the URL.
    #[arg(long, value_name = "NAME", help_heading = "Provider", requires = "url")]
    pub(crate) key_header: Option<String>,

    /// Requests that are under way at once.
    #[arg(long, value_name = "REQUESTS", help_heading = "Patience", default_value_t = 4, value_parser = value_parser!(u16).range(1..=32))]
    pub(crate) parallel: u16,
    /// Requests in a time, retries included: `10/s`, `60/m`, `1000/h`.
    #[arg(long, value_name = "PACE", help_heading = "Patience", default_value = "10/s")]
    pub(crate) rate_limit: Pace,
    /// Attempts at one request, the first included.
    #[arg(long, value_name = "ATTEMPTS", help_heading = "Patience", default_value_t = 6, value_parser = value_parser!(u32).range(1..=20))]
    pub(crate) attempts: u32,
    /// The pause before the second attempt; it doubles with each further one, up to 30 s.
    #[arg(long, value_name = "TIME", help_heading = "Patience", default_value = "500ms", value_parser = duration::parse)]
    pub(crate) retry_pause: Duration,
    /// The longest wait that a provider may ask for (Retry-After); if it asks for more, the command ends.
    #[arg(long, value_name = "TIME", help_heading = "Patience", default_value = "5m", value_parser = duration::parse)]
    pub(crate) retry_after_max: Duration,
    /// From a request to the last byte of its answer.
    #[arg(long, value_name = "TIME", help_heading = "Patience", default_value = "60s", value_parser = duration::parse)]
    pub(crate) timeout: Duration,
    /// How far the provider's clock, or the time in an answer, may be ahead of this machine's clock.
    #[arg(long, value_name = "TIME", help_heading = "Patience", default_value = "5m", value_parser = duration::parse)]
    pub(crate) clock_skew_max: Duration,
    #[command(flatten)]
    pub(crate) gates: GateArguments,
    /// Print the JSON summary only.
    #[arg(long)]
    pub(crate) json: bool,
}
