//! One payload object, unpacked and read.

use std::io::Read;

use bytes::Bytes;
use cambist_udfs::rate::adapter::{Payload, Refusal, RejectedEntry, SnapshotNotice, read_payload};
use cambist_udfs::rate::{InstantMicros, Snapshot};
use cambist_udfs::reason::SnapshotReason;
use object_store::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::{documents, names};

/// The largest payload, unpacked. A snapshot is a few KiB; ECB's whole history is 3 MiB.
pub const MAX_PAYLOAD_BYTES: u64 = 256 << 20;

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
    /// Those of each document in the order of their days; known since the object was last modified, those of
    /// several documents one after the other, see [`order`].
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
    /// Why there is no snapshot in it, or in some of its documents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) refusals: Vec<Refusal>,
}

/// Reads a payload as it was received; `dating_name` dates a document that bears no date.
///
/// An object may hold several JSON documents one after the other. Each is a payload of its own, whose id is the
/// sha256 of its own bytes; one that is broken is refused, and the others stand.
pub(super) fn read(
    path: &str,
    dating_name: &str,
    display: &str,
    stamp: Stamp,
    bytes: &Bytes,
) -> PayloadObject {
    let mut object = PayloadObject {
        path: path.to_owned(),
        display: display.to_owned(),
        stamp,
        snapshots: Vec::new(),
        notes: PayloadNotes { sha256: names::sha256_of(bytes), ..PayloadNotes::default() },
    };
    let file_name = if names::is_of_delivery(dating_name) { "" } else { dating_name };
    let unpacked = match unpacked(bytes) {
        Ok(unpacked) => unpacked,
        Err(error) => {
            object.notes.refusals.push(malformed(error.to_string()));
            return object;
        }
    };
    let documents = documents::split(&unpacked);
    if documents.len() < 2 {
        object.take(&unpacked, file_name, None);
        return object;
    }
    for (number, place) in documents.iter().enumerate() {
        let position = Position { number: number + 1, of: documents.len(), begin: place.start };
        object.take(&unpacked[place.clone()], file_name, Some(position));
    }
    order(&mut object.snapshots, object.stamp.modified);
    object
}

/// Which of an object's documents it is.
#[derive(Clone, Copy, Debug)]
struct Position {
    number: usize,
    of: usize,
    begin: usize,
}

impl PayloadObject {
    fn take(&mut self, document: &[u8], file_name: &str, position: Option<Position>) {
        let known_at = self.stamp.modified;
        let payload = Payload { bytes: document, file_name, location: &self.display, known_at };
        match read_payload(&payload) {
            Ok(admission) => {
                self.snapshots.extend(admission.snapshots);
                self.notes.entries.extend(admission.entries);
                self.notes.notices.extend(admission.notices);
            }
            Err(mut refusal) => {
                if let Some(Position { number, of, begin }) = position {
                    refusal.detail =
                        format!("document {number} of {of}, from byte {begin} on: {}", refusal.detail);
                }
                self.notes.refusals.push(refusal);
            }
        }
    }
}

/// Lets the documents of an object that came at `known_at` be known one after the other: the last when the
/// object came, each other one a microsecond before the one behind it. So a later one corrects an earlier.
pub(super) fn order(snapshots: &mut [Snapshot], known_at: InstantMicros) {
    let mut later = None;
    let mut micros = known_at.0;
    for snapshot in snapshots.iter_mut().rev() {
        if later.is_some_and(|later| later != snapshot.id) {
            micros -= 1;
        }
        later = Some(snapshot.id);
        snapshot.known_at = InstantMicros(micros);
    }
}

/// Stands for an object that is too large to be read.
pub(super) fn oversize(path: &str, display: &str, stamp: Stamp) -> PayloadObject {
    let detail = format!("{} bytes, expected at most {MAX_PAYLOAD_BYTES}", stamp.bytes);
    let notes = PayloadNotes { refusals: vec![malformed(detail)], ..PayloadNotes::default() };
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
