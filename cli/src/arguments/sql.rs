//! The flags of `cambist sql`, `cambist serve` and `cambist users`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, value_parser};

use crate::environment;

/// What a result is printed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResultFormat {
    /// A table for the eye.
    Table,
    /// CSV with a line of names.
    Csv,
    /// One JSON object a line.
    Json,
    /// Parquet; needs --out.
    Parquet,
}

#[derive(Debug, Args)]
pub(crate) struct SqlArguments {
    /// The statement; read from stdin where that is no terminal, else line by line, where none is given.
    #[arg(value_name = "SQL")]
    pub(crate) sql: Option<String>,
    /// Ask this server, such as `grpc+tls://10.0.0.1:8092`, or the environment's (CAMBIST_SQL_ENDPOINT) where what
    /// is to be read is not named either; else this process answers.
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    #[command(flatten)]
    pub(crate) login: LoginArguments,
    /// A TOML file that declares tables and rates, as for `cambist serve`.
    #[arg(long, value_name = "FILE", conflicts_with = "endpoint")]
    pub(crate) config: Option<PathBuf>,
    /// A folder of jobs that are written in SQL: they can be called too.
    #[arg(long, value_name = "DIR", conflicts_with = "endpoint")]
    pub(crate) jobs_folder: Option<PathBuf>,
    /// Declare a table: a Cambist table's folder, or raw files; repeat for more.
    #[arg(long = "table", value_name = "NAME=URL", conflicts_with = "endpoint")]
    pub(crate) tables: Vec<String>,
    /// The rates of `fx_convert` and its like: a folder of snapshots, or with --endpoint a table of rates that
    /// the server has.
    #[arg(long, value_name = "URL")]
    pub(crate) rates: Option<String>,
    /// What a statement may take for its rows, in MiB [default: a share of the memory of the cgroup or the
    /// machine].
    #[arg(long, value_name = "MIB", conflicts_with = "endpoint", value_parser = value_parser!(u64).range(64..))]
    pub(crate) memory_mib: Option<u64>,
    /// What the result is printed as [default: table on a terminal, else csv].
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<ResultFormat>,
    /// Write the result to this file; the format is told by its name: .csv, .json, .ndjson or .parquet.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Rows of a table for the eye; the others are counted.
    #[arg(long, value_name = "ROWS", default_value_t = 1000)]
    pub(crate) max_rows: usize,
}

#[derive(Debug, Args)]
pub(crate) struct LoginArguments {
    /// The user, else the environment's (CAMBIST_USER); the password is read from the environment
    /// (CAMBIST_PASSWORD), or asked for.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// A file whose only line is a token, instead of a user; else the environment's (CAMBIST_TOKEN).
    #[arg(long, value_name = "FILE", conflicts_with = "user")]
    pub(crate) token_file: Option<PathBuf>,
    /// The certificate that vouches for the server's, PEM; else the environment's (CAMBIST_TLS_CA).
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Let the endpoint be without TLS: whoever listens on the way reads the password and the rows.
    #[arg(long)]
    pub(crate) insecure: bool,
}

impl LoginArguments {
    /// Returns the first of its flags that is given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let flags = [
            ("--user", self.user.is_some()),
            ("--token-file", self.token_file.is_some()),
            ("--tls-ca", self.tls_ca.is_some()),
            ("--insecure", self.insecure),
        ];
        flags.into_iter().find_map(|(flag, is_given)| is_given.then_some(flag))
    }
}

/// Where SQL is served, and to whom.
#[derive(Debug, Args)]
pub(crate) struct FlightArguments {
    /// The file of users with the hashes of their passwords and tokens; `cambist users` makes it [default: the
    /// environment's (CAMBIST_CREDENTIALS), else cambist/users.toml below the user's folder for state].
    #[arg(long, value_name = "FILE")]
    pub(crate) credentials: Option<PathBuf>,
    /// A TOML file that declares tables, rates, places and limits.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The certificate of the SQL endpoint, then those that vouch for it: PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The certificate's private key: PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Use a certificate made for trying out, in this folder; clients trust its `ca.pem`.
    #[arg(long, value_name = "DIR", conflicts_with = "tls_cert")]
    pub(crate) tls_self_signed: Option<PathBuf>,
    /// Serve SQL without TLS; on loopback only.
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_self_signed"])]
    pub(crate) no_tls: bool,
    /// What all statements that this process works on may take for their rows, in MiB [default: a share of the
    /// memory of the cgroup or the machine].
    #[arg(long, value_name = "MIB", value_parser = value_parser!(u64).range(64..))]
    pub(crate) memory_mib: Option<u64>,
    /// Append who asked for what to this file, one JSON object a line [default: to the log].
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_log: Option<PathBuf>,
}

impl FlightArguments {
    /// Returns the first of its flags that is given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let flags = [
            ("--credentials", self.credentials.is_some()),
            ("--config", self.config.is_some()),
            ("--tls-cert", self.tls_cert.is_some()),
            ("--tls-self-signed", self.tls_self_signed.is_some()),
            ("--no-tls", self.no_tls),
            ("--audit-log", self.audit_log.is_some()),
        ];
        flags.into_iter().find_map(|(flag, is_given)| is_given.then_some(flag))
    }
}

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// Where SQL is served, over Arrow Flight SQL. Port 0 takes a free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8092")]
    pub(crate) flight_listen: SocketAddr,
    #[command(flatten)]
    pub(crate) flight: FlightArguments,
    /// Where runs, status and metrics are served over HTTP [default: nowhere]. Everybody who reaches it, users of
    /// this machine too, may run any job at any place, without a name. Port 0 takes a free one.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// The folder of the runs' records and of declared tables, which survive this process: a local path or
    /// `s3://` [default: cambist/serve below the user's folder for state].
    #[arg(long, value_name = "URL")]
    pub(crate) state_url: Option<String>,
    /// A folder of jobs that are written in SQL: they can be called too.
    #[arg(long, value_name = "DIR")]
    pub(crate) jobs_folder: Option<PathBuf>,
    /// Tasks to run at once [default: the machine's cores].
    #[arg(long, value_name = "CORES", value_parser = value_parser!(u16).range(1..=1024))]
    pub(crate) cores: Option<u16>,
    /// Runs that are worked on at once; more wait for their turn.
    #[arg(long, value_name = "RUNS", default_value_t = 1, value_parser = value_parser!(u16).range(1..=64))]
    pub(crate) runs_at_once: u16,
    /// Runs that may wait; one more is refused.
    #[arg(long, value_name = "RUNS", default_value_t = 1000, value_parser = value_parser!(u32).range(1..=100_000))]
    pub(crate) queue_length: u32,
    /// How long running runs may take to finish when this process is told to stop; what is left is taken up
    /// at the next start.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = value_parser!(u64).range(0..=86_400))]
    pub(crate) stop_grace: u64,
}

#[derive(Debug, Args)]
pub(crate) struct UsersArguments {
    /// The file of users [default: cambist/users.toml below the user's folder for state].
    #[arg(long, value_name = "FILE", env = environment::CREDENTIALS, global = true)]
    pub(crate) credentials: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: UsersCommand,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RoleChoice {
    /// Reads the tables that are declared.
    Reader,
    /// Also runs jobs and cancels them.
    Operator,
    /// Also declares and removes tables.
    Admin,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// List the users, their roles and how they log in.
    List,
    /// Add a user, or change a user's role.
    Add {
        /// The name.
        name: String,
        /// What the user may do.
        #[arg(long, value_name = "ROLE", default_value = "reader")]
        role: RoleChoice,
    },
    /// Give a user a password: asked for, or the first line of stdin where that is no terminal.
    Password {
        /// The name.
        name: String,
    },
    /// Give a user one more token and print it, this once.
    Token {
        /// The name.
        name: String,
        /// Take all tokens from the user instead.
        #[arg(long)]
        revoke: bool,
    },
    /// Remove a user, whose sessions end.
    Remove {
        /// The name.
        name: String,
    },
}
