//! One payload object, unpacked and read.

use std::io::Read;

use bytes::Bytes;
use cambist_udfs::rate::adapter::{Payload, Refusal, RejectedEntry, SnapshotNotice, read_payload};
use cambist_udfs::rate::{InstantMicros, Snapshot};
use cambist_udfs::reason::SnapshotReason;
use object_store::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::names;

/// A snapshot object is a few KiB; ECB's whole history is 3 MiB.
pub(in crate::rates) const MAX_PAYLOAD_BYTES: u64 = 256 << 20;

/// Tells an object's content from any other that lay under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) bytes: u64,
    pub(super) modified: InstantMicros,
    pub(super) e_tag: Option<String>,
}

impl Stamp {
    pub(super) fn of(object: &ObjectMeta) -> Self {
        Self {
            bytes: object.size,
            modified: InstantMicros(object.last_modified.timestamp_micros()),
            e_tag: object.e_tag.clone(),
        }
    }
}

/// What a payload object holds.
#[derive(Clone, Debug)]
pub(super) struct PayloadObject {
    /// Relative to the folder.
    pub(super) path: String,
    /// As the user would write it.
    pub(super) display: String,
    pub(super) stamp: Stamp,
    /// In the order of their days; known since the object was last modified.
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) notes: PayloadNotes,
}

/// What there is to say of a payload besides its snapshots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PayloadNotes {
    /// Of the object as it lies there; empty for one that is too large to be read.
    pub(super) sha256: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) entries: Vec<RejectedEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) notices: Vec<SnapshotNotice>,
    /// Why there is no snapshot in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<Refusal>,
}

/// Reads a payload as it was received; `dating_name` dates a document that bears no date.
pub(super) fn read(
    path: &str,
    dating_name: &str,
    display: &str,
    stamp: Stamp,
    bytes: &Bytes,
) -> PayloadObject {
    let sha256 = names::sha256_of(bytes);
    let known_at = stamp.modified;
    let read = unpacked(bytes).map_err(|error| malformed(error.to_string())).and_then(|bytes| {
        read_payload(&Payload { bytes: &bytes, file_name: dating_name, location: display, known_at })
    });
    let (path, display) = (path.to_owned(), display.to_owned());
    match read {
        Ok(admission) => PayloadObject {
            path,
            display,
            stamp,
            snapshots: admission.snapshots,
            notes: PayloadNotes {
                sha256,
                entries: admission.entries,
                notices: admission.notices,
                refusal: None,
            },
        },
        Err(refusal) => {
            let notes = PayloadNotes { sha256, refusal: Some(refusal), ..PayloadNotes::default() };
            PayloadObject { path, display, stamp, snapshots: Vec::new(), notes }
        }
    }
}

/// Stands for an object that is too large to be read.
pub(super) fn oversize(path: &str, display: &str, stamp: Stamp) -> PayloadObject {
    let detail = format!("{} bytes, expected at most {MAX_PAYLOAD_BYTES}", stamp.bytes);
    let notes = PayloadNotes { refusal: Some(malformed(detail)), ..PayloadNotes::default() };
    let (path, display) = (path.to_owned(), display.to_owned());
    PayloadObject { path, display, stamp, snapshots: Vec::new(), notes }
}

/// A payload that was read and is empty all the same.
pub(super) fn no_rates() -> Refusal {
    Refusal { reason: SnapshotReason::SnapshotEmpty, detail: "the document holds no rates".to_owned() }
}

fn malformed(detail: String) -> Refusal {
    Refusal { reason: SnapshotReason::SnapshotMalformed, detail }
}

/// Unpacks gzip and zstd, told by their first bytes.
fn unpacked(bytes: &Bytes) -> std::io::Result<Bytes> {
    let mut whole = Vec::new();
    let limit = MAX_PAYLOAD_BYTES + 1;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(bytes.as_ref()).take(limit).read_to_end(&mut whole)?;
    } else if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        zstd::stream::read::Decoder::new(bytes.as_ref())?.take(limit).read_to_end(&mut whole)?;
    } else {
        return Ok(bytes.clone());
    }
    if whole.len() as u64 > MAX_PAYLOAD_BYTES {
        return Err(std::io::Error::other(format!("unpacks to more than {MAX_PAYLOAD_BYTES} bytes")));
    }
    Ok(whole.into())
}
