//! Where runs are kept: objects that are created once, so that two schedulers cannot both take a step.
//!
//! `runs/<id>/<seq>.json` are a run's records. `open/<id>` is there from before the first record until after
//! the last, so that a start need not look at old runs. `done/<newest first>-<id>.json` is a finished run's
//! view, for lists.

use std::sync::Arc;
use std::time::Duration;

use cambist_engine::location::Location;
use cambist_engine::store::{StoreError, Stores, probe_create_only};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::error::ServiceError;
use super::record::{RunLog, RunRecord};
use super::view::RunView;

/// Requests at once while many objects are read.
const READS_AT_ONCE: usize = 16;
/// The pauses between tries grow from the first to the second; the store's own retries come on top.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Above all instants in milliseconds (the year 2286), so that later ones sort first once subtracted from it.
const MILLISECONDS_MAX: i64 = 9_999_999_999_999;

/// What became of a record that was to be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It stands.
    Ours,
    /// Somebody else has taken that step.
    Lost,
}

/// A run that has not ended, as far as the store tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpenRun {
    pub(super) id: String,
    pub(super) since: Timestamp,
}

/// The records' store.
#[derive(Clone, Debug)]
pub(super) struct Records {
    store: Arc<dyn ObjectStore>,
    root: Location,
    timeout: Duration,
}

impl Records {
    /// Opens the folder `url`, which need not exist, and checks that its store creates objects once.
    pub(super) async fn open(stores: &Stores, url: &str, timeout: Duration) -> Result<Self, ServiceError> {
        let root = Location::parse(url).map_err(ServiceError::StateUrl)?;
        let store = stores.for_location(&root).map_err(ServiceError::Store)?.store;
        let records = Self { store, root, timeout };
        let probe = || async { probe_create_only(records.store.as_ref(), &records.root).await };
        records.retried(probe).await?;
        Ok(records)
    }

    /// Creates a record; nothing else is ever written under its key.
    pub(super) async fn create(&self, id: &str, record: &RunRecord) -> Result<Written, ServiceError> {
        let key = self.record_key(id, record.seq);
        let bytes = encode(&key, record)?;
        let create = || async {
            let payload = PutPayload::from_bytes(bytes.clone());
            match self.store.put_opts(&key, payload, PutMode::Create.into()).await {
                Ok(_) => Ok(Written::Ours),
                // An earlier try may have arrived although its answer did not.
                Err(object_store::Error::AlreadyExists { .. }) => {
                    let standing = self.read(&key).await?;
                    Ok(if standing == bytes { Written::Ours } else { Written::Lost })
                }
                Err(source) => Err(failed("create", &key)(source)),
            }
        };
        self.retried(create).await
    }

    /// Reads all records of a run; nothing where there is none.
    pub(super) async fn log(&self, id: &str) -> Result<Option<RunLog>, ServiceError> {
        let folder = self.folder("runs").join(id);
        let listed = self.store.list(Some(&folder)).map_err(failed("list", &folder));
        let keys: Vec<Path> =
            listed.map_ok(|object| object.location).try_collect().await.map_err(ServiceError::Store)?;
        // A killed writer's temporary files on a local disk have other names.
        let keys = keys.into_iter().filter(|key| key.filename().is_some_and(is_record_name));
        let records: Vec<RunRecord> = stream::iter(keys)
            .map(|key| async move { self.read_json(&key).await })
            .buffer_unordered(READS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(RunLog::new(records))
    }

    /// Notes that run `id` may have records, before it has any.
    pub(super) async fn mark_open(&self, id: &str) -> Result<(), ServiceError> {
        let key = self.folder("open").join(id);
        let put = || async {
            let payload = PutPayload::from_static(b"");
            self.store.put(&key, payload).await.map(drop).map_err(failed("write", &key))
        };
        self.retried(put).await
    }

    /// Notes that run `id` is over, and what became of it.
    pub(super) async fn mark_done(
        &self,
        view: &RunView,
        submitted_at: Timestamp,
    ) -> Result<(), ServiceError> {
        let newest_first = MILLISECONDS_MAX.saturating_sub(submitted_at.as_millisecond()).max(0);
        let key = self.folder("done").join(format!("{newest_first:013}-{}.json", view.id));
        let bytes = encode(&key, view)?;
        let put = || async {
            let payload = PutPayload::from_bytes(bytes.clone());
            self.store.put(&key, payload).await.map(drop).map_err(failed("write", &key))
        };
        self.retried(put).await?;
        self.unmark_open(&view.id).await
    }

    /// Notes that run `id` needs no look at the next start.
    pub(super) async fn unmark_open(&self, id: &str) -> Result<(), ServiceError> {
        let key = self.folder("open").join(id);
        match self.store.delete(&key).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(ServiceError::Store(failed("delete", &key)(source))),
        }
    }

    /// Lists the runs that have not ended.
    pub(super) async fn open_runs(&self) -> Result<Vec<OpenRun>, ServiceError> {
        let folder = self.folder("open");
        let list = || async {
            let listed = self.store.list(Some(&folder)).map_err(failed("list", &folder));
            listed.try_collect::<Vec<_>>().await
        };
        let objects = self.retried(list).await?;
        let open = objects.into_iter().filter_map(|object| {
            let id = object.location.filename().filter(|id| super::ids::is_valid(id))?.to_owned();
            let since = Timestamp::from_millisecond(object.last_modified.timestamp_millis()).ok()?;
            Some(OpenRun { id, since })
        });
        Ok(open.collect())
    }

    /// Reads the newest `limit` finished runs, newest first.
    pub(super) async fn done_runs(&self, limit: usize) -> Result<Vec<RunView>, ServiceError> {
        let folder = self.folder("done");
        let listed = self.store.list(Some(&folder)).map_err(failed("list", &folder));
        let listed = listed.map_ok(|object| object.location);
        // S3 lists in order of the keys, a local disk in its own.
        let mut keys: Vec<Path> = if self.root.is_local() {
            listed.try_collect().await.map_err(ServiceError::Store)?
        } else {
            listed.take(limit).try_collect().await.map_err(ServiceError::Store)?
        };
        keys.sort_unstable();
        keys.retain(|key| key.as_ref().ends_with(".json"));
        keys.truncate(limit);
        let views = stream::iter(keys).map(|key| async move { self.read_json::<RunView>(&key).await });
        let views: Vec<_> = views.buffered(READS_AT_ONCE).collect().await;
        // One damaged account of the past must not hide the others.
        Ok(views.into_iter().filter_map(|view| view.inspect_err(warn_unreadable).ok()).collect())
    }

    /// Tells whether the store answers.
    pub(super) async fn check(&self) -> Result<(), ServiceError> {
        let folder = self.folder("open");
        let mut listed = self.store.list(Some(&folder));
        match listed.next().await {
            Some(Err(source)) => Err(ServiceError::Store(failed("list", &folder)(source))),
            _ => Ok(()),
        }
    }

    fn folder(&self, name: &str) -> Path {
        self.root.path().clone().join(name)
    }

    fn record_key(&self, id: &str, seq: u32) -> Path {
        self.folder("runs").join(id).join(format!("{seq:04}.json"))
    }

    async fn read(&self, key: &Path) -> Result<bytes::Bytes, StoreError> {
        let object = self.store.get(key).await.map_err(failed("read", key))?;
        object.bytes().await.map_err(failed("read", key))
    }

    async fn read_json<T: DeserializeOwned>(&self, key: &Path) -> Result<T, ServiceError> {
        let bytes = self.read(key).await.map_err(ServiceError::Store)?;
        serde_json::from_slice(&bytes)
            .map_err(|source| ServiceError::Record { path: key.to_string(), source })
    }

    /// Tries again until the time is up: a run hangs on each of its records.
    async fn retried<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        request: impl Fn() -> F,
    ) -> Result<T, ServiceError> {
        let begun = Instant::now();
        let mut pause = PAUSES.0;
        loop {
            let error = match request().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if is_lasting(&error) || begun.elapsed() + pause > self.timeout {
                return Err(ServiceError::Store(error));
            }
            tracing::warn!(error = %crate::chain(&error), "the state store fails, trying again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}

fn warn_unreadable(error: &ServiceError) {
    tracing::warn!(error = %crate::chain(error), "the account of a finished run is not readable");
}

fn is_record_name(name: &str) -> bool {
    name.strip_suffix(".json").is_some_and(|seq| seq.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A full disk may be cleared while we wait; a refusal stays one.
fn is_lasting(error: &StoreError) -> bool {
    use object_store::Error;
    match error {
        StoreError::Request { source, .. } => matches!(
            source,
            Error::PermissionDenied { .. }
                | Error::Unauthenticated { .. }
                | Error::NotFound { .. }
                | Error::NotImplemented { .. }
                | Error::InvalidPath { .. }
        ),
        _ => true,
    }
}

fn failed(action: &'static str, key: &Path) -> impl Fn(object_store::Error) -> StoreError + use<> {
    let path = key.to_string();
    move |source| StoreError::Request { action, path: path.clone(), source }
}

fn encode(key: &Path, value: &impl Serialize) -> Result<bytes::Bytes, ServiceError> {
    let bytes =
        serde_json::to_vec(value).map_err(|source| ServiceError::Record { path: key.to_string(), source })?;
    Ok(bytes.into())
}
