//! The flags of what talks to Kafka.

use std::path::PathBuf;
use std::time::Duration;

use cambist_ingest::kafka::sink_options::Names;
use clap::{Args, value_parser};

use super::ledger::GateArguments;
use crate::duration;

/// How brokers are reached.
#[derive(Debug, Args)]
pub(crate) struct KafkaArguments {
    /// A file of librdkafka's properties, `name=value` a line, such as those of TLS and SASL.
    #[arg(long, value_name = "FILE", help_heading = "Kafka", env = "CAMBIST_KAFKA_CONFIG")]
    pub(crate) kafka_config: Option<PathBuf>,
    /// How long no broker may answer before the command ends.
    #[arg(long, value_name = "TIME", help_heading = "Kafka", default_value = "60s", value_parser = duration::parse)]
    pub(crate) broker_timeout: Duration,
}

/// Store what lies in a topic, each message once.
///
/// A message's object is created before its offset is committed, and never overwritten: a sink that is killed
/// at any moment repeats messages, and finds their objects there. Sinks of one group share the topic's
/// partitions. A message that is no document of rates goes to `_dead_letter/` with its offset and the reason,
/// and stops nothing.
///
/// Runs until SIGINT or SIGTERM; then what was read is stored and committed. Exit codes: 0 stopped or idle,
/// 1 no such topic, or another topic's objects are in the way, 2 usage, 20 brokers or store failed for now.
#[derive(Debug, Args)]
pub(crate) struct RatesSinkArguments {
    /// The topic: `kafka://host:port/topic`, several brokers with commas between.
    #[arg(long, value_name = "URL")]
    pub(crate) from: String,
    /// Where objects go: a folder or `s3://`.
    #[arg(long, value_name = "URL")]
    pub(crate) to: String,
    /// The consumer group.
    #[arg(long, value_name = "NAME", default_value = "cambist-sink")]
    pub(crate) group: String,
    /// date: a ledger of rates, `2024-05-01.json` and its versions. connect: one object a message, as Kafka
    /// Connect names them, `topics/<topic>/partition=<p>/<topic>+<p>+<offset>.json`.
    #[arg(long, value_name = "NAMES", default_value = "date")]
    pub(crate) names: Names,
    /// Ends when all is read and nothing came for so long: `10s`.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) until_idle: Option<Duration>,
    /// Serves /metrics, /healthz and /readyz at this address: `127.0.0.1:9100`.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Option<String>,

    /// Messages that are stored and committed at once.
    #[arg(long, value_name = "MESSAGES", help_heading = "Batches", default_value_t = 500, value_parser = value_parser!(u32).range(1..=100_000))]
    pub(crate) batch_messages: u32,
    /// Bytes that are stored and committed at once, in MiB.
    #[arg(long, value_name = "MIB", help_heading = "Batches", default_value_t = 16, value_parser = value_parser!(u32).range(1..=1024))]
    pub(crate) batch_mib: u32,
    /// The longest time from a message to its being stored, while the store answers.
    #[arg(long, value_name = "TIME", help_heading = "Batches", default_value = "500ms", value_parser = duration::parse)]
    pub(crate) batch_wait: Duration,
    /// Larger messages go to the dead letters, in MiB.
    #[arg(long, value_name = "MIB", help_heading = "Batches", default_value_t = 16, value_parser = value_parser!(u32).range(1..=256))]
    pub(crate) message_mib_max: u32,
    /// How long a batch is tried to be stored before the command ends.
    #[arg(long, value_name = "TIME", help_heading = "Batches", default_value = "5m", value_parser = duration::parse)]
    pub(crate) store_patience: Duration,
    #[command(flatten)]
    pub(crate) gates: GateArguments,
    #[command(flatten)]
    pub(crate) kafka: KafkaArguments,
    /// Print the JSON summary only.
    #[arg(long)]
    pub(crate) json: bool,
}
