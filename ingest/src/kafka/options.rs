//! What a user may say of the way to the brokers.

use std::time::Duration;

/// Properties that the program sets itself, because its promises rest on them.
const OWN_PROPERTIES: &[&str] = &[
    "acks",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "metadata.broker.list",
    "request.required.acks",
    "statistics.interval.ms",
];

/// How brokers are reached, and for how long they may be gone.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// Properties of librdkafka, such as those of TLS and SASL.
    pub properties: Vec<(String, String)>,
    /// How long no broker may answer before one gives up.
    pub broker_timeout: Duration,
}

/// Why a file of properties cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// It is no property. Its text may be a secret and is not shown.
    #[error("line {line} is no property, expected `name=value`")]
    NoProperty {
        /// The line, from 1.
        line: usize,
    },
    /// The program sets it itself.
    #[error("line {line} sets `{name}`, which is not to be set: the program does")]
    NotYours {
        /// The line, from 1.
        line: usize,
        /// The property.
        name: String,
    },
}

impl KafkaOptions {
    /// Reads the text of a file of properties: `name=value`, comments begin with `#`.
    ///
    /// # Errors
    /// [`OptionsError`] at the first line that cannot be used.
    pub fn parse_properties(text: &str) -> Result<Vec<(String, String)>, OptionsError> {
        let mut properties = Vec::new();
        for (position, line) in text.lines().enumerate() {
            let (line, number) = (line.trim(), position + 1);
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let (name, value) = line.split_once('=').ok_or(OptionsError::NoProperty { line: number })?;
            let (name, value) = (name.trim(), value.trim());
            if name.is_empty() {
                return Err(OptionsError::NoProperty { line: number });
            }
            if OWN_PROPERTIES.contains(&name) {
                return Err(OptionsError::NotYours { line: number, name: name.to_owned() });
            }
            properties.push((name.to_owned(), value.to_owned()));
        }
        Ok(properties)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_and_those_of_the_program_refused() {
        let read = KafkaOptions::parse_properties(
            "# of the client\n\nsecurity.protocol = SASL_SSL\nsasl.password=a=b\n",
        );
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read, Ok(vec![pair("security.protocol", "SASL_SSL"), pair("sasl.password", "a=b")]));
        let refused = KafkaOptions::parse_properties("a=b\nacks=0").unwrap_err();
        assert_eq!(refused, OptionsError::NotYours { line: 2, name: "acks".to_owned() });
        let refused = KafkaOptions::parse_properties("hunter2").unwrap_err();
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }
}
