//! Counting what a task would write: rows of days that are not to be written again are hashed and added up as
//! if they were, so that a partial run can be compared with the whole one before it.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use cambist_udfs::rate::{DayRange, RateDate};
use serde::{Deserialize, Serialize};

use super::content_hash::ContentHash;
use super::figures::{BySource, Figures, TalliedPartition, merge_by_source};
use super::totals::TotalColumns;

/// What is written of a run that counts all of its rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TallySpec {
    /// Event days whose rows are written; those of others are counted only. The quarantine is always written.
    pub written_days: Vec<DayRange>,
}

/// What one task has counted.
#[derive(Debug)]
pub(super) struct Tally {
    spec: TallySpec,
    days: BTreeMap<i32, (Figures, BySource)>,
}

impl Tally {
    pub(super) fn new(spec: TallySpec) -> Self {
        Self { spec, days: BTreeMap::new() }
    }

    /// Counts rows of `day`; tells whether they are to be written.
    pub(super) fn count(
        &mut self,
        day: i32,
        rows: &RecordBatch,
        content_hash: ContentHash,
        columns: &TotalColumns,
    ) -> bool {
        let (figures, by_source) = self.days.entry(day).or_default();
        figures.rows += rows.num_rows() as u64;
        figures.content_hash.merge(content_hash);
        columns.add(rows, &mut figures.source_totals, &mut figures.totals);
        merge_by_source(by_source, &columns.by_source(rows));
        self.spec.written_days.iter().any(|days| days.contains(RateDate(day)))
    }

    /// Returns the counts by partition.
    pub(super) fn finish(self, partition: impl Fn(i32) -> String) -> Vec<TalliedPartition> {
        let of_day =
            |(day, (figures, by_source))| TalliedPartition { partition: partition(day), figures, by_source };
        self.days.into_iter().map(of_day).collect()
    }
}
