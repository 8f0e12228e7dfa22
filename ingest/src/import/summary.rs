//! What became of an import.

use std::collections::BTreeMap;

use cambist_engine::rates::ledger::Held;
use serde::Serialize;

/// Refused payloads that are listed; the others are only counted.
pub const LISTED_MAX: usize = 20;

/// What became of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Payloads that were read.
    pub payloads: u64,
    /// Those that are in the ledger now and were not before.
    pub stored: u64,
    /// Those that the ledger held already.
    pub unchanged: u64,
    /// Of those stored, snapshots that are held as a whole.
    pub held_snapshots: u64,
    /// Of those stored, single rates that are held.
    pub held_rates: u64,
    /// What is held, by gate.
    pub held_by_gate: BTreeMap<String, u64>,
    /// What the gates found and is used all the same, because they only report.
    pub findings_by_gate: BTreeMap<String, u64>,
    /// Payloads that are no snapshots, by reason.
    pub refused: BTreeMap<String, u64>,
    /// The first of them.
    pub refused_payloads: Vec<RefusedPayload>,
    /// Deletions in logs: nothing is deleted from a ledger.
    pub deletions_ignored: u64,
}

/// A payload that is no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedPayload {
    /// Where it came from.
    pub origin: String,
    /// The stable reason code.
    pub reason: &'static str,
    /// What was found.
    pub detail: String,
}

impl Summary {
    pub(super) fn store(&mut self, held: &[Held], findings: &[Held]) {
        self.stored += 1;
        for held in held {
            *self.held_by_gate.entry(held.gate.clone()).or_default() += 1;
            match held.currency {
                Some(_) => self.held_rates += 1,
                None => self.held_snapshots += 1,
            }
        }
        for finding in findings {
            *self.findings_by_gate.entry(finding.gate.clone()).or_default() += 1;
        }
    }

    pub(super) fn refuse(&mut self, origin: &str, reason: &'static str, detail: String) {
        *self.refused.entry(reason.to_owned()).or_default() += 1;
        if self.refused_payloads.len() < LISTED_MAX {
            self.refused_payloads.push(RefusedPayload { origin: origin.to_owned(), reason, detail });
        }
    }
}
