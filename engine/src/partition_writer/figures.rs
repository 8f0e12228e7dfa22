//! What a set of rows amounts to, however many files it lies in: what two runs over the same rows must agree
//! on, and what tells how far they differ.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::content_hash::ContentHash;
use crate::exact_sum::{CurrencySums, merge_sums};

/// The figures of a set of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Rows.
    pub rows: u64,
    /// Their order-free hash.
    pub content_hash: ContentHash,
    /// Sums of `source_amount` by source currency.
    pub source_totals: CurrencySums,
    /// Sums of the converted amounts by target currency.
    pub totals: CurrencySums,
}

impl Figures {
    /// Adds those of other rows.
    pub fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.content_hash.merge(other.content_hash);
        merge_sums(&mut self.source_totals, &other.source_totals);
        merge_sums(&mut self.totals, &other.totals);
    }
}

/// The rows of one source currency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFigures {
    /// Rows.
    pub rows: u64,
    /// Sums of the converted amounts by target currency.
    pub totals: CurrencySums,
}

/// Rows by source currency.
pub type BySource = BTreeMap<String, SourceFigures>;

/// Adds all of `more` to `figures`.
pub fn merge_by_source(figures: &mut BySource, more: &BySource) {
    for (source, added) in more {
        let of_source = figures.entry(source.clone()).or_default();
        of_source.rows += added.rows;
        merge_sums(&mut of_source.totals, &added.totals);
    }
}

/// What a task has made of the rows of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TalliedPartition {
    /// The hive partition such as `dt=2024-05-01`.
    pub partition: String,
    /// Its rows.
    pub figures: Figures,
    /// The same by source currency.
    pub by_source: BySource,
}
