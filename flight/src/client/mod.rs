//! The client of our own: what `cambist sql --endpoint` speaks with.

mod error;
mod rows;

use std::path::PathBuf;
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::CommandGetTables;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{FlightInfo, HandshakeRequest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cambist_sql::SessionOptions;
use datafusion::arrow::array::{Array as _, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use futures::TryStreamExt as _;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

pub use error::{ClientError, ClientErrorKind};
pub use rows::ResultRows;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// What may be on its way at once. Over a fast network, less than this keeps the server waiting.
const WINDOW_BYTES: u32 = 16 << 20;
/// The largest frame: fewer frames cost less than many.
const FRAME_BYTES: u32 = 1 << 20;
const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// How a client shows who it is.
#[derive(Clone)]
pub enum Login {
    /// By a user and their password.
    Password {
        /// The user.
        user: String,
        /// Their password.
        password: String,
    },
    /// By a token.
    Token(String),
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Password { user, .. } => {
                f.debug_struct("Password").field("user", user).finish_non_exhaustive()
            }
            Self::Token(_) => f.write_str("Token(…)"),
        }
    }
}

/// Where to connect to.
#[derive(Clone, Debug)]
pub struct ConnectSettings {
    /// `grpc+tls://HOST:PORT`, or `grpc://HOST:PORT` without TLS.
    pub endpoint: String,
    /// The certificate that vouches for the server's: PEM.
    pub authority: Option<PathBuf>,
    /// Whether the endpoint may be without TLS: whoever listens on the way reads the password and the rows.
    pub is_insecure_allowed: bool,
    /// Who connects.
    pub login: Login,
    /// The options of the session.
    pub options: SessionOptions,
}

/// A table that the server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTable {
    /// `public` or `system`.
    pub schema: String,
    /// Its name.
    pub name: String,
}

/// A connection: one session of the server.
#[derive(Clone)]
pub struct Connection {
    client: FlightSqlServiceClient<Channel>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

impl Connection {
    /// Connects and logs in.
    ///
    /// # Errors
    /// Where the endpoint is not valid, cannot be reached, is not trusted, or does not let the user in.
    pub async fn open(settings: &ConnectSettings) -> Result<Self, ClientError> {
        let channel = endpoint(settings)
            .await?
            .connect()
            .await
            .map_err(|error| ClientError::of_transport(&settings.endpoint, &error))?;
        let mut inner = FlightServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let token = log_in(&mut inner, settings).await?;
        let mut client = FlightSqlServiceClient::new_from_inner(inner);
        client.set_token(token);
        Ok(Self { client })
    }

    /// Executes a statement, and returns its rows as they come. Dropping them cancels the work.
    ///
    /// # Errors
    /// Where the server refuses the statement, or fails on it.
    pub async fn query(&mut self, sql: &str) -> Result<ResultRows, ClientError> {
        let info = self.client.execute(sql.to_owned(), None).await.map_err(ClientError::of_flight)?;
        self.rows(info).await
    }

    /// Executes a statement that returns no rows, and returns the count that the server tells; -1 where it does
    /// not know.
    ///
    /// # Errors
    /// Where the server refuses the statement, or fails on it.
    pub async fn update(&mut self, sql: &str) -> Result<i64, ClientError> {
        self.client.execute_update(sql.to_owned(), None).await.map_err(ClientError::of_flight)
    }

    /// Returns the tables that the user may read, by schema and name.
    ///
    /// # Errors
    /// Where the server cannot be asked.
    pub async fn tables(&mut self) -> Result<Vec<ServerTable>, ClientError> {
        let info =
            self.client.get_tables(CommandGetTables::default()).await.map_err(ClientError::of_flight)?;
        let batches: Vec<RecordBatch> = self.rows(info).await?.stream.try_collect().await?;
        let mut tables = Vec::new();
        for batch in &batches {
            let (schemas, names) = (text_column(batch, 1)?, text_column(batch, 2)?);
            tables.extend((0..batch.num_rows()).map(|row| ServerTable {
                schema: if schemas.is_valid(row) { schemas.value(row).to_owned() } else { String::new() },
                name: names.value(row).to_owned(),
            }));
        }
        Ok(tables)
    }

    async fn rows(&mut self, info: FlightInfo) -> Result<ResultRows, ClientError> {
        let tickets: Vec<_> = info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.clone()).collect();
        let schema = if info.schema.is_empty() {
            Schema::empty()
        } else {
            info.try_decode_schema().map_err(|error| ClientError::of_flight(error.into()))?
        };
        let schema: SchemaRef = schema.into();
        let mut parts = Vec::with_capacity(tickets.len());
        for ticket in tickets {
            parts.push(self.client.do_get(ticket).await.map_err(ClientError::of_flight)?);
        }
        Ok(ResultRows::new(schema, parts))
    }
}

fn text_column(batch: &RecordBatch, at: usize) -> Result<&StringArray, ClientError> {
    batch
        .columns()
        .get(at)
        .and_then(|column| column.as_any().downcast_ref())
        .ok_or_else(|| ClientError::of_server("the list of tables is not as the protocol has it"))
}

async fn endpoint(settings: &ConnectSettings) -> Result<Endpoint, ClientError> {
    let text = settings.endpoint.as_str();
    let invalid = |reason: &str| {
        ClientError::invalid(format!("endpoint `{text}` {reason}, expected `grpc+tls://HOST:PORT`"))
    };
    let (scheme, authority) = text.split_once("://").ok_or_else(|| invalid("has no scheme"))?;
    let is_tls = match scheme {
        "grpc+tls" | "grpcs" | "https" => true,
        "grpc" | "grpc+tcp" | "http" => false,
        _ => return Err(invalid("has an unknown scheme")),
    };
    let uri = format!("{}://{authority}", if is_tls { "https" } else { "http" });
    let endpoint = Endpoint::from_shared(uri).map_err(|_| invalid("is not an address"))?;
    let endpoint = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES);
    if !is_tls {
        if !settings.is_insecure_allowed {
            return Err(invalid("is without TLS, and that was not allowed"));
        }
        return Ok(endpoint);
    }
    let Some(path) = &settings.authority else {
        return Err(ClientError::invalid(format!(
            "no certificate is given that vouches for `{text}`, expected a PEM file of it"
        )));
    };
    let pem = tokio::fs::read(path).await.map_err(|error| {
        ClientError::invalid(format!("the certificate `{}` cannot be read: {error}", path.display()))
    })?;
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
    endpoint.tls_config(tls).map_err(|error| ClientError::of_transport(text, &error))
}

/// Every login becomes a session that lasts, so that `SET` lasts.
async fn log_in(
    client: &mut FlightServiceClient<Channel>,
    settings: &ConnectSettings,
) -> Result<String, ClientError> {
    let shown = match &settings.login {
        Login::Password { user, password } => {
            format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
        }
        Login::Token(token) => format!("Bearer {token}"),
    };
    let mut request = Request::new(futures::stream::iter([HandshakeRequest::default()]));
    insert(request.metadata_mut(), "authorization", &shown)?;
    let options = &settings.options;
    let age = options.rates_max_age_days.map(|days| days.to_string());
    let headers = [
        ("x-cambist-rates", &options.rates),
        ("x-cambist-rates-mode", &options.rates_mode),
        ("x-cambist-rates-max-age-days", &age),
        ("x-cambist-rates-known-as-of", &options.rates_known_as_of),
    ];
    for (name, value) in headers {
        if let Some(value) = value {
            insert(request.metadata_mut(), name, value)?;
        }
    }
    let response = client.handshake(request).await.map_err(ClientError::of_status)?;
    let bearer = response.metadata().get("authorization").and_then(|value| value.to_str().ok());
    let token = bearer.and_then(|bearer| bearer.strip_prefix("Bearer ")).map(str::to_owned);
    token.ok_or_else(|| {
        ClientError::of_status(Status::new(Code::Internal, "the server has returned no session token"))
    })
}

fn insert(metadata: &mut MetadataMap, name: &'static str, value: &str) -> Result<(), ClientError> {
    let mut value = AsciiMetadataValue::try_from(value)
        .map_err(|_| ClientError::invalid(format!("the value for `{name}` is not plain text")))?;
    value.set_sensitive(true);
    metadata.insert(name, value);
    Ok(())
}
