//! A payload as it was received.

use std::collections::BTreeMap;

use bytes::Bytes;
use cambist_udfs::rate::InstantMicros;

/// How a payload came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// It was asked from its provider.
    Fetch,
}

/// A payload as it was received.
#[derive(Clone, Debug)]
pub struct Received {
    /// The bytes, unchanged.
    pub bytes: Bytes,
    /// Its name: a date in it (`2024-05-01.json`) dates a document that bears none.
    pub file_name: String,
    /// When it was received.
    pub known_at: InstantMicros,
    /// How it came.
    pub channel: Channel,
    /// The request without its key.
    pub origin: String,
    /// Who entered it, where a person did.
    pub entered_by: Option<String>,
    /// What else the answer said, such as `etag` and `last_modified`; never a secret.
    pub metadata: BTreeMap<String, String>,
}
