//! Is a message a publication of rates, and the one that it says it is?

use std::collections::BTreeMap;

use cambist_engine::rates::ledger::{self, Channel, Inspected, Received};
use cambist_udfs::rate::{InstantMicros, RateDate};
use jiff::civil::Date;
use sha2::{Digest, Sha256};

use super::record::Record;
use crate::kafka::headers;
use crate::kafka::producer::hex;

const EMPTY: &str = "MESSAGE_EMPTY";
const TOO_LARGE: &str = "MESSAGE_TOO_LARGE";
const CHECKSUM_MISMATCH: &str = "MESSAGE_CHECKSUM_MISMATCH";
const KEY_MISMATCH: &str = "MESSAGE_KEY_MISMATCH";
const KNOWN_AT_INVALID: &str = "MESSAGE_KNOWN_AT_INVALID";

/// The name of a payload that no name dates.
const UNDATED: &str = "message.json";

/// Why a message is not stored among the others. The reasons are stable; those of payloads are the ledger's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rejection {
    pub(super) reason: &'static str,
    pub(super) detail: String,
}

/// Returns a message as what was received, or why it is none.
pub(super) fn examine(topic: &str, bytes_max: usize, record: &Record) -> Result<Received, Rejection> {
    let bytes = record.payload.len();
    if bytes == 0 {
        return Err(reject(EMPTY, "the message has no payload, expected a document of rates"));
    }
    if bytes > bytes_max {
        return Err(reject(TOO_LARGE, format!("{bytes} bytes, expected at most {bytes_max}")));
    }
    if let Some(stated) = record.header(headers::SHA256) {
        let found = hex(&Sha256::digest(&record.payload));
        if !stated.eq_ignore_ascii_case(&found) {
            let detail = format!("the payload's sha256 is {found}, its header says `{stated}`");
            return Err(reject(CHECKSUM_MISMATCH, detail));
        }
    }
    let received = Received {
        bytes: record.payload.clone(),
        file_name: file_name(record),
        known_at: known_at(record)?,
        channel: Channel::Sink,
        origin: format!("kafka:{topic}/{}/{}", record.partition, record.offset),
        entered_by: None,
        metadata: metadata(record),
    };
    let inspected = ledger::inspect(&received)
        .map_err(|refusal| Rejection { reason: refusal.reason.code(), detail: refusal.detail })?;
    match record.key_text().and_then(headers::read_key) {
        Some(key) if !is_of_key(key, &received, &inspected) => {
            let own = headers::key(&inspected.provider, inspected.rate_dates);
            let key = record.key_text().unwrap_or_default();
            Err(reject(
                KEY_MISMATCH,
                format!("the payload is not what the key `{key}` says; it is `{own}`, or stamped otherwise"),
            ))
        }
        _ => Ok(received),
    }
}

/// Tells whether a payload is what a key says. A document that bears no date is dated by its key, but its
/// timestamp must lie near that day.
fn is_of_key(key: headers::Key<'_>, received: &Received, inspected: &Inspected) -> bool {
    let own = (inspected.provider.as_str(), inspected.rate_dates);
    if own != (key.provider, (day(key.first), day(key.last))) {
        return false;
    }
    let undated = Received { file_name: UNDATED.to_owned(), ..received.clone() };
    ledger::inspect(&undated).map_or(true, |stamped| {
        let ((first, last), (wanted_first, wanted_last)) = (stamped.rate_dates, inspected.rate_dates);
        (first.0 - wanted_first.0).abs() <= 1 && (last.0 - wanted_last.0).abs() <= 1
    })
}

fn day(date: Date) -> RateDate {
    RateDate::of(date)
}

/// When the payload became known: as the producer says, else when the message was written.
fn known_at(record: &Record) -> Result<InstantMicros, Rejection> {
    if let Some(stated) = record.header(headers::KNOWN_AT) {
        return headers::read_instant(stated).ok_or_else(|| {
            let detail =
                format!("the header known_at is `{stated}`, expected a time such as 2024-05-01T10:15:00Z");
            reject(KNOWN_AT_INVALID, detail)
        });
    }
    record.timestamp.ok_or_else(|| {
        reject(KNOWN_AT_INVALID, "the message bears no time, expected the header known_at or a timestamp")
    })
}

/// The name that dates a document without a date.
fn file_name(record: &Record) -> String {
    if let Some(name) = record.header(headers::FILE_NAME) {
        return name.rsplit('/').next().unwrap_or(name).to_owned();
    }
    match record.key_text().and_then(headers::read_key) {
        Some(key) if key.first == key.last => format!("{}.json", key.first),
        _ => UNDATED.to_owned(),
    }
}

fn metadata(record: &Record) -> BTreeMap<String, String> {
    let found = headers::METADATA.iter().filter_map(|name| {
        let value = record.header(name)?;
        Some(((*name).to_owned(), value.to_owned()))
    });
    let request = record.header(headers::ORIGIN).map(|origin| ("request".to_owned(), origin.to_owned()));
    request.into_iter().chain(found).collect()
}

fn reject(reason: &'static str, detail: impl Into<String>) -> Rejection {
    Rejection { reason, detail: detail.into() }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const RATES: &str = r#"{"date":"2024-05-01","base":"EUR","rates":{"USD":1.07}}"#;

    const STAMPED: &str = r#"{"timestamp":1714604399,"base":"USD","rates":{"EUR":0.93}}"#;

    fn record(payload: &str, key: Option<&str>, headers: &[(&str, &str)]) -> Record {
        Record {
            partition: 3,
            offset: 42,
            timestamp: Some(InstantMicros(1_714_558_500_000_000)),
            key: key.map(|key| Bytes::copy_from_slice(key.as_bytes())),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Bytes::copy_from_slice(value.as_bytes())))
                .collect(),
            payload: Bytes::copy_from_slice(payload.as_bytes()),
        }
    }

    fn reason(record: &Record) -> &'static str {
        examine("t", 1000, record).map_or_else(|rejection| rejection.reason, |_| "none")
    }

    #[test]
    fn a_message_says_itself_when_it_became_known() {
        let found = examine("t", 1000, &record(RATES, Some("fixer/2024-05-01"), &[])).unwrap();
        assert_eq!(found.origin, "kafka:t/3/42");
        assert_eq!(found.known_at, InstantMicros(1_714_558_500_000_000));
        let stated = [("known_at", "2024-05-01T00:00:00.000001Z"), ("etag", "\"x\""), ("other", "y")];
        let found = examine("t", 1000, &record(RATES, None, &stated)).unwrap();
        assert_eq!(found.known_at, InstantMicros(1_714_521_600_000_001));
        assert_eq!(found.metadata, BTreeMap::from([("etag".to_owned(), "\"x\"".to_owned())]));
    }

    #[test]
    fn what_is_not_what_it_says_is_rejected_with_a_reason() {
        let long = " ".repeat(1001);
        for (found, wanted) in [
            (record("", None, &[]), EMPTY),
            (record(&long, None, &[]), TOO_LARGE),
            (record(RATES, None, &[("sha256", "00")]), CHECKSUM_MISMATCH),
            (record(RATES, None, &[("known_at", "soon")]), KNOWN_AT_INVALID),
            (record(RATES, Some("fixer/2024-05-02"), &[]), KEY_MISMATCH),
            (record(RATES, Some("ecb/2024-05-01"), &[]), KEY_MISMATCH),
            (record(STAMPED, Some("openexchangerates/2024-06-01"), &[]), KEY_MISMATCH),
            (record(STAMPED, Some("openexchangerates/2024-05-02"), &[]), "none"),
            (record("<html>", None, &[]), "SNAPSHOT_MALFORMED"),
            (record(RATES, Some("a key of somebody else's"), &[]), "none"),
        ] {
            assert_eq!(reason(&found), wanted, "{found:?}");
        }
        let timeless = Record { timestamp: None, ..record(RATES, None, &[]) };
        assert_eq!(reason(&timeless), KNOWN_AT_INVALID);
    }
}
