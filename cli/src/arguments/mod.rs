//! The command line. The doc comments are the help.

mod cluster;
mod kafka;
mod ledger;
mod normalize;
mod rates;
mod restate;
mod run;
mod servers;
mod sql;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::cluster::{
    ClusterCommand, ClusterDownArguments, ClusterStatusArguments, ClusterUpArguments, RunsCommand,
};
pub(crate) use self::kafka::{KafkaArguments, RatesSinkArguments};
pub(crate) use self::ledger::{
    DayArguments, ExportFormat, GateArguments, GateChoice, RatesApproveArguments, RatesCheckArguments,
    RatesDiffArguments, RatesEnterArguments, RatesExportArguments, RatesImportArguments, RatesListArguments,
    RatesShowArguments,
};
pub(crate) use self::normalize::NormalizeArguments;
pub(crate) use self::rates::{RatesCommand, RatesFetchArguments};
pub(crate) use self::restate::{ReadyArguments, RestateArguments};
pub(crate) use self::run::{ClusterArgument, PlaceArguments, RunArguments};
pub(crate) use self::servers::{ExecutorArguments, SchedulerArguments};
pub(crate) use self::sql::{
    FlightArguments, LoginArguments, ResultFormat, RoleChoice, ServeArguments, SqlArguments, UsersArguments,
    UsersCommand,
};
use crate::duration;

/// Turns raw multi-currency transactions into audited single-currency tables, right to the last minor unit.
///
/// Exit codes: 0 done or already done, 1 the data is at fault, 2 usage, 10 input not ready, 11 commit
/// conflict, 12 a quality limit was exceeded, 20 infrastructure (a retry may help), 130 or 143 cancelled by a
/// signal.
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
    /// Keep a ledger of exchange rates.
    Rates {
        #[command(subcommand)]
        command: RatesCommand,
    },
    /// Tell whether all inputs of a day are there: exit 0, or 10 with what is missing.
    Ready(ReadyArguments),
    /// Convert again what corrected rates touch in a table, and tell what changed.
    Restate(RestateArguments),
    /// Run any registered job.
    Run(RunArguments),
    /// Look at the runs of a cluster, or cancel one.
    Runs {
        #[command(subcommand)]
        command: RunsCommand,
    },
    /// Try out a cluster of processes on this machine.
    Cluster {
        #[command(subcommand)]
        command: ClusterCommand,
    },
    /// Ask in SQL: raw files, tables and rates, here or at a server.
    Sql(Box<SqlArguments>),
    /// Serve SQL over Arrow Flight SQL, and runs over HTTP, doing the work in this process.
    Serve(Box<ServeArguments>),
    /// Keep the file of those who may send SQL to a server.
    Users(UsersArguments),
    /// Serve a cluster: plan and watch its runs, share out their tasks.
    Scheduler(Box<SchedulerArguments>),
    /// Work for a cluster: run the tasks that its scheduler gives out.
    Executor(ExecutorArguments),
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

impl Command {
    /// Returns the folder of jobs that are written in SQL, where one is named.
    pub(crate) fn jobs_folder(&self) -> Option<&Path> {
        let folder = match self {
            Self::Run(arguments) => &arguments.jobs_folder,
            Self::Jobs(arguments) => &arguments.jobs_folder,
            Self::Scheduler(arguments) => &arguments.jobs_folder,
            Self::Serve(arguments) => &arguments.jobs_folder,
            Self::Sql(arguments) => &arguments.jobs_folder,
            _ => &None,
        };
        folder.as_deref()
    }

    /// Tells whether it serves until it is told to stop.
    pub(crate) fn is_server(&self) -> bool {
        matches!(
            self,
            Self::Scheduler(_)
                | Self::Serve(_)
                | Self::Executor(_)
                | Self::Rates { command: RatesCommand::Sink(_) }
        )
    }
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
    /// Merge small files: fewer and larger ones with the same rows, as a commit of its own.
    Compact(CompactArguments),
    /// Remove history, leftovers of dead runs and uncompleted uploads.
    Gc {
        /// The table's folder.
        #[arg(long, value_name = "URL")]
        output: String,
        /// Only what is older: `30d`, `12h`, `0s`.
        #[arg(long, value_name = "AGE", default_value = "30d", value_parser = duration::parse)]
        older_than: Duration,
        /// Print the JSON summary only.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CompactArguments {
    /// The table's folder.
    #[arg(long, value_name = "URL")]
    pub(crate) output: String,
    /// Only this partition, such as `dt=2024-05-01`.
    #[arg(long, value_name = "PARTITION")]
    pub(crate) partition: Option<String>,
    /// Small files that a batch may keep in a partition (default 1).
    #[arg(long, value_name = "N")]
    pub(crate) files_max: Option<u64>,
    /// The size that files should have; only smaller ones are merged (default 128 MiB).
    #[arg(long, value_name = "BYTES")]
    pub(crate) target_bytes: Option<u64>,
    #[command(flatten)]
    pub(crate) place: PlaceArguments,
    /// Print the JSON summary only.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct JobsArguments {
    /// Show this job's options.
    pub(crate) name: Option<String>,
    /// A folder of jobs that are written in SQL: they are listed too.
    #[arg(long, value_name = "DIR")]
    pub(crate) jobs_folder: Option<PathBuf>,
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

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[test]
    fn no_two_flags_of_a_command_are_in_each_others_way() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_server_of_sql_has_no_other_door_unless_it_is_told_where() {
        let listen =
            |flags: &[&str]| match Arguments::parse_from(["cambist", "serve"].iter().chain(flags)).command {
                Command::Serve(arguments) => arguments.listen,
                other => panic!("{other:?}"),
            };
        assert_eq!(listen(&[]), None);
        assert_eq!(listen(&["--listen=127.0.0.1:8090"]), Some(([127, 0, 0, 1], 8090).into()));
    }
}
