//! Connections to other executors, kept for the next one who reads from there.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ballista_core::client::BallistaClient;
use ballista_core::client_pool::{BallistaClientPool, PooledClient};
use ballista_core::error::Result;
use ballista_core::extension::BallistaConfigGrpcEndpoint;
use ballista_core::utils::GrpcClientConfig;
use tokio::time::Instant;

/// A connection that nobody has used for this long is closed.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Connections that are kept; the one that was used least recently goes first.
const KEPT_MAX: usize = 256;

/// The connections that nobody uses now.
#[derive(Clone, Default)]
pub(crate) struct Clients(Arc<Mutex<VecDeque<Idle>>>);

struct Idle {
    address: Address,
    client: BallistaClient,
    since: Instant,
}

#[derive(PartialEq)]
struct Address {
    host: String,
    port: u16,
    config: GrpcClientConfig,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
    }
}

impl Clients {
    /// Those that have not been idle for too long, the oldest first.
    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while idle.front().is_some_and(|oldest| oldest.since.elapsed() > IDLE_MAX) {
            idle.pop_front();
        }
        idle
    }

    fn take(&self, address: &Address) -> Option<BallistaClient> {
        let mut idle = self.idle();
        let place = idle.iter().rposition(|idle| idle.address == *address)?;
        idle.remove(place).map(|idle| idle.client)
    }

    fn keep(&self, address: Address, client: BallistaClient) {
        let mut idle = self.idle();
        if idle.len() >= KEPT_MAX {
            idle.pop_front();
        }
        idle.push_back(Idle { address, client, since: Instant::now() });
    }
}

#[async_trait]
impl BallistaClientPool for Clients {
    async fn acquire(
        &self,
        host: &str,
        port: u16,
        config: &GrpcClientConfig,
        customize_endpoint: Option<Arc<BallistaConfigGrpcEndpoint>>,
    ) -> Result<PooledClient> {
        let address = Address { host: host.to_owned(), port, config: config.clone() };
        let client = match self.take(&address) {
            Some(client) => client,
            None => {
                BallistaClient::try_new(
                    host,
                    port,
                    config.max_message_size,
                    config.use_tls,
                    customize_endpoint,
                    config.io_retries_times,
                    config.io_retry_wait_time_ms,
                    config.initial_connection_window_size,
                    config.initial_stream_window_size,
                )
                .await?
            }
        };
        let clients = self.clone();
        Ok(PooledClient::new(client, Box::new(move |client| clients.keep(address, client))))
    }

    async fn evict_idle(&self) {
        drop(self.idle());
    }
}
