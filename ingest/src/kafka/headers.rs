//! What travels with a payload: its key and headers, written by the producer and read by the sink.

use std::collections::BTreeMap;

use cambist_udfs::rate::{InstantMicros, RateDate};
use jiff::Timestamp;
use jiff::civil::Date;
use rdkafka::message::{Header, OwnedHeaders};

use crate::destination::Parcel;

pub(super) const PROVIDER: &str = "provider";
pub(super) const KNOWN_AT: &str = "known_at";
pub(super) const ORIGIN: &str = "origin";
pub(super) const SHA256: &str = "sha256";
pub(super) const FILE_NAME: &str = "file_name";

/// Headers of the answer that go into the ledger; others stay in the topic.
pub(super) const METADATA: &[&str] = &["etag", "last_modified", "request", "service"];

/// Returns a message's key: the provider and the day, or the first and the last of its days. Messages of one
/// key stay in their order.
pub(super) fn key(provider: &str, (first, last): (RateDate, RateDate)) -> String {
    if first == last { format!("{provider}/{first}") } else { format!("{provider}/{first}_{last}") }
}

/// What a key of our form says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key<'a> {
    pub(super) provider: &'a str,
    pub(super) first: Date,
    pub(super) last: Date,
}

/// Reads a key, where it has the form of ours and so can be held against the payload.
pub(super) fn read_key(key: &str) -> Option<Key<'_>> {
    let (provider, days) = key.rsplit_once('/').filter(|(provider, _)| !provider.is_empty())?;
    let day = |text: &str| text.parse::<Date>().ok().filter(|day| day.to_string() == text);
    let (first, last) = days.split_once('_').unwrap_or((days, days));
    Some(Key { provider, first: day(first)?, last: day(last)? })
}

/// Returns the headers of a parcel.
pub(super) fn of_parcel(parcel: &Parcel, sha256: &str) -> OwnedHeaders {
    let received = &parcel.received;
    let known_at = received.known_at.to_string();
    let mut headers: BTreeMap<&str, &str> = received
        .metadata
        .iter()
        .filter(|(name, _)| METADATA.contains(&name.as_str()))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    headers.extend([
        (PROVIDER, parcel.provider.as_str()),
        (KNOWN_AT, known_at.as_str()),
        (ORIGIN, received.origin.as_str()),
        (SHA256, sha256),
        (FILE_NAME, received.file_name.as_str()),
    ]);
    let empty = OwnedHeaders::new_with_capacity(headers.len());
    headers
        .into_iter()
        .fold(empty, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}

/// Reads an instant as RFC 3339 has it.
pub(super) fn read_instant(text: &str) -> Option<InstantMicros> {
    text.parse::<Timestamp>().ok().map(|instant| InstantMicros(instant.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_by_their_form() {
        let day = |number| RateDate(number);
        assert_eq!(key("ecb", (day(19_844), day(19_844))), "ecb/2024-05-01");
        assert_eq!(key("ecb", (day(19_844), day(19_845))), "ecb/2024-05-01_2024-05-02");
        for ours in ["ecb/2024-05-01", "ecb/2024-05-01_2024-05-02", "manual:VES/2024-05-01"] {
            assert!(read_key(ours).is_some(), "{ours}");
        }
        for other in ["", "42", "/2024-05-01", "ecb/2024-5-1", "ecb/2024-05-01_x", "ecb/2024-02-30"] {
            assert!(read_key(other).is_none(), "{other}");
        }
    }

    #[test]
    fn an_instant_survives_the_way() {
        let at = InstantMicros(1_714_558_500_000_001);
        assert_eq!(read_instant(&at.to_string()), Some(at));
        assert_eq!(read_instant("yesterday"), None);
    }
}
