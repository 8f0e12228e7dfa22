//! What a sink says of itself in the end.

use std::collections::BTreeMap;

use serde::Serialize;

use super::status::{Counts, SinkStatus};

/// What a sink has done, for machines: `read` = `stored` + `unchanged` + `dead_letters`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    #[serde(flatten)]
    counts: Counts,
    dead_letters_by_reason: BTreeMap<&'static str, u64>,
    /// Messages that are there and not committed, of the partitions that were this sink's, by partition.
    lag: BTreeMap<i32, u64>,
}

impl Summary {
    pub(super) fn of(status: &SinkStatus) -> Self {
        let state = status.state();
        Self {
            counts: state.counts.clone(),
            dead_letters_by_reason: state.dead_by_reason.clone(),
            lag: state.partitions.iter().map(|(partition, state)| (*partition, state.lag())).collect(),
        }
    }

    /// Returns the summary for people.
    pub fn in_words(&self) -> String {
        let Counts { read, stored, unchanged, held, dead_letters, offsets_skipped, .. } = self.counts;
        let mut text = format!(
            "{read} messages: {stored} stored, {unchanged} there already, {dead_letters} dead letters"
        );
        for (count, what) in [
            (held, "partly held back until they are approved"),
            (offsets_skipped, "offsets without a message"),
            (self.lag.values().sum(), "messages not read"),
        ] {
            if count > 0 {
                text.push_str(&format!("; {count} {what}"));
            }
        }
        text
    }
}
