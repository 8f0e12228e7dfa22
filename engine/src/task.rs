//! What one task keeps of its work besides the rows that flow through it: the counts that must balance,
//! and the way to the quarantine.
//!
//! `PartitionWriter` opens a ledger per task and hands it to its children inside the task's session
//! configuration, so that operators below a source SQL can divert a record without passing it through
//! that SQL. All operators of a map-only task run in one process, so the ledger never travels; its
//! final counts do, in the task's manifest rows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::record_batch::RecordBatch;
use cambist_udfs::rate::DayRange;
use cambist_udfs::reason::RowReason;
use datafusion::common::{DataFusionError, Result, internal_datafusion_err};
use datafusion::execution::TaskContext;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::exact_sum::{CurrencySums, merge_sums};
use crate::task_input::InputRange;

/// Quarantine batches that may wait for their writer before the operators are held back.
const QUARANTINE_QUEUE_BATCHES: usize = 4;

/// A file whose tail could not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DamagedFile {
    /// The file, as the store names it.
    pub file: String,
    /// What was wrong with it.
    pub detail: String,
}

/// What a task counted; every count is of records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCounts {
    /// Read from the source, broken ones included.
    pub records_in: u64,
    /// Of these, quarantined before the source SQL because the record itself is broken.
    pub broken: u64,
    /// Rows that the source SQL made.
    pub rows_from_sql: u64,
    /// Of these, rows that repeat a record: the SQL made several rows of one.
    pub repeated: u64,
    /// Rows that arrived at the writer.
    pub converted: u64,
    /// Quarantined records by reason code.
    pub quarantined_by_reason: BTreeMap<String, u64>,
    /// Amounts that entered the conversion, by source currency.
    pub source_in: CurrencySums,
    /// Amounts of these that were quarantined.
    pub source_quarantined: CurrencySums,
    /// The first and the last event day of rows that found no rate, by source currency.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unrated_days: BTreeMap<String, DayRange>,
    /// Amounts that arrived at the writer.
    pub source_converted: CurrencySums,
    /// Converted amounts by target currency.
    pub target_totals: CurrencySums,
    /// Files that were read only in part.
    pub damaged_files: Vec<DamagedFile>,
}

impl TaskCounts {
    /// Adds what another task counted.
    pub fn merge(&mut self, other: &Self) {
        self.records_in += other.records_in;
        self.broken += other.broken;
        self.rows_from_sql += other.rows_from_sql;
        self.repeated += other.repeated;
        self.converted += other.converted;
        for (reason, count) in &other.quarantined_by_reason {
            *self.quarantined_by_reason.entry(reason.clone()).or_default() += count;
        }
        merge_sums(&mut self.source_in, &other.source_in);
        merge_sums(&mut self.source_quarantined, &other.source_quarantined);
        for (code, days) in &other.unrated_days {
            self.note_unrated(code, *days);
        }
        merge_sums(&mut self.source_converted, &other.source_converted);
        merge_sums(&mut self.target_totals, &other.target_totals);
        self.damaged_files.extend(other.damaged_files.iter().cloned());
    }

    /// Notes that rows of these event days found no rate.
    pub fn note_unrated(&mut self, code: &str, days: DayRange) {
        let known = self.unrated_days.entry(code.to_owned()).or_insert(days);
        *known = DayRange { first: known.first.min(days.first), last: known.last.max(days.last) };
    }

    /// Returns the number of quarantined records.
    pub fn quarantined(&self) -> u64 {
        self.quarantined_by_reason.values().sum()
    }
}

/// The ledger of one task.
#[derive(Debug)]
pub struct TaskLedger {
    inputs: Mutex<Vec<InputRange>>,
    quarantine: Mutex<Option<mpsc::Sender<RecordBatch>>>,
    counts: Mutex<TaskCounts>,
}

impl TaskLedger {
    /// Opens a ledger; the receiver yields what is quarantined, in the form of
    /// [`crate::quarantine::diverted_schema`].
    pub fn open() -> (Arc<Self>, mpsc::Receiver<RecordBatch>) {
        let (sender, receiver) = mpsc::channel(QUARANTINE_QUEUE_BATCHES);
        let ledger =
            Self { inputs: Mutex::default(), quarantine: Mutex::new(Some(sender)), counts: Mutex::default() };
        (Arc::new(ledger), receiver)
    }

    /// Returns the ledger that the writer above opened for this task.
    ///
    /// # Errors
    /// An internal error where no writer is above.
    pub fn of(context: &TaskContext) -> Result<Arc<Self>> {
        context.session_config().get_extension::<Self>().ok_or_else(|| {
            internal_datafusion_err!("no task ledger, expected a PartitionWriter above this operator")
        })
    }

    /// Notes what the task reads, as the operator that reads it sees it.
    pub fn note_inputs(&self, inputs: &[InputRange]) {
        lock(&self.inputs).extend_from_slice(inputs);
    }

    /// Returns what was noted so far.
    pub fn inputs(&self) -> Vec<InputRange> {
        lock(&self.inputs).clone()
    }

    /// Sends rows to the quarantine; waits while its writer is behind.
    ///
    /// # Errors
    /// Where the quarantine's writer has gone.
    pub async fn quarantine(&self, reasons: &[RowReason], rows: RecordBatch) -> Result<()> {
        self.count(|counts| {
            for reason in reasons {
                *counts.quarantined_by_reason.entry(reason.code().to_owned()).or_default() += 1;
            }
        });
        let sender = lock(&self.quarantine).clone();
        let gone = || DataFusionError::Execution("the quarantine writer has stopped".to_owned());
        sender.ok_or_else(gone)?.send(rows).await.map_err(|_| gone())
    }

    /// Changes the counts.
    pub fn count(&self, change: impl FnOnce(&mut TaskCounts)) {
        change(&mut lock(&self.counts));
    }

    /// Ends the quarantine's queue, so that its writer finishes.
    pub fn close(&self) {
        lock(&self.quarantine).take();
    }

    /// Returns what was counted so far.
    pub fn counts(&self) -> TaskCounts {
        lock(&self.counts).clone()
    }
}

/// Returns `context` with `extension` where the operators below find it.
pub(crate) fn with_extension<T: Send + Sync + 'static>(
    context: &TaskContext,
    extension: Arc<T>,
) -> TaskContext {
    let config = context.session_config().clone().with_extension(extension);
    TaskContext::new(
        context.task_id(),
        context.session_id(),
        config,
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        context.runtime_env(),
    )
}

/// A poisoned lock means another operator of the same task panicked; the counts are then never used.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
