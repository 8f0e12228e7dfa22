//! The form of an operator or function of ours on its way: a mark, versions, its description as JSON, and
//! bytes that only it understands.

use cambist_udfs::sql::BookIdentity;
use datafusion::common::{DataFusionError, Result};
use serde::{Deserialize, Serialize};

use crate::partition_writer::PartitionWriterSpec;
use crate::query::Screening;
use crate::rate_join::RateJoinSpec;
use crate::rates::RateBookRef;
use crate::record::WireScan;

/// The version of the form of plans. Processes with another one do not understand them: it grows with
/// every change to an operator's description that an older process would misread.
pub const PLAN_VERSION: u32 = 2;

/// This program's version, for messages.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Begins everything of ours; no message of Protocol Buffers begins so, since field 8 has no wire type 3.
const MARK: &[u8; 8] = b"CAMBIST\0";

/// An operator or a function.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "node", rename_all = "snake_case")]
pub(crate) enum WireNode {
    RecordScan(WireScan),
    RecordGate,
    /// The join follows as a plan of Protocol Buffers, over an empty probe side.
    InlineJoin,
    RateJoin(RateJoinSpec),
    PartitionWriter {
        spec: PartitionWriterSpec,
        root: String,
        run_id: String,
    },
    RecordScreen {
        table: String,
        screening: Screening,
    },
    StageEnd {
        bytes_max: Option<usize>,
    },
    /// A function that is bound to a rate book.
    BoundFunction {
        identity: BookIdentity,
        book: RateBookRef,
    },
}

/// Why bytes are no plan of ours.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// It comes from another version; run the same one on all machines.
    #[error(
        "a plan of cambist {version} (plan version {found}) came to cambist {VERSION} (plan version {PLAN_VERSION}), \
         expected the same version on all machines of the cluster"
    )]
    Version {
        /// The other's program version.
        version: String,
        /// The other's plan version.
        found: u32,
    },
    /// It is cut short or does not read.
    #[error("a plan that cannot be read: {detail}")]
    Damaged {
        /// What was found.
        detail: String,
    },
}

impl From<WireError> for DataFusionError {
    fn from(error: WireError) -> Self {
        Self::External(Box::new(error))
    }
}

/// Writes a node; `blob` is what follows its description.
pub(crate) fn encode_node(node: &WireNode, blob: &[u8]) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(node).map_err(|error| DataFusionError::External(Box::new(error)))?;
    Ok(frame(PLAN_VERSION, VERSION, &json, blob))
}

pub(super) fn frame(plan_version: u32, version: &str, json: &[u8], blob: &[u8]) -> Vec<u8> {
    let mut bytes = MARK.to_vec();
    bytes.extend(plan_version.to_le_bytes());
    for part in [version.as_bytes(), json] {
        // A plan is far below 4 GiB: messages are limited to 128 MiB.
        bytes.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend(part);
    }
    bytes.extend(blob);
    bytes
}

/// Tells whether bytes are of ours, in whatever version.
pub(super) fn is_ours(bytes: &[u8]) -> bool {
    bytes.starts_with(MARK)
}

/// Reads a node and the bytes that follow its description.
///
/// # Errors
/// [`WireError`].
pub(super) fn decode_node(bytes: &[u8]) -> std::result::Result<(WireNode, &[u8]), WireError> {
    let damaged = |detail: &str| WireError::Damaged { detail: detail.to_owned() };
    let rest = bytes.strip_prefix(MARK).ok_or_else(|| damaged("the mark is missing"))?;
    let (found, rest) = number(rest).ok_or_else(|| damaged("cut short"))?;
    // The version comes in the same place in every version of the form.
    let (version, rest) = part(rest).ok_or_else(|| damaged("cut short"))?;
    if found != PLAN_VERSION {
        return Err(WireError::Version { version: String::from_utf8_lossy(version).into_owned(), found });
    }
    let (json, blob) = part(rest).ok_or_else(|| damaged("cut short"))?;
    let node = serde_json::from_slice(json).map_err(|error| damaged(&error.to_string()))?;
    Ok((node, blob))
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*number), rest))
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = number(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}
