//! What lies in a topic: messages put there by hand, and all of them read back.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde_json::{Value, json};

/// How long one may wait for a broker that is up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Puts a message into a partition: `payload` is a text, `payload_file` names a file; neither is a tombstone.
pub(crate) fn produce(servers: &str, command: &Value) -> Result<Value> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("message.max.bytes", "100000000")
        .create()?;
    let topic = command["topic"].as_str().context("no topic")?;
    let payload = match (command["payload"].as_str(), command["payload_file"].as_str()) {
        (Some(text), _) => Some(text.as_bytes().to_vec()),
        (None, Some(file)) => Some(std::fs::read(file)?),
        (None, None) => None,
    };
    let mut record: BaseRecord<'_, str, [u8]> = BaseRecord::to(topic);
    if let Some(partition) = command["partition"].as_i64() {
        record = record.partition(i32::try_from(partition)?);
    }
    if let Some(key) = command["key"].as_str() {
        record = record.key(key);
    }
    if let Some(payload) = &payload {
        record = record.payload(payload);
    }
    if let Some(headers) = command["headers"].as_object() {
        let headers = headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: value.as_str() })
        });
        record = record.headers(headers);
    }
    producer.send(record).map_err(|(error, _)| error)?;
    producer.flush(PATIENCE)?;
    Ok(json!({}))
}

/// Writes the payload of every message to `folder/<partition>/<offset>`, and returns how far partitions reach
/// and every message's key.
pub(crate) fn read(servers: &str, topic: &str, folder: &str) -> Result<Value> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", "tests")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()?;
    let partitions = partitions(&consumer, topic)?;
    let mut list = TopicPartitionList::new();
    for partition in &partitions {
        list.add_partition_offset(topic, *partition, Offset::Beginning)?;
        std::fs::create_dir_all(Path::new(folder).join(partition.to_string()))?;
    }
    consumer.assign(&list)?;
    let mut next: BTreeMap<i32, i64> = partitions.iter().map(|partition| (*partition, 0)).collect();
    let mut keys: BTreeMap<i32, Vec<Option<String>>> = BTreeMap::new();
    let mut open = partitions.len();
    while open > 0 {
        match consumer.poll(PATIENCE).ok_or_else(|| anyhow!("the broker gives nothing"))? {
            Ok(message) => {
                let (partition, offset) = (message.partition(), message.offset());
                let file = Path::new(folder).join(partition.to_string()).join(offset.to_string());
                std::fs::write(file, message.payload().unwrap_or_default())?;
                let key = message.key().map(|key| String::from_utf8_lossy(key).into_owned());
                keys.entry(partition).or_default().push(key);
                next.insert(partition, offset + 1);
            }
            Err(KafkaError::PartitionEOF(_)) => open -= 1,
            Err(error) => return Err(error.into()),
        }
    }
    let text = |map: BTreeMap<i32, Value>| -> Value {
        map.into_iter().map(|(partition, value)| (partition.to_string(), value)).collect()
    };
    let next = next.into_iter().map(|(partition, next)| (partition, json!(next))).collect();
    let keys = keys.into_iter().map(|(partition, keys)| (partition, json!(keys))).collect();
    Ok(json!({"next": text(next), "keys": text(keys)}))
}

/// Returns the offset that a group reads next, by partition; null where it has committed none.
pub(crate) fn committed(servers: &str, topic: &str, group: &str) -> Result<Value> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", servers).set("group.id", group).create()?;
    let mut list = TopicPartitionList::new();
    for partition in partitions(&consumer, topic)? {
        list.add_partition(topic, partition);
    }
    let committed = consumer.committed_offsets(list, PATIENCE)?;
    let next = |offset| match offset {
        Offset::Offset(next) => json!(next),
        _ => Value::Null,
    };
    Ok(committed
        .elements()
        .iter()
        .map(|element| (element.partition().to_string(), next(element.offset())))
        .collect())
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> Result<Vec<i32>> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let found = metadata.topics().first().context("no such topic")?;
    Ok(found.partitions().iter().map(|partition| partition.id()).collect())
}
