//! Payloads on their way into the ledger, so many at once that requests overlap and so few that memory is bounded.

use cambist_engine::rates::ledger::{Appended, LedgerError, LedgerWriter, Received};
use cambist_udfs::reason::SnapshotReason;

use super::{Import, ImportError, Summary};

/// Requests overlap well by then, and the progress still moves.
const CHUNK_PAYLOADS: usize = 256;
/// So many payloads are a few MiB as a rule; histories are larger.
const CHUNK_BYTES: usize = 64 << 20;

/// The ledger, and what it will be given next.
pub(super) struct Chunk<'a> {
    writer: LedgerWriter,
    pub(super) import: &'a Import<'a>,
    waiting: Vec<Received>,
    waiting_bytes: usize,
    summary: Summary,
    /// Bytes of the files that are read.
    pub(super) read: u64,
    total: u64,
}

impl<'a> Chunk<'a> {
    pub(super) fn new(writer: LedgerWriter, import: &'a Import<'a>, total: u64) -> Self {
        let (waiting, summary) = (Vec::new(), Summary::default());
        Self { writer, import, waiting, waiting_bytes: 0, summary, read: 0, total }
    }

    /// Takes a payload, and appends what has gathered where that is enough.
    pub(super) async fn add(&mut self, received: Received) -> Result<(), ImportError> {
        self.waiting_bytes += received.bytes.len();
        self.waiting.push(received);
        if self.waiting.len() >= CHUNK_PAYLOADS || self.waiting_bytes >= CHUNK_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    /// Counts what is no payload.
    pub(super) fn refuse(&mut self, origin: &str, reason: SnapshotReason, detail: String) {
        self.summary.payloads += 1;
        self.summary.refuse(origin, reason.code(), detail);
    }

    /// Counts a deletion: what was known stays known.
    pub(super) fn ignore_deletion(&mut self) {
        self.summary.deletions_ignored += 1;
    }

    async fn flush(&mut self) -> Result<(), ImportError> {
        self.waiting_bytes = 0;
        let payloads = std::mem::take(&mut self.waiting);
        let appended = self.writer.append_all(payloads, self.import.now).await;
        for outcome in appended.map_err(|source| self.failed(source))? {
            self.summary.payloads += 1;
            match outcome {
                Ok(Appended::Stored { held, findings, .. }) => self.summary.store(&held, &findings),
                Ok(Appended::Unchanged { .. }) => self.summary.unchanged += 1,
                Err(LedgerError::Refused { origin, source }) => {
                    self.summary.refuse(&origin, source.reason.code(), source.detail);
                }
                Err(other) => return Err(self.failed(other)),
            }
        }
        (self.import.on_progress)(self.read.min(self.total), self.total);
        Ok(())
    }

    fn failed(&self, source: LedgerError) -> ImportError {
        ImportError::Ledger { to: self.import.to.to_owned(), source }
    }

    /// Appends the rest, and brings the index up to date.
    pub(super) async fn finish(mut self) -> Result<Summary, ImportError> {
        self.flush().await?;
        let to = self.import.to.to_owned();
        let finished = self.writer.finish(self.import.now).await;
        finished.map_err(|source| ImportError::Ledger { to, source })?;
        Ok(self.summary)
    }
}
