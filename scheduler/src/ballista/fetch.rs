//! Brings the rows of a finished plan from the executors that hold them.

use std::collections::HashMap;
use std::time::Duration;

use ballista_core::client::BallistaClient;
use ballista_core::serde::protobuf::PartitionLocation;
use cambist_engine::session::MESSAGE_BYTES_MAX;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::timeout;

use super::settings::ClusterSettings;

/// Result partitions that are fetched at once.
const CONCURRENT_FETCHES: usize = 16;

/// Tries per partition before its executor counts as lost, and the pause between them.
const TRIES: u8 = 3;
const TRY_PAUSE_MS: u64 = 100;

/// Why the rows of a finished plan did not arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// An executor is gone or does not answer: run the plan again.
    #[error("executor {executor} did not deliver its result: {reason}")]
    Lost { executor: String, reason: String },
    /// The rows do not fit into the driver: running it again does not help.
    #[error("the result is larger than {bytes_max} bytes")]
    TooLarge { bytes_max: usize },
}

pub(super) async fn fetch(
    locations: Vec<PartitionLocation>,
    settings: &ClusterSettings,
) -> Result<Vec<RecordBatch>, FetchError> {
    cambist_engine::fault::point("cluster.fetching");
    let clients = connect(&locations, settings.fetch_timeout).await?;
    let mut parts = stream::iter(locations)
        .map(|location| fetch_partition(location, &clients, settings))
        .buffered(CONCURRENT_FETCHES);
    let mut batches = Vec::new();
    let mut bytes = 0;
    while let Some(part) = parts.next().await {
        let part = part?;
        bytes += bytes_of(&part);
        if bytes > settings.result_bytes_max {
            return Err(FetchError::TooLarge { bytes_max: settings.result_bytes_max });
        }
        batches.extend(part);
    }
    Ok(batches)
}

type Address = (String, u16);

async fn connect(
    locations: &[PartitionLocation],
    patience: Duration,
) -> Result<HashMap<Address, BallistaClient>, FetchError> {
    let mut clients = HashMap::new();
    for location in locations {
        let Some(executor) = &location.executor_meta else { continue };
        let address = (executor.host.clone(), port(executor.port));
        if clients.contains_key(&address) {
            continue;
        }
        let (host, port) = (&address.0, address.1);
        let max_bytes = MESSAGE_BYTES_MAX;
        let connecting =
            BallistaClient::try_new(host, port, max_bytes, false, None, TRIES, TRY_PAUSE_MS, 0, 0);
        let client = timeout(patience, connecting)
            .await
            .map_err(|_| lost(&executor.id, "it cannot be connected to in time"))?
            .map_err(|error| lost(&executor.id, error))?;
        clients.insert(address, client);
    }
    Ok(clients)
}

async fn fetch_partition(
    location: PartitionLocation,
    clients: &HashMap<Address, BallistaClient>,
    settings: &ClusterSettings,
) -> Result<Vec<RecordBatch>, FetchError> {
    let executor = executor_of(&location);
    let fetching = async {
        let mut rows = open(location, clients).await?;
        let mut batches = Vec::new();
        let mut bytes = 0;
        while let Some(batch) = rows.try_next().await.map_err(|error| lost(&executor, error))? {
            bytes += batch.get_array_memory_size();
            if bytes > settings.result_bytes_max {
                return Err(FetchError::TooLarge { bytes_max: settings.result_bytes_max });
            }
            batches.push(batch);
        }
        Ok(batches)
    };
    timeout(settings.fetch_timeout, fetching)
        .await
        .map_err(|_| lost(&executor, "it does not answer in time"))?
}

/// Opens the rows of one partition.
async fn open(
    location: PartitionLocation,
    clients: &HashMap<Address, BallistaClient>,
) -> Result<SendableRecordBatchStream, FetchError> {
    let layout = location.layout();
    let (Some(executor), Some(partition)) = (location.executor_meta, location.partition_id) else {
        return Err(lost("of no name", "the scheduler does not say where its result lies"));
    };
    let Some(client) = clients.get(&(executor.host.clone(), port(executor.port))) else {
        return Err(lost(&executor.id, "it is not connected"));
    };
    let mut client = client.clone();
    client
        .fetch_partition(&executor.id, &partition.into(), location.file_id, layout, true)
        .await
        .map_err(|error| lost(&executor.id, error))
}

/// The rows of a finished plan, one partition after the other; no more than a batch or two are in memory.
pub(super) struct FetchedRows {
    clients: HashMap<Address, BallistaClient>,
    settings: ClusterSettings,
    waiting: std::vec::IntoIter<PartitionLocation>,
    open: Option<(String, SendableRecordBatchStream)>,
}

impl FetchedRows {
    /// Connects to the executors that hold them.
    pub(super) async fn connect(
        mut locations: Vec<PartitionLocation>,
        settings: ClusterSettings,
    ) -> Result<Self, FetchError> {
        cambist_engine::fault::point("cluster.fetching");
        let clients = connect(&locations, settings.fetch_timeout).await?;
        let partition = |location: &PartitionLocation| {
            location.partition_id.as_ref().map_or(0, |partition| partition.partition_id)
        };
        locations.sort_by_key(partition);
        Ok(Self { clients, settings, waiting: locations.into_iter(), open: None })
    }

    /// Returns the next rows. Only the wait for an executor is bounded: a reader may take its time.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>, FetchError> {
        let patience = self.settings.fetch_timeout;
        loop {
            let Some((executor, rows)) = &mut self.open else {
                let Some(location) = self.waiting.next() else { return Ok(None) };
                let executor = executor_of(&location);
                let opening = timeout(patience, open(location, &self.clients)).await;
                let rows = opening.map_err(|_| lost(&executor, "it does not answer in time"))??;
                self.open = Some((executor, rows));
                continue;
            };
            let next = timeout(patience, rows.try_next()).await;
            let next = next.map_err(|_| lost(executor, "it does not answer in time"))?;
            match next.map_err(|error| lost(executor, error))? {
                Some(batch) => return Ok(Some(batch)),
                None => self.open = None,
            }
        }
    }
}

fn executor_of(location: &PartitionLocation) -> String {
    location.executor_meta.as_ref().map_or_else(|| "of no name".to_owned(), |executor| executor.id.clone())
}

fn bytes_of(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::get_array_memory_size).sum()
}

/// Ballista's message has 32 bits for a port.
fn port(port: u32) -> u16 {
    u16::try_from(port).unwrap_or_default()
}

fn lost(executor: &str, reason: impl ToString) -> FetchError {
    FetchError::Lost { executor: executor.to_owned(), reason: reason.to_string() }
}
