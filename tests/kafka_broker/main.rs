//! A Kafka broker for tests, driven over stdin: one JSON command a line, one JSON answer a line on stdout.
//!
//! It speaks the real protocol (librdkafka's own stand-in), keeps everything in memory, listens on the loopback
//! interface only, and ends when its stdin does, so that it never outlives the test that started it.

mod topic;

use std::io::{BufRead, Write};

use anyhow::{Context, Result, bail};
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::{Value, json};

/// There is one.
const BROKER: i32 = 1;

fn main() -> Result<()> {
    let cluster = MockCluster::new(1)?;
    let servers = cluster.bootstrap_servers();
    let mut answers = std::io::stdout().lock();
    writeln!(answers, "{}", json!({"servers": servers}))?;
    answers.flush()?;
    for line in std::io::stdin().lock().lines() {
        let command: Value = serde_json::from_str(&line?)?;
        let answer = match obey(&cluster, &servers, &command) {
            Ok(answer) => answer,
            Err(error) => json!({"error": format!("{error:#}")}),
        };
        writeln!(answers, "{answer}")?;
        answers.flush()?;
    }
    Ok(())
}

fn obey<C: rdkafka::ClientContext>(
    cluster: &MockCluster<'_, C>,
    servers: &str,
    command: &Value,
) -> Result<Value> {
    let text = |name: &str| command[name].as_str().with_context(|| format!("no text `{name}`"));
    let number = |name: &str| command[name].as_i64().with_context(|| format!("no number `{name}`"));
    match text("do")? {
        "create_topic" => {
            cluster.create_topic(text("topic")?, i32::try_from(number("partitions")?)?, 1)?;
        }
        "down" => cluster.broker_down(BROKER)?,
        "up" => cluster.broker_up(BROKER)?,
        // Requests of a kind fail, so many of them.
        "request_errors" => {
            let count = usize::try_from(number("count")?)?;
            cluster.request_errors(api(text("api")?)?, &vec![error(text("error")?)?; count]);
        }
        "topic_error" => cluster.topic_error(text("topic")?, error(text("error")?)?)?,
        "produce" => return topic::produce(servers, command),
        "read" => return topic::read(servers, text("topic")?, text("folder")?),
        "committed" => return topic::committed(servers, text("topic")?, text("group")?),
        other => bail!("unknown command `{other}`"),
    }
    Ok(json!({}))
}

fn api(name: &str) -> Result<RDKafkaApiKey> {
    Ok(match name {
        "produce" => RDKafkaApiKey::Produce,
        "fetch" => RDKafkaApiKey::Fetch,
        "commit" => RDKafkaApiKey::OffsetCommit,
        "metadata" => RDKafkaApiKey::Metadata,
        _ => bail!("unknown kind of request `{name}`"),
    })
}

fn error(name: &str) -> Result<RDKafkaRespErr> {
    Ok(match name {
        "none" => RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR,
        "not_leader" => RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        "not_enough_replicas" => RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        "unknown_topic" => RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        "too_large" => RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
        "denied" => RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        "coordinator_loading" => RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
        _ => bail!("unknown error `{name}`"),
    })
}
