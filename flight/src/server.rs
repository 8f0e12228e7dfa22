//! The server: it listens, and puts an endpoint behind TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use cambist_sql::{Clock, SqlService};
use jiff::SignedDuration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Identity, Server, ServerTlsConfig};

use crate::authentication::{Authenticator, ClockOf};
use crate::connection::accept;
use crate::credentials::{Directory, PasswordChecks};
use crate::error::{FlightServerError, Result};
use crate::held::Bound;
use crate::service::{Endpoint, Parts};
use crate::sessions::Sessions;
use crate::settings::FlightSettings;
use crate::tls;

/// A peer that is silent for so long is asked whether it is still there, and has so long to answer.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// A message to a client is some [`FlightSettings::batch_bytes`]; one row alone may be larger.
const RESPONSE_BYTES_MAX: usize = 256 << 20;
/// Headers of a call: a token, cookies, a few options.
const HEADER_BYTES_MAX: u32 = 32 << 10;
/// How long the last messages may take after the results were stopped.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// A server that listens.
#[derive(Debug)]
pub struct FlightServer {
    listener: TcpListener,
    addr: SocketAddr,
    identity: Option<TlsIdentity>,
    endpoint: Endpoint,
    stop: watch::Sender<bool>,
    settings: FlightSettings,
}

/// A certificate and its key, which is not shown.
struct TlsIdentity(Identity);

impl std::fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsIdentity(…)")
    }
}

impl FlightServer {
    /// Starts a server: reads certificate and credentials, and listens. No connection is accepted yet.
    ///
    /// # Errors
    /// Where a setting, the certificate or the credentials are not usable, or the address cannot be listened on.
    pub async fn start(settings: FlightSettings, sql: SqlService, clock: Clock) -> Result<Self> {
        settings.check()?;
        let identity = tls::identity(&settings.tls)?;
        if let Some(identity) = &identity {
            check_identity(identity)?;
        }
        let directory = Directory::open(settings.credentials.clone())?;
        let (stop, stopping) = watch::channel(false);
        let clock = ClockOf(clock);
        let bound = |per_user, lifetime: Duration| -> Result<Bound> {
            let idle = SignedDuration::try_from(lifetime).map_err(|_| FlightServerError::Setting {
                name: "lifetime",
                found: format!("{} s", lifetime.as_secs()),
                expected: "fewer seconds",
            })?;
            Ok(Bound { per_user, idle })
        };
        let authenticator = Authenticator::new(
            directory,
            PasswordChecks::new(settings.verifications_max),
            Sessions::new(bound(settings.sessions_per_user, settings.session_idle)?),
            Arc::clone(&sql.environment().audit),
            clock.clone(),
        );
        let endpoint = Endpoint::new(Parts {
            authenticator,
            clock,
            results: bound(settings.tickets_per_user, settings.ticket_lifetime)?,
            statements: bound(settings.statements_per_user, settings.session_idle)?,
            batch_bytes: settings.batch_bytes,
            is_tls: identity.is_some(),
            stopping,
            sql,
        })?;
        let address = settings.listen;
        let listen = |source| FlightServerError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        tracing::info!(%addr, tls = identity.is_some(), "Flight SQL listens");
        Ok(Self { listener, addr, identity: identity.map(TlsIdentity), endpoint, stop, settings })
    }

    /// Returns where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    #[cfg(test)]
    pub(crate) fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    /// Serves until `shutdown`. Results that flow then may end within the grace; what is left is stopped, and its
    /// clients are told so.
    ///
    /// # Errors
    /// Where the server fails.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let settings = self.settings;
        let mut server = Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .max_concurrent_streams(settings.calls_per_connection);
        if let Some(TlsIdentity(identity)) = self.identity {
            let tls = ServerTlsConfig::new().identity(identity).timeout(settings.admission_time);
            server = server.tls_config(tls).map_err(certificate)?;
        }
        let endpoint = self.endpoint.clone();
        let service = FlightServiceServer::new(self.endpoint)
            .max_decoding_message_size(settings.request_bytes_max)
            .max_encoding_message_size(RESPONSE_BYTES_MAX);
        let service = InterceptedService::new(service, move |request| endpoint.screen(request));
        let connections = accept(self.listener, settings.connections_max, settings.admission_time);
        let (close, closed) = tokio::sync::oneshot::channel::<()>();
        let serving = server.add_service(service).serve_with_incoming_shutdown(connections, async {
            // Dropped or sent: both mean the end.
            let _ = closed.await;
        });
        let mut serving = std::pin::pin!(serving);
        let failed = tokio::select! {
            () = shutdown => None,
            ended = &mut serving => Some(ended),
        };
        if let Some(ended) = failed {
            let reason = ended.err().map_or_else(|| "it has ended".to_owned(), |error| error.to_string());
            return Err(FlightServerError::Serve { reason });
        }
        drop(close);
        if tokio::time::timeout(settings.grace, &mut serving).await.is_err() {
            tracing::info!("results that still flow are stopped");
            self.stop.send_replace(true);
            if tokio::time::timeout(CLOSE_PATIENCE, &mut serving).await.is_err() {
                tracing::warn!("some clients have not closed their connections");
            }
        }
        Ok(())
    }
}

fn check_identity(identity: &Identity) -> Result<()> {
    Server::builder()
        .tls_config(ServerTlsConfig::new().identity(identity.clone()))
        .map(|_| ())
        .map_err(certificate)
}

fn certificate(error: tonic::transport::Error) -> FlightServerError {
    let source = std::error::Error::source(&error).map(ToString::to_string);
    FlightServerError::Certificate { reason: source.unwrap_or_else(|| error.to_string()) }
}
