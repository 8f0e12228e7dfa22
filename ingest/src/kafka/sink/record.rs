//! One message as it was read.

use bytes::Bytes;
use cambist_udfs::rate::InstantMicros;
use rdkafka::message::{BorrowedMessage, Headers, Message};

/// Headers that are kept of one message; a poisoned one may bear millions.
const HEADERS_MAX: usize = 64;

/// Bytes that are kept of a key or a header's value.
const TEXT_BYTES_MAX: usize = 4096;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// When it was produced, or came to the broker.
    pub(super) timestamp: Option<InstantMicros>,
    pub(super) key: Option<Bytes>,
    /// In their order; those without a value have an empty one.
    pub(super) headers: Vec<(String, Bytes)>,
    pub(super) payload: Bytes,
}

impl Record {
    pub(super) fn of(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().map_or_else(Vec::new, |headers| {
            let kept = headers.iter().take(HEADERS_MAX);
            kept.map(|header| (header.key.to_owned(), cut(header.value.unwrap_or_default()))).collect()
        });
        let micros = |millis: i64| InstantMicros(millis.saturating_mul(1000));
        Self {
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis().filter(|millis| *millis >= 0).map(micros),
            key: message.key().map(cut),
            headers,
            payload: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
        }
    }

    /// Returns the text of a header, the last of its name, as Kafka has it.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().rev().find(|(found, _)| found == name)?;
        std::str::from_utf8(value).ok()
    }

    /// Returns the key, where it is a text.
    pub(super) fn key_text(&self) -> Option<&str> {
        std::str::from_utf8(self.key.as_deref()?).ok()
    }

    /// Returns what Kafka Connect calls an object that begins with this message, without its extension.
    pub(super) fn name(&self, topic: &str) -> String {
        format!("{topic}+{}+{:010}", self.partition, self.offset)
    }
}

fn cut(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes.get(..TEXT_BYTES_MAX).unwrap_or(bytes))
}
