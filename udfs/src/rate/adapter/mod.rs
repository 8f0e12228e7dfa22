//! What providers publish, read into [`Snapshot`]s: the bytes of one payload in, canonical rates out.
//!
//! The shape is told from the content, never from the name. Figures are read from the text of the number.
//! A payload that is no publication of rates is a typed [`Refusal`]; a single bad figure is a
//! [`RejectedEntry`] and the rest stands. Nothing here judges whether a well-formed rate is plausible, and
//! nothing decompresses, opens a file or asks the time.

mod dating;
mod ecb_csv;
mod ecb_xml;
mod error_body;
mod excerpt;
mod intake;
mod json;
mod manual;
mod rate_list;
mod shape;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::dating::name_date;
use self::excerpt::excerpt;
use self::intake::Intake;
use super::snapshot::{InstantMicros, RateDate, Snapshot};
use crate::reason::{EntryReason, SnapshotReason};

/// One payload of a provider, decompressed, with what is known about it from outside.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    /// The document, byte for byte; its sha256 becomes the id of every snapshot in it.
    pub bytes: &'a [u8],
    /// The file's own name; a date in it dates a document that does not bear one.
    pub file_name: &'a str,
    /// Where the payload lies: a path or URL, for reports.
    pub location: &'a str,
    /// When the payload was received.
    pub known_at: InstantMicros,
}

/// What an accepted payload gave.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The snapshots, at least one, by ascending `rate_date`; a history holds many.
    pub snapshots: Vec<Snapshot>,
    /// The entries that were refused, in the order of the payload; at most [`REJECTED_ENTRY_COUNT_MAX`].
    pub entries: Vec<RejectedEntry>,
    /// What a careful reader should know about the payload although it is used.
    pub notices: Vec<SnapshotNotice>,
}

/// One figure that is not used while the rest of its snapshot stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedEntry {
    /// The currency code as the payload writes it, cut to a bounded length.
    pub code: String,
    /// What the entry holds, cut to a bounded length; where the figure alone does not show what is wrong
    /// (two figures for one code, a code that is none), the reason in words.
    pub text: String,
    /// Why it is refused.
    pub reason: EntryReason,
    /// The day of the snapshot to which the entry would have belonged.
    pub rate_date: Option<RateDate>,
}

/// A warning about a payload that is used all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotNotice {
    /// The kind: times that disagree ([`SnapshotReason::SnapshotTimeSuspect`]), a day without rates
    /// ([`SnapshotReason::SnapshotEmpty`]), an odd form ([`SnapshotReason::SnapshotMalformed`]).
    pub reason: SnapshotReason,
    /// What was found, in words.
    pub detail: String,
}

/// A payload that gives no snapshot at all.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{reason}: {detail}")]
pub struct Refusal {
    /// Why.
    pub reason: SnapshotReason,
    /// What was found and what is accepted; the provider's own words where it answered with an error.
    pub detail: String,
}

impl Refusal {
    fn new(reason: SnapshotReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    fn malformed(detail: impl Into<String>) -> Self {
        Self::new(SnapshotReason::SnapshotMalformed, detail)
    }
}

/// How many refused entries one payload lists; the others are only counted, in a notice, so that a payload
/// full of rubbish does not cost many times its size in memory.
pub const REJECTED_ENTRY_COUNT_MAX: usize = 10_000;

/// The shapes of payloads, by the names that [`Snapshot::provider`] has for them.
pub const SHAPES: &[&str] =
    &["openexchangerates", "fixer", "frankfurter", "currencylayer", "abstractapi", "currency-api", "ecb"];

/// Reads one payload of any known shape.
///
/// Known shapes: Open Exchange Rates (`latest`, `historical`, time series), currencylayer, fixer and its
/// kin (exchangerate.host, exchangeratesapi), Frankfurter, abstractapi, currency-api, and the European
/// Central Bank's XML and CSV files (one day, 90 days, whole history).
///
/// A snapshot's `rate_date` is the document's own date; else the date in the file's name; else the UTC date
/// of its timestamp. Work and memory are proportional to the payload.
///
/// # Errors
/// A [`Refusal`] with the reason when the payload is damaged, of no known shape, an error answer, without a
/// base or with a figure other than 1 for it, dated on a day that does not exist, or without a usable rate.
pub fn read_payload(payload: &Payload<'_>) -> Result<Admission, Refusal> {
    let text = document_text(payload.bytes)?;
    let mut intake = Intake::open(payload)?;
    match text.as_bytes() {
        [b'{' | b'"' | b'[', ..] => shape::read_document(&mut intake, text)?,
        [b'<', ..] => ecb_xml::read_envelope(&mut intake, text)?,
        _ if ecb_csv::is_header(text) => ecb_csv::read_table(&mut intake, text)?,
        _ => {
            return Err(Refusal::malformed(format!(
                "the document begins with `{}`; expected JSON, the XML or the CSV of the European Central Bank",
                excerpt(text)
            )));
        }
    }
    intake.close()
}

/// The document as text, without byte order mark and surrounding blanks.
fn document_text(bytes: &[u8]) -> Result<&str, Refusal> {
    let unmarked = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(unmarked).map_err(|error| {
        Refusal::malformed(format!("byte {} is not utf-8; expected a text document", error.valid_up_to()))
    })?;
    let text = text.trim_start();
    if text.is_empty() {
        return Err(Refusal::malformed("the document is empty"));
    }
    Ok(text)
}
