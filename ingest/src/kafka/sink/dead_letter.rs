//! Messages that cannot be stored among the others: kept aside with where they were and why.
//!
//! ```text
//! _dead_letter/<topic>+<p>+<offset>.payload   the payload as it was, where there is one
//! _dead_letter/<topic>+<p>+<offset>.json      what is known of it; written after the payload
//! ```

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

use super::examine::Rejection;
use super::record::Record;
use crate::kafka::producer::hex;

/// The folder of the dead letters. Names that begin with `_` are passed over by everything that reads rates.
pub(super) const FOLDER: &str = "_dead_letter";

/// What is known of a dead letter. It depends on the message alone, so that writing it twice changes nothing.
#[derive(Debug, Serialize)]
struct DeadLetter<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: Option<String>,
    reason: &'a str,
    detail: &'a str,
    key: Option<Value>,
    headers: Map<String, Value>,
    payload_bytes: usize,
    /// The object with the payload, beside this one.
    payload: Option<String>,
}

/// Returns the objects of a dead letter in the order in which they are written.
pub(super) fn objects(topic: &str, record: &Record, rejection: &Rejection) -> Vec<(String, Bytes)> {
    let name = record.name(topic);
    let payload = (!record.payload.is_empty()).then(|| format!("{name}.payload"));
    let letter = DeadLetter {
        topic,
        partition: record.partition,
        offset: record.offset,
        timestamp: record.timestamp.map(|at| at.to_string()),
        reason: rejection.reason,
        detail: &rejection.detail,
        key: record.key.as_deref().map(text),
        headers: record.headers.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        payload_bytes: record.payload.len(),
        payload: payload.clone(),
    };
    let mut objects = Vec::with_capacity(2);
    objects.extend(payload.map(|payload| (format!("{FOLDER}/{payload}"), record.payload.clone())));
    // Texts, numbers and maps of texts are always JSON.
    let document = serde_json::to_vec_pretty(&letter).unwrap_or_default();
    objects.push((format!("{FOLDER}/{name}.json"), document.into()));
    objects
}

/// A text as it is, other bytes in hex.
fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => Value::Object(Map::from_iter([("hex".to_owned(), Value::from(hex(bytes)))])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_tells_all_and_keeps_the_payload_as_it_was() {
        let record = Record {
            partition: 1,
            offset: 7,
            timestamp: None,
            key: Some(Bytes::from_static(&[0xff, 0])),
            headers: vec![("known_at".to_owned(), Bytes::from_static(b"soon"))],
            payload: Bytes::from_static(b"\xfe{"),
        };
        let rejection = Rejection { reason: "R", detail: "d".to_owned() };
        let objects = objects("t", &record, &rejection);
        let names: Vec<_> = objects.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["_dead_letter/t+1+0000000007.payload", "_dead_letter/t+1+0000000007.json"]);
        assert_eq!(objects[0].1, record.payload);
        let letter: Value = serde_json::from_slice(&objects[1].1).unwrap();
        let wanted = serde_json::json!({
            "topic": "t", "partition": 1, "offset": 7, "timestamp": null, "reason": "R", "detail": "d",
            "key": {"hex": "ff00"}, "headers": {"known_at": "soon"}, "payload_bytes": 2,
            "payload": "t+1+0000000007.payload",
        });
        assert_eq!(letter, wanted);
    }
}
