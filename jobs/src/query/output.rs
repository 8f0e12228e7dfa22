//! The file of a result: created once, whole, and never replaced.

use std::sync::Arc;

use bytes::Bytes;
use cambist_engine::location::Location;
use cambist_engine::parquet_object::ParquetObject;
use cambist_engine::store::{StoreError, Stores, probe_create_only};
use cambist_engine::table::Staging;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use serde::{Deserialize, Serialize};

use super::encode::{Encoded, FileFormat, HASH_KEY, is_same_text};
use super::options::QueryConfig;
use super::report::QueryReport;
use crate::context::RunContext;
use crate::digest::sha256_hex;
use crate::error::{JobError, Result};
use crate::input::{of_store, of_table};
use crate::staged::discard;

/// The folder beside the output in which runs on a cluster keep what their tasks and later attempts need.
const SCRATCH_FOLDER: &str = "_query";

/// An attempt's account of the file that it is about to create.
const INTENT: &str = "result.json";

/// The file that an attempt was about to create: a later attempt knows it by its digest.
#[derive(Debug, Serialize, Deserialize)]
struct Intent {
    sha256: String,
    report: QueryReport,
}

/// What stands in the output's place.
#[derive(Debug)]
pub(super) enum Standing {
    /// Nothing.
    Absent,
    /// A file with the same rows.
    Same,
    /// Anything else.
    Other,
}

/// The output of a query.
#[derive(Debug)]
pub(super) struct Output {
    location: Location,
    scratch: Location,
    stores: Stores,
    store: Arc<dyn ObjectStore>,
    format: FileFormat,
}

impl Output {
    pub(super) fn open(config: &QueryConfig, stores: &Stores) -> Result<Self> {
        let invalid = |error: cambist_engine::location::LocationError| JobError::usage(error.to_string());
        let location = Location::parse(&config.output_url).map_err(invalid)?;
        let mut folder: Vec<_> = location.path().parts().collect();
        folder.pop();
        let scratch =
            location.with_path(folder.into_iter().collect()).join(SCRATCH_FOLDER).map_err(invalid)?;
        let store = stores.for_location(&location).map_err(|error| of_store(&error))?.store;
        Ok(Self { location, scratch, stores: stores.clone(), store, format: config.output_format })
    }

    /// Returns the output's place as the user would write it.
    pub(super) fn place(&self) -> String {
        self.location.to_string()
    }

    /// Returns where the attempt `name` keeps objects.
    pub(super) fn staging(&self, name: &str) -> Result<Staging> {
        Staging::new(&self.stores, &self.scratch, name).map_err(|error| of_table(&error))
    }

    /// Tells what stands in the output's place.
    pub(super) async fn standing(&self, encoded: &Encoded) -> Result<Standing> {
        let Some(bytes) = self.size().await? else { return Ok(Standing::Absent) };
        let is_same = match self.format {
            FileFormat::Parquet => self.is_same_parquet(encoded, bytes).await?,
            _ if bytes != encoded.bytes.len() as u64 => false,
            format => is_same_text(format, &self.read().await?, &encoded.bytes),
        };
        Ok(if is_same { Standing::Same } else { Standing::Other })
    }

    async fn is_same_parquet(&self, encoded: &Encoded, bytes: u64) -> Result<bool> {
        let object = ParquetObject::new(Arc::clone(&self.store), self.location.path().clone(), bytes);
        let found = match ParquetRecordBatchStreamBuilder::new(object).await {
            Ok(found) => found,
            Err(parquet::errors::ParquetError::External(error)) => {
                return match error.downcast::<object_store::Error>() {
                    Ok(error) => Err(of_store(&StoreError::request("read", &self.location)(*error))),
                    Err(_) => Ok(false),
                };
            }
            // Whatever it is, it is no result of ours.
            Err(_) => return Ok(false),
        };
        let kept = found.metadata().file_metadata().key_value_metadata();
        let hash = kept.into_iter().flatten().find(|pair| pair.key == HASH_KEY);
        let is_hash = hash.and_then(|pair| pair.value.as_deref()) == Some(&encoded.content_hash.to_string());
        Ok(is_hash && found.schema().fields() == encoded.columns.fields())
    }

    /// Refuses a store in which two writers could both create the file.
    pub(super) async fn probe(&self) -> Result<()> {
        if self.location.is_local() {
            return Ok(());
        }
        probe_create_only(self.store.as_ref(), &self.scratch).await.map_err(|error| of_store(&error))
    }

    /// Creates the file; tells whether it was not there.
    pub(super) async fn create(&self, bytes: Bytes) -> Result<bool> {
        match self.store.put_opts(self.location.path(), bytes.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(of_store(&StoreError::request("create", &self.location)(error))),
        }
    }

    /// Tells whether the file is `bytes`, byte for byte.
    pub(super) async fn is(&self, bytes: &Bytes) -> Result<bool> {
        Ok(self.size().await? == Some(bytes.len() as u64) && self.read().await? == *bytes)
    }

    /// Notes in `staging` what the attempt is about to create, for those after it.
    pub(super) async fn intend(
        &self,
        staging: &Staging,
        encoded: &Encoded,
        report: &QueryReport,
    ) -> Result<()> {
        let intent = Intent { sha256: sha256_hex(&encoded.bytes), report: report.clone() };
        let json = serde_json::to_vec(&intent)
            .map_err(|error| JobError::data("the report is not JSON").caused_by(error))?;
        staging.put_new(INTENT, json.into()).await.map_err(|error| of_table(&error))?;
        Ok(())
    }

    /// Returns the report of the attempt before this one that has created the file.
    pub(super) async fn created_before(&self, context: &RunContext) -> Result<Option<QueryReport>> {
        let mut digest = None;
        for attempt in 1..context.attempt {
            let staging = self.staging(&RunContext { attempt, ..context.clone() }.staging_name())?;
            let Some(json) = staging.get(INTENT).await.map_err(|error| of_table(&error))? else { continue };
            let Ok(intent) = serde_json::from_slice::<Intent>(&json) else { continue };
            if self.size().await? != Some(intent.report.bytes) {
                continue;
            }
            if digest.is_none() {
                digest = Some(sha256_hex(&self.read().await?));
            }
            if digest.as_deref() == Some(&intent.sha256) {
                return Ok(Some(intent.report));
            }
        }
        Ok(None)
    }

    /// Removes what the attempts at a run have kept; what cannot be removed does no harm.
    pub(super) async fn clear(&self, context: &RunContext) {
        for attempt in 1..=context.attempt {
            if let Ok(staging) = self.staging(&RunContext { attempt, ..context.clone() }.staging_name()) {
                discard(&staging).await;
            }
        }
        if let Some(folder) = self.scratch.local_path() {
            // Not empty: another run is at work.
            let _ = tokio::fs::remove_dir(folder).await;
        }
    }

    async fn size(&self) -> Result<Option<u64>> {
        match self.store.head(self.location.path()).await {
            Ok(object) => Ok(Some(object.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(of_store(&StoreError::request("read", &self.location)(error))),
        }
    }

    async fn read(&self) -> Result<Bytes> {
        let read = async { self.store.get(self.location.path()).await?.bytes().await };
        read.await.map_err(|error| of_store(&StoreError::request("read", &self.location)(error)))
    }
}
