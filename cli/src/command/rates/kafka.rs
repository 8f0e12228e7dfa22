//! What the command line says of the way to Kafka's brokers.

use std::fs;
use std::time::Duration;

use cambist_ingest::kafka::KafkaOptions;
use cambist_jobs::error::{JobError, Result};

use crate::arguments::KafkaArguments;

/// librdkafka wants its times in a signed number of milliseconds; and who waits longer waits for ever.
const BROKER_TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn options(arguments: &KafkaArguments) -> Result<KafkaOptions> {
    let broker_timeout = arguments.broker_timeout;
    if broker_timeout.is_zero() || broker_timeout > BROKER_TIMEOUT_MAX {
        let found = broker_timeout.as_secs();
        return Err(JobError::usage(format!(
            "--broker-timeout is {found} s, expected more than 0 and at most 24h"
        )));
    }
    let properties = match &arguments.kafka_config {
        None => Vec::new(),
        Some(file) => {
            let unusable = || JobError::usage(format!("--kafka-config: `{}` cannot be used", file.display()));
            let text = fs::read_to_string(file).map_err(|error| unusable().caused_by(error))?;
            KafkaOptions::parse_properties(&text).map_err(|error| unusable().caused_by(error))?
        }
    };
    Ok(KafkaOptions { properties, broker_timeout })
}
