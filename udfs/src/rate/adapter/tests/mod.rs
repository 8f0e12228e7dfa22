//! Payloads in, snapshots or refusals out. The inline documents are written for these tests in the shapes
//! that the providers document; the shared data, where present, are real.

mod mutations;
mod refusals;
mod shapes;
mod shared_data;
mod times;

use super::{Admission, Payload, Refusal, read_payload};
use crate::rate::snapshot::{InstantMicros, Snapshot};

const KNOWN_AT: InstantMicros = InstantMicros(1_793_000_000_000_000);

fn read(file_name: &str, bytes: &[u8]) -> Result<Admission, Refusal> {
    let location = format!("rates/{file_name}");
    read_payload(&Payload { bytes, file_name, location: &location, known_at: KNOWN_AT })
}

/// One line per snapshot: `provider base date valid_at: CODE=figure …`.
fn snapshot_line(snapshot: &Snapshot) -> String {
    let valid_at = snapshot.valid_at.map_or("-".to_owned(), |instant| (instant.0 / 1_000_000).to_string());
    let mut line = format!("{} {} {} {valid_at}:", snapshot.provider, snapshot.base, snapshot.rate_date);
    for (code, rate) in &snapshot.rates {
        line.push_str(&format!(" {code}={rate}"));
    }
    line
}

/// Everything that reading gives, as text: snapshots, then `- ` refused entries, then `! ` notices; or the
/// refusal.
fn outcome(file_name: &str, document: &str) -> String {
    let admission = match read(file_name, document.as_bytes()) {
        Ok(admission) => admission,
        Err(refusal) => return refusal.to_string(),
    };
    let mut lines: Vec<String> = admission.snapshots.iter().map(snapshot_line).collect();
    for entry in &admission.entries {
        let date = entry.rate_date.expect("adapters date every entry");
        lines.push(format!("- {date} {} `{}` {}", entry.code, entry.text, entry.reason));
    }
    for notice in &admission.notices {
        lines.push(format!("! {} {}", notice.reason, notice.detail));
    }
    lines.join("\n")
}

#[track_caller]
fn check(file_name: &str, document: &str, expected: &[&str]) {
    assert_eq!(outcome(file_name, document), expected.join("\n"), "{file_name}: {document}");
}
