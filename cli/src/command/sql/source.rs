//! Who answers: this process, or a server.

use std::path::Path;
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
        match &arguments.endpoint {
            Some(endpoint) => {
                let settings = ConnectSettings {
                    endpoint: endpoint.clone(),
                    authority: arguments.login.tls_ca.clone(),
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

fn login(arguments: &LoginArguments) -> Result<Login> {
    if let Some(path) = &arguments.token_file {
        let text = read(path, "token file")?;
        return Ok(Login::Token(text.trim().to_owned()));
    }
    if let Some(user) = &arguments.user {
        let password = match environment::secret(environment::SQL_PASSWORD) {
            Some(password) => password,
            None => output::ask_secret(&format!("Password of {user}: "))?,
        };
        return Ok(Login::Password { user: user.clone(), password });
    }
    match environment::secret(environment::SQL_TOKEN) {
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
