//! A server of the tests: three users, a clock that stands until it is moved, and counted work.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use argon2::password_hash::{PasswordHasher as _, SaltString};
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{FlightInfo, Ticket};
use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cambist_engine::execution::{ExecutionError, InProcess, StreamExecution};
use cambist_engine::progress::RunProgress;
use cambist_engine::store::Stores;
use cambist_sql::audit::{AuditEntry, AuditLog};
use cambist_sql::catalog::{TableKind, TableSettings};
use cambist_sql::{Environment, NoExecutors, SessionOptions, SqlService, SqlSettings};
use datafusion::arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionContext;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tonic::transport::{Certificate, Channel, ClientTlsConfig};
use tonic::{Request, Status};

use super::runs::StandingRuns;
use crate::client::{ConnectSettings, Connection, Login};
use crate::credentials::CredentialsFile;
use crate::service::Endpoint;
use crate::{FlightServer, FlightSettings, Result, Tls};

/// Above what a slow machine takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// The users have it; it is not secret here.
pub(super) const PASSWORD: &str = "correct horse";
/// Ana's token.
pub(super) const TOKEN: &str = "cambist_token_of_ana";
/// 2024-05-01T00:00:00Z.
const START: i64 = 1_714_521_600;

pub(super) type Client = FlightSqlServiceClient<Channel>;

#[derive(Debug, Default)]
pub(super) struct Recorded(Mutex<Vec<AuditEntry>>);

impl AuditLog for Recorded {
    fn note(&self, entry: &AuditEntry) {
        self.0.lock().unwrap().push(entry.clone());
    }
}

/// Counts the results that are at work.
#[derive(Debug)]
struct Counted {
    inner: InProcess,
    live: Arc<watch::Sender<usize>>,
    produced: Arc<AtomicI64>,
}

struct Live(Arc<watch::Sender<usize>>);

impl Drop for Live {
    fn drop(&mut self) {
        self.0.send_modify(|live| *live -= 1);
    }
}

#[async_trait]
impl cambist_engine::execution::Execution for Counted {
    async fn slots(&self) -> Result<usize, ExecutionError> {
        self.inner.slots().await
    }

    fn is_remote(&self) -> bool {
        false
    }

    async fn collect(
        &self,
        name: &str,
        plan: Arc<dyn ExecutionPlan>,
        session: &SessionContext,
        progress: &RunProgress,
    ) -> Result<Vec<RecordBatch>, ExecutionError> {
        self.inner.collect(name, plan, session, progress).await
    }
}

#[async_trait]
impl StreamExecution for Counted {
    async fn stream(
        &self,
        name: &str,
        plan: Arc<dyn ExecutionPlan>,
        session: &SessionContext,
        progress: &RunProgress,
    ) -> Result<SendableRecordBatchStream, ExecutionError> {
        let rows = self.inner.stream(name, plan, session, progress).await?;
        self.live.send_modify(|live| *live += 1);
        let live = Live(Arc::clone(&self.live));
        let schema = rows.schema();
        let produced = Arc::clone(&self.produced);
        let rows = rows.map(move |batch| {
            let _live = &live;
            produced.fetch_add(batch.as_ref().map_or(0, |batch| batch.num_rows() as i64), Ordering::SeqCst);
            batch
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

pub(super) struct Lab {
    pub(super) folder: TempDir,
    pub(super) endpoint: Endpoint,
    pub(super) live: watch::Receiver<usize>,
    pub(super) runs: Arc<StandingRuns>,
    address: String,
    produced: Arc<AtomicI64>,
    clock: Arc<AtomicI64>,
    audit: Arc<Recorded>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<Result<()>>,
}

impl Lab {
    pub(super) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub(super) async fn start_with(change: impl FnOnce(&mut FlightSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let credentials = folder.path().join("credentials.toml");
        std::fs::write(&credentials, users()).unwrap();
        let mut settings = FlightSettings::on_loopback(0, credentials);
        settings.tls = Tls::SelfSigned { folder: folder.path().join("tls"), names: Vec::new() };
        settings.verifications_max = 8;
        change(&mut settings);
        let scheme = if matches!(settings.tls, Tls::Off) { "grpc" } else { "grpc+tls" };

        let clock = Arc::new(AtomicI64::new(START));
        let told = Arc::clone(&clock);
        let clock_of: cambist_sql::Clock =
            Arc::new(move || Timestamp::from_second(told.load(Ordering::SeqCst)).unwrap());
        let audit = Arc::new(Recorded::default());
        let (live, watched) = watch::channel(0);
        let produced = Arc::new(AtomicI64::new(0));
        let counted =
            Counted { inner: InProcess { cores: 2 }, live: Arc::new(live), produced: Arc::clone(&produced) };
        let runs = Arc::new(StandingRuns::default());
        let environment = Environment {
            stores: Stores::new(),
            execution: Arc::new(counted),
            runs: Arc::clone(&runs) as _,
            executors: Arc::new(NoExecutors),
            audit: Arc::clone(&audit) as Arc<dyn AuditLog>,
            clock: Arc::clone(&clock_of),
            state_url: folder.path().join("state").to_str().unwrap().to_owned(),
        };
        let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let sql = SqlSettings {
            tables: [("ecb".to_owned(), TableSettings::new(place("rates"), TableKind::Rates))].into(),
            locations: vec![place("lake")],
            ..SqlSettings::default()
        };
        let sql = SqlService::start(sql, environment).await.unwrap();
        let server = FlightServer::start(settings, sql, clock_of).await.unwrap();
        let address = format!("{scheme}://localhost:{}", server.addr().port());
        let endpoint = server.endpoint();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.serve(async {
            let _ = stopped.await;
        }));
        let stop = Some(stop);
        Self { folder, endpoint, live: watched, runs, produced, address, clock, audit, stop, serving }
    }

    pub(super) fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    /// The rows that plans have made so far.
    pub(super) fn produced(&self) -> i64 {
        self.produced.load(Ordering::SeqCst)
    }

    pub(super) fn credentials(&self) -> CredentialsFile {
        CredentialsFile::new(self.folder.path().join("credentials.toml"))
    }

    pub(super) fn authority(&self) -> PathBuf {
        self.folder.path().join("tls/ca.pem")
    }

    pub(super) fn port(&self) -> u16 {
        self.address.rsplit(':').next().unwrap().parse().unwrap()
    }

    pub(super) fn audited(&self) -> Vec<AuditEntry> {
        self.audit.0.lock().unwrap().clone()
    }

    /// Waits until the audit log is as it should be.
    pub(super) async fn until_audited(&self, is_so: impl Fn(&[AuditEntry]) -> bool) {
        let audited = async {
            while !is_so(&self.audited()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, audited).await;
        waited.unwrap_or_else(|_| panic!("not audited: {:?}", self.audited()));
    }

    pub(super) fn settings(&self, login: Login) -> ConnectSettings {
        ConnectSettings {
            endpoint: self.address.clone(),
            authority: Some(self.authority()),
            is_insecure_allowed: self.address.starts_with("grpc:"),
            login,
            options: SessionOptions::default(),
        }
    }

    pub(super) async fn connect(&self, user: &str) -> Connection {
        Connection::open(&self.settings(password(user, PASSWORD))).await.unwrap()
    }

    pub(super) async fn channel(&self) -> Channel {
        let pem = std::fs::read(self.authority()).unwrap();
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
        let uri = self.address.replace("grpc+tls", "https");
        Channel::from_shared(uri).unwrap().tls_config(tls).unwrap().connect().await.unwrap()
    }

    pub(super) async fn raw(&self) -> FlightServiceClient<Channel> {
        FlightServiceClient::new(self.channel().await)
    }

    /// A client of arrow-flight that has not logged in.
    pub(super) async fn stranger(&self) -> Client {
        Client::new(self.channel().await)
    }

    /// A client that has logged in: one session.
    pub(super) async fn client(&self, user: &str) -> Client {
        let mut client = self.stranger().await;
        client.handshake(user, PASSWORD).await.unwrap();
        client
    }

    /// A client that presents Ana's token and keeps no cookies.
    pub(super) async fn bearer(&self) -> Client {
        self.bearer_of(TOKEN).await
    }

    pub(super) async fn bearer_of(&self, token: &str) -> Client {
        let mut client = self.stranger().await;
        client.set_token(token.to_owned());
        client
    }

    pub(super) async fn all_work_has_ended(&mut self) {
        let ended = self.live.wait_for(|live| *live == 0);
        let _ = tokio::time::timeout(PATIENCE, ended).await.expect("work goes on").unwrap();
    }

    /// Tells the server to stop, without waiting for it.
    pub(super) fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    pub(super) async fn stopped(self) -> Result<()> {
        tokio::time::timeout(PATIENCE, self.serving).await.expect("the server does not stop").unwrap()
    }
}

pub(super) fn password(user: &str, password: &str) -> Login {
    Login::Password { user: user.to_owned(), password: password.to_owned() }
}

pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

pub(super) fn with_header<T>(message: T, name: &'static str, value: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(name, value.parse().unwrap());
    request
}

/// Ana reads and has a token, Otto operates, Ada administers; all have one password, hashed in little memory so
/// that the tests are fast.
fn users() -> String {
    let parameters = argon2::Params::new(8, 1, 1, None).unwrap();
    let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, parameters);
    let hash = |salt: &str| {
        let salt = SaltString::from_b64(salt).unwrap();
        argon2.hash_password(PASSWORD.as_bytes(), &salt).unwrap().to_string()
    };
    let token = crate::secret::Digest::of(TOKEN).text();
    format!(
        "[users.ana]\nrole = \"reader\"\npassword = \"{}\"\ntokens = [\"sha256:{token}\"]\n\
         [users.otto]\nrole = \"operator\"\npassword = \"{}\"\n\
         [users.ada]\nrole = \"admin\"\npassword = \"{}\"\n",
        hash("YW5hYW5hYW5h"),
        hash("b3R0b290dG90"),
        hash("YWRhYWRhYWRh"),
    )
}

pub(super) fn ticket_of(info: &FlightInfo) -> Ticket {
    info.endpoint[0].ticket.clone().unwrap()
}

/// Fetches all rows of a result.
pub(super) async fn fetch(client: &mut Client, ticket: Ticket) -> Result<Vec<RecordBatch>, FlightError> {
    client.do_get(ticket).await?.try_collect().await
}

pub(super) async fn ask(client: &mut Client, sql: &str) -> Result<Vec<RecordBatch>, FlightError> {
    let info = client.execute(sql.to_owned(), None).await?;
    fetch(client, ticket_of(&info)).await
}

pub(super) fn status(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        other => panic!("not a status: {other}"),
    }
}

pub(super) fn rows(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}
