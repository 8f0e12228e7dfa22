//! Who answers: this process, or a server.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use cambist_flight::client::{ConnectSettings, Connection, Login};
use cambist_jobs::error::{JobError, Result};
use cambist_jobs::{RunProgress, Stores};
use cambist_scheduler::sql::EmbeddedSql;
use cambist_sql::access::{Principal, Role};
use cambist_sql::catalog::{TableKind, TableSettings};
use cambist_sql::output::{Batch, Columns};
use cambist_sql::{Session, SessionOptions, SqlSettings};
use futures::{Stream, StreamExt};

use super::failure::{of_client, of_sql};
use crate::arguments::{LoginArguments, SqlArguments};
use crate::command::executor::memory_bytes;
use crate::{clock, environment, output};

/// The name under which `--rates` declares its folder.
const RATES: &str = "rates";

/// The user of a command: whoever may start this process may do what it can.
const USER: &str = "local";

/// Who answers.
pub(super) enum Source {
    Embedded { sql: Box<EmbeddedSql>, session: Arc<Session> },
    Server(Box<Connection>),
}

/// An answer on its way.
pub(super) struct Answer {
    /// None for a statement that returns no rows.
    pub(super) columns: Columns,
    pub(super) rows: Pin<Box<dyn Stream<Item = Result<Batch>> + Send>>,
    /// How it gets on, where this process does the work.
    pub(super) progress: Option<RunProgress>,
}

impl Source {
    pub(super) async fn open(arguments: &SqlArguments) -> Result<Self> {
        match endpoint(arguments, environment::given(environment::SQL_ENDPOINT))? {
            Some(endpoint) => {
                let authority = arguments.login.tls_ca.clone();
                let settings = ConnectSettings {
                    endpoint,
                    authority: authority
                        .or_else(|| environment::given(environment::SQL_CA).map(PathBuf::from)),
                    is_insecure_allowed: arguments.login.insecure,
                    login: login(&arguments.login)?,
                    options: SessionOptions { rates: arguments.rates.clone(), ..Default::default() },
                };
                Ok(Self::Server(Box::new(Connection::open(&settings).await.map_err(of_client)?)))
            }
            None => {
                let settings = settings(arguments).await?;
                let sql = EmbeddedSql::start(settings, clock::cores(), Arc::new(clock::now)).await?;
                let session = Arc::new(Session::new(Principal::new(USER, Role::Admin)));
                Ok(Self::Embedded { sql: Box::new(sql), session })
            }
        }
    }

    pub(super) async fn ask(&mut self, statement: &str) -> Result<Answer> {
        match self {
            Self::Embedded { sql, session } => {
                let prepared = sql.service().prepare(session, statement).await.map_err(of_sql)?;
                let columns = Arc::clone(prepared.result_schema());
                let executed = sql.service().execute(&prepared, None).await.map_err(of_sql)?;
                let rows = executed.rows.map(|batch| batch.map_err(of_sql));
                Ok(Answer { columns, rows: Box::pin(rows), progress: Some(executed.progress) })
            }
            Self::Server(connection) => {
                let result = connection.query(statement).await.map_err(of_client)?;
                let rows = result.stream.map(|batch| batch.map_err(of_client));
                Ok(Answer { columns: result.schema, rows: Box::pin(rows), progress: None })
            }
        }
    }

    /// Returns the names of the tables, for completion; none where they cannot be told.
    pub(super) async fn table_names(&mut self) -> Vec<String> {
        let qualified = |schema: &str, name: &str| match schema {
            "public" => name.to_owned(),
            schema => format!("{schema}.{name}"),
        };
        match self {
            Self::Embedded { sql, session } => {
                let tables = sql.service().tables(session, |_, _| false).await.unwrap_or_default();
                tables.iter().map(|table| qualified(&table.schema, &table.name)).collect()
            }
            Self::Server(connection) => {
                let tables = connection.tables().await.unwrap_or_default();
                tables.iter().map(|table| qualified(&table.schema, &table.name)).collect()
            }
        }
    }

    pub(super) async fn close(self) {
        if let Self::Embedded { sql, .. } = self {
            sql.stop().await;
        }
    }
}

/// Returns the server to ask. Whoever names what is to be read means this process, whatever the environment says.
fn endpoint(arguments: &SqlArguments, of_environment: Option<String>) -> Result<Option<String>> {
    let names_what_is_read =
        arguments.config.is_some() || arguments.jobs_folder.is_some() || !arguments.tables.is_empty();
    if arguments.endpoint.is_some() {
        return Ok(arguments.endpoint.clone());
    }
    let endpoint = of_environment.filter(|_| !names_what_is_read);
    match (&endpoint, arguments.login.given()) {
        (None, Some(flag)) => Err(JobError::usage(format!(
            "{flag} is for a server, and none is named: give --endpoint or set {}",
            environment::SQL_ENDPOINT
        ))),
        _ => Ok(endpoint),
    }
}

fn login(arguments: &LoginArguments) -> Result<Login> {
    if let Some(path) = &arguments.token_file {
        let text = read(path, "token file")?;
        return Ok(Login::Token(text.trim().to_owned()));
    }
    if let Some(user) = arguments.user.clone().or_else(|| environment::given(environment::SQL_USER)) {
        let password = match environment::given(environment::SQL_PASSWORD) {
            Some(password) => password,
            None => output::ask_secret(&format!("Password of {user}: "))?,
        };
        return Ok(Login::Password { user, password });
    }
    match environment::given(environment::SQL_TOKEN) {
        Some(token) => Ok(Login::Token(token)),
        None => Err(JobError::usage(format!(
            "nobody is named, expected --user, --token-file or {}",
            environment::SQL_TOKEN
        ))),
    }
}

/// Reads a small text file that a flag names.
pub(in crate::command) fn read(path: &Path, what: &str) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| {
        JobError::usage(format!("the {what} `{}` cannot be read", path.display())).caused_by(error)
    })
}

/// What the command line declares. Its user may name every place: the process can read no more than they can.
async fn settings(arguments: &SqlArguments) -> Result<SqlSettings> {
    let mut settings = match &arguments.config {
        Some(path) => {
            SqlSettings::from_toml(&read(path, "config")?).map_err(|error| of_sql(error).in_file(path))?
        }
        None => SqlSettings::default(),
    };
    settings.allows_every_location = true;
    settings.memory_bytes = usize::try_from(memory_bytes(arguments.memory_mib, 1)).ok();
    for text in &arguments.tables {
        let (name, url) = text
            .split_once('=')
            .filter(|(name, url)| !name.is_empty() && !url.is_empty())
            .ok_or_else(|| JobError::usage(format!("--table is `{text}`, expected NAME=URL")))?;
        let is_table = cambist_jobs::maintenance::is_table(&Stores::new(), url).await?;
        let kind = if is_table { TableKind::Cambist } else { TableKind::Raw };
        settings.tables.insert(name.to_owned(), TableSettings::new(url, kind));
    }
    if let Some(url) = &arguments.rates {
        settings.tables.insert(RATES.to_owned(), TableSettings::new(url.as_str(), TableKind::Rates));
        settings.rates.default = Some(RATES.to_owned());
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::arguments::{Arguments, Command};

    /// Who is asked, with a server in the environment and without one.
    fn check(flags: &[&str], with: std::result::Result<Option<&str>, &str>, without: Option<&str>) {
        let words = ["cambist", "sql"].iter().chain(flags).chain(&["SELECT 1"]);
        let Command::Sql(arguments) = Arguments::parse_from(words).command else { panic!("{flags:?}") };
        let found = endpoint(&arguments, Some("grpc://env:1".to_owned()));
        match with {
            Ok(expected) => assert_eq!(found.unwrap().as_deref(), expected, "{flags:?}"),
            Err(expected) => assert_eq!(found.unwrap_err().to_string(), expected, "{flags:?}"),
        }
        assert_eq!(endpoint(&arguments, None).ok().flatten().as_deref(), without, "{flags:?}");
    }

    #[test]
    fn flags_decide_before_the_environment_does() {
        check(&[], Ok(Some("grpc://env:1")), None);
        check(&["--user", "ana"], Ok(Some("grpc://env:1")), None);
        check(&["--table", "t=x"], Ok(None), None);
        check(&["--config", "server.toml"], Ok(None), None);
        check(
            &["--endpoint", "grpc://flag:1", "--user", "ana"],
            Ok(Some("grpc://flag:1")),
            Some("grpc://flag:1"),
        );
        check(
            &["--table", "t=x", "--user", "ana"],
            Err("--user is for a server, and none is named: give --endpoint or set CAMBIST_SQL_ENDPOINT"),
            None,
        );
    }
}
