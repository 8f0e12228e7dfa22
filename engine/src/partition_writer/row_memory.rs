//! The memory pool's consent to a task's buffered rows.

use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};

/// With less than this a task does not begin: its row groups would be too small to be read well.
const MINIMUM_BYTES: usize = 8 << 20;

/// Buffered rows are copied once more while their row group is made.
const COPIES: usize = 2;

/// What the pool has granted to one task's row buffer.
#[derive(Debug)]
pub(super) struct RowMemory(MemoryReservation);

impl RowMemory {
    /// Asks for the least that a task can work with.
    ///
    /// # Errors
    /// `ResourcesExhausted` where the pool has not even that.
    pub(super) fn of(pool: &Arc<dyn MemoryPool>) -> Result<Self> {
        let consumer = MemoryConsumer::new("PartitionWriter row buffer").with_can_spill(true);
        let reservation = consumer.register(pool);
        reservation.try_grow(MINIMUM_BYTES).map_err(|error| {
            let wanted = MINIMUM_BYTES >> 20;
            DataFusionError::ResourcesExhausted(format!(
                "a task needs at least {wanted} MiB for the rows that it writes: {}",
                error.strip_backtrace()
            ))
        })?;
        Ok(Self(reservation))
    }

    /// Asks for room for `bytes` of rows in all; tells whether there is.
    pub(super) fn admits(&self, bytes: usize) -> bool {
        let wanted = bytes.saturating_mul(COPIES);
        let granted = self.0.size();
        wanted <= granted || self.0.try_grow(wanted - granted).is_ok()
    }

    /// Gives back all but the least.
    pub(super) fn release(&self) {
        self.0.resize(MINIMUM_BYTES);
    }
}
