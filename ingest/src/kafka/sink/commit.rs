//! Offsets of messages whose objects are there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::{Offset, TopicPartitionList};

use super::error::SinkError;
use super::record::Record;
use super::run::Sink;
use crate::kafka::KafkaFailure;

/// Before a commit that failed is tried again, besides the time until more is stored.
const PAUSE: Duration = Duration::from_secs(1);

/// Attempts at the last commit.
const LAST_ATTEMPTS: u32 = 3;

impl Sink {
    /// Notes messages as stored.
    pub(super) fn note_stored(&mut self, records: &[Record]) {
        for record in records {
            self.uncommitted.insert(record.partition, record.offset + 1);
        }
    }

    /// Commits what is stored. Where that fails for now it is tried again later: the objects are there, and
    /// whoever reads the messages again finds them.
    pub(super) async fn commit(&mut self) -> Result<(), SinkError> {
        if self.uncommitted.is_empty() || self.commit_after.is_some_and(|after| Instant::now() < after) {
            return Ok(());
        }
        self.try_commit().await.map(drop)
    }

    /// Commits for the last time.
    pub(super) async fn commit_last(&mut self) -> Result<(), SinkError> {
        for _ in 0..LAST_ATTEMPTS {
            if self.uncommitted.is_empty() {
                return Ok(());
            }
            match self.try_commit().await? {
                None => {}
                Some(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        match self.try_commit().await? {
            Some(failure) if !self.uncommitted.is_empty() => Err(self.failed(failure)),
            _ => Ok(()),
        }
    }

    /// Returns why nothing was committed, where it may work later.
    async fn try_commit(&mut self) -> Result<Option<KafkaFailure>, SinkError> {
        if self.uncommitted.is_empty() {
            return Ok(None);
        }
        let offsets = self.uncommitted.clone();
        match self.send_offsets(&offsets).await {
            Ok(()) => {
                self.status.committed(&offsets, (self.surroundings.now)());
                self.uncommitted.clear();
                self.commit_after = None;
                Ok(None)
            }
            Err(error) => {
                self.status.count(|counts| counts.commit_failures += 1);
                let failure = KafkaFailure::of(&error, "take offsets", self.address.topic());
                if !failure.is_retryable() {
                    return Err(self.failed(failure));
                }
                tracing::warn!(%error, "offsets could not be committed");
                if is_expelled(&error) {
                    // The partitions are somebody else's, who reads from the last commit on.
                    self.uncommitted.clear();
                }
                self.commit_after = Some(Instant::now() + PAUSE);
                Ok(Some(failure))
            }
        }
    }

    async fn send_offsets(&self, offsets: &BTreeMap<i32, i64>) -> KafkaResult<()> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (partition, next) in offsets {
            list.add_partition_offset(self.address.topic(), *partition, Offset::Offset(*next))?;
        }
        let consumer = self.consumer.clone();
        let commit = move || consumer.commit(&list, CommitMode::Sync);
        tokio::task::spawn_blocking(commit).await.unwrap_or(Err(KafkaError::Canceled))
    }
}

/// Tells whether the group goes on without us.
fn is_expelled(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::IllegalGeneration | Code::UnknownMemberId | Code::FencedInstanceId | Code::StaleMemberEpoch
        )
    )
}
