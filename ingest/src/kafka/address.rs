//! `kafka://host:port,host:port/topic`.

use std::fmt;

/// What the addresses of topics begin with.
const SCHEME: &str = "kafka://";

/// The port of a broker whose address tells none.
const DEFAULT_PORT: u16 = 9092;

/// Kafka's own limit.
const TOPIC_CHARS_MAX: usize = 249;

/// The brokers to ask first, and a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaAddress {
    brokers: Vec<String>,
    topic: String,
}

/// Why a text is no address of a topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` {found}, expected `kafka://host:port/topic`, several brokers with commas between")]
pub struct AddressError {
    text: String,
    found: &'static str,
}

impl KafkaAddress {
    /// Tells whether `url` is meant for Kafka.
    pub fn is_meant(url: &str) -> bool {
        url.get(..SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
    }

    /// Reads an address.
    ///
    /// # Errors
    /// [`AddressError`] where it is none.
    pub fn parse(url: &str) -> Result<Self, AddressError> {
        let failed = |found| AddressError { text: url.to_owned(), found };
        if !Self::is_meant(url) {
            return Err(failed("is no address of Kafka"));
        }
        let rest = &url[SCHEME.len()..];
        let (brokers, topic) = rest.split_once('/').ok_or_else(|| failed("names no topic"))?;
        let topic = topic.strip_suffix('/').unwrap_or(topic);
        if topic.is_empty() {
            return Err(failed("names no topic"));
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if topic.len() > TOPIC_CHARS_MAX || matches!(topic, "." | "..") || !topic.bytes().all(is_plain) {
            return Err(failed("names a topic that Kafka does not allow"));
        }
        let brokers: Option<Vec<String>> = brokers.split(',').map(broker).collect();
        let brokers = brokers.ok_or_else(|| failed("names brokers otherwise than as `host:port`"))?;
        Ok(Self { brokers, topic: topic.to_owned() })
    }

    /// Returns the brokers as librdkafka wants them.
    pub fn brokers(&self) -> String {
        self.brokers.join(",")
    }

    /// Returns the topic's name.
    pub fn topic(&self) -> &str {
        &self.topic
    }
}

impl fmt::Display for KafkaAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.brokers(), self.topic)
    }
}

/// A broker with its port. A password has no place here.
fn broker(text: &str) -> Option<String> {
    let (host, port) = match text.rsplit_once(':') {
        // The colons of an address of six parts belong to the host.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse::<u16>().ok()?),
        _ => (text, DEFAULT_PORT),
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':');
    let is_usable = !host.is_empty() && host.chars().all(is_host) && port > 0;
    is_usable.then(|| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_brokers_and_a_topic() {
        for (text, brokers, topic) in [
            ("kafka://localhost:9092/rates", "localhost:9092", "rates"),
            ("KAFKA://a,b:1/exchange-rates.v1/", "a:9092,b:1", "exchange-rates.v1"),
            ("kafka://[::1]:7/t", "[::1]:7", "t"),
            ("kafka://[::1]/t", "[::1]:9092", "t"),
        ] {
            let address = KafkaAddress::parse(text).unwrap();
            assert_eq!((address.brokers().as_str(), address.topic()), (brokers, topic), "{text}");
            assert_eq!(KafkaAddress::parse(&address.to_string()), Ok(address));
        }
    }

    #[test]
    fn what_is_none_is_told_apart() {
        for (text, found) in [
            ("s3://bucket/rates", "no address of Kafka"),
            ("kafka://localhost:9092", "names no topic"),
            ("kafka://localhost:9092/", "names no topic"),
            ("kafka://localhost/a/b", "does not allow"),
            ("kafka://localhost/a b", "does not allow"),
            ("kafka://localhost/..", "does not allow"),
            ("kafka:///t", "as `host:port`"),
            ("kafka://a,,b/t", "as `host:port`"),
            ("kafka://a:70000/t", "as `host:port`"),
            ("kafka://user:secret@a:1/t", "as `host:port`"),
        ] {
            let error = KafkaAddress::parse(text).unwrap_err().to_string();
            assert!(error.contains(found), "{text}: {error}");
        }
    }
}
