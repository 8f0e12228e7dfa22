//! What the library tells while it is listened to: which partitions are ours, how far they reach, whether any
//! broker can be reached.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::Statistics;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::status::SinkStatus;
use crate::kafka::client::{self, News};

/// How the library calls a broker that it is connected to.
const UP: &str = "UP";

/// The context of a sink's consumer.
pub(super) struct SinkContext {
    topic: String,
    pub(super) news: News,
    status: Arc<SinkStatus>,
    group: Mutex<Group>,
}

#[derive(Debug, Default)]
struct Group {
    assigned: BTreeSet<i32>,
    /// Whether the group has ever given us partitions, though it be none.
    is_member: bool,
    changes: Changes,
    down_since: Option<Instant>,
}

/// What has happened to the partitions since it was last asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    pub(super) revoked: BTreeSet<i32>,
    pub(super) has_gained: bool,
    pub(super) has_any: bool,
}

impl SinkContext {
    pub(super) fn new(topic: &str, status: Arc<SinkStatus>) -> Self {
        Self { topic: topic.to_owned(), news: News::default(), status, group: Mutex::default() }
    }

    fn group(&self) -> MutexGuard<'_, Group> {
        self.group.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the changes since this was last called.
    pub(super) fn take_changes(&self) -> Changes {
        std::mem::take(&mut self.group().changes)
    }

    /// Returns the partitions that are ours, once the group has told.
    pub(super) fn assigned(&self) -> Option<BTreeSet<i32>> {
        let group = self.group();
        group.is_member.then(|| group.assigned.clone())
    }

    /// Returns for how long no broker could be reached.
    pub(super) fn down_for(&self) -> Option<Duration> {
        self.group().down_since.map(|since| since.elapsed())
    }

    fn partitions(list: &TopicPartitionList) -> BTreeSet<i32> {
        list.elements().iter().map(|element| element.partition()).collect()
    }

    fn gain(&self, list: &TopicPartitionList) {
        let gained = Self::partitions(list);
        let mut group = self.group();
        group.is_member = true;
        group.changes.has_any = true;
        group.changes.has_gained |= !gained.is_empty();
        group.assigned.extend(&gained);
        tracing::info!(topic = self.topic, ?gained, "partitions were assigned");
    }

    fn lose(&self, list: &TopicPartitionList) {
        let lost = Self::partitions(list);
        let mut group = self.group();
        group.changes.has_any = true;
        group.assigned.retain(|partition| !lost.contains(partition));
        group.changes.revoked.extend(&lost);
        tracing::info!(topic = self.topic, ?lost, "partitions were given up");
    }
}

impl ClientContext for SinkContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        let is_up = statistics.brokers.values().any(|broker| broker.state == UP);
        let partitions: BTreeMap<i32, (i64, i64, i64)> = statistics
            .topics
            .get(&self.topic)
            .into_iter()
            .flat_map(|topic| topic.partitions.iter())
            .map(|(partition, found)| {
                (*partition, (found.lo_offset, found.hi_offset, found.committed_offset))
            })
            .collect();
        {
            let mut group = self.group();
            group.down_since = if is_up { None } else { group.down_since.or_else(|| Some(Instant::now())) };
            self.status.brokers_seen(is_up, &group.assigned, &partitions);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        tracing::debug!(%error, reason, "the consumer complains");
        self.status.count(|counts| counts.broker_errors += 1);
        self.news.hear(reason.to_owned());
    }
}

impl ConsumerContext for SinkContext {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(list) = rebalance {
            self.lose(list);
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        self.status.count(|counts| counts.rebalances += 1);
        match rebalance {
            Rebalance::Assign(list) => self.gain(list),
            Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => {
                tracing::warn!(%error, "the group could not be joined; it is tried again");
                self.news.hear(error.to_string());
            }
        }
    }
}
