//! Runs SQL logic tests against a server: `sql-logic ENDPOINT CA_FILE USER FILE…`, the password in
//! `CAMBIST_PASSWORD`. Whether the server does the work itself or has a cluster is its own matter: the same files
//! must pass.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use cambist_flight::client::{ClientError, ConnectSettings, Connection, Login};
use cambist_sql::SessionOptions;
use futures::TryStreamExt as _;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

struct Server(Connection);

#[async_trait]
impl AsyncDB for Server {
    type Error = ClientError;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, ClientError> {
        let result = self.0.query(sql).await?;
        let columns = result.schema.fields().len();
        let batches: Vec<RecordBatch> = result.stream.try_collect().await?;
        if columns == 0 {
            return Ok(DBOutput::StatementComplete(0));
        }
        let rows = batches.iter().flat_map(rows_of).collect();
        Ok(DBOutput::Rows { types: vec![DefaultColumnType::Any; columns], rows })
    }

    async fn shutdown(&mut self) {}

    async fn sleep(duration: std::time::Duration) {
        tokio::time::sleep(duration).await;
    }

    fn engine_name(&self) -> &str {
        "cambist"
    }
}

/// Values as the files write them: a null is `NULL`, an empty text `(empty)`.
fn rows_of(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let cell = |column: usize, row: usize| {
        let shown = ArrayFormatter::try_new(batch.column(column), &options)
            .map_or_else(|error| error.to_string(), |formatter| formatter.value(row).to_string());
        if shown.is_empty() { "(empty)".to_owned() } else { shown }
    };
    (0..batch.num_rows())
        .map(|row| (0..batch.num_columns()).map(|column| cell(column, row)).collect())
        .collect()
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nowhere left to say that stderr cannot be written.
            let _ = writeln!(std::io::stderr(), "{error:?}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, authority, user, files @ ..] = arguments.as_slice() else {
        bail!("expected ENDPOINT CA_FILE USER FILE…, found {arguments:?}");
    };
    let password = std::env::var("CAMBIST_PASSWORD").context("CAMBIST_PASSWORD is not set")?;
    let settings = ConnectSettings {
        endpoint: endpoint.clone(),
        authority: Some(authority.into()),
        is_insecure_allowed: false,
        login: Login::Password { user: user.clone(), password },
        options: SessionOptions::default(),
    };
    let connection = Connection::open(&settings).await?;
    for file in files {
        let mut runner = Runner::new(|| async { Ok(Server(connection.clone())) });
        let name = Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        runner.run_file_async(file).await.with_context(|| format!("{name} fails"))?;
        writeln!(std::io::stdout(), "{name} passes")?;
    }
    Ok(())
}
