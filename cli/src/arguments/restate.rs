//! The flags of `cambist restate` and `cambist ready`.

use std::path::PathBuf;

use clap::Args;

use super::PlaceArguments;

#[derive(Debug, Args)]
pub(crate) struct RestateArguments {
    /// The table's folder.
    #[arg(long, value_name = "URL")]
    pub(crate) output: String,
    /// The instant as of which the table's rates are known; what each batch recorded where none is given.
    #[arg(long, value_name = "INSTANT")]
    pub(crate) from_known: Option<String>,
    /// The instant as of which the rates to restate to are known; now where none is given.
    #[arg(long, value_name = "INSTANT")]
    pub(crate) to_known: Option<String>,
    /// Report everything, commit nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// From which change on the restatement is material: `INR=1000`, or `0.01%` of the old total; repeat, or
    /// separate with commas.
    #[arg(long, value_name = "CODE=AMOUNT|PERCENT%", value_delimiter = ',')]
    pub(crate) materiality: Vec<String>,
    /// Only this batch; repeat for more.
    #[arg(long = "batch", value_name = "NAME")]
    pub(crate) batches: Vec<String>,
    #[command(flatten)]
    pub(crate) place: PlaceArguments,
    /// Print the JSON summary only.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReadyArguments {
    /// The day whose inputs are asked for; also fills `{date}` in the spec.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) date: String,
    /// The TOML file with the options of `normalize` for that day, and its `[ready]` section.
    #[arg(long, value_name = "FILE")]
    pub(crate) spec: PathBuf,
    /// Print the JSON summary only.
    #[arg(long)]
    pub(crate) json: bool,
}
