//! Finds rows that repeat a record: a join of the source SQL that matched more than once.
//!
//! Records of a file come in ascending offsets, and row-wise SQL keeps their order, so a batch that
//! ascends beyond all before it repeats nothing. Joins without an equality may hand rows of a few batches
//! out of order; for these the offsets of the last batches are looked through.

use std::collections::{HashSet, VecDeque};

use arrow::array::{Array, AsArray, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, internal_datafusion_err};

use crate::record::{FILE_FIELD, OFFSET_FIELD};

/// How many batches are remembered; a join gives the rows of one batch of its input before the next.
const REMEMBERED_BATCHES: usize = 8;

/// What one task has seen of its source.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    file: String,
    furthest: Option<i64>,
    recent: VecDeque<Vec<i64>>,
}

impl Repeats {
    /// Counts the rows of `records` that repeat a record.
    pub(super) fn count(&mut self, records: &StructArray) -> Result<u64> {
        let field = |name: &str| {
            let field = records.column_by_name(name);
            field.ok_or_else(|| internal_datafusion_err!("no field `{name}` in the record column"))
        };
        let offsets = cast(field(OFFSET_FIELD)?, &DataType::Int64)?;
        let offsets: &[i64] = offsets.as_primitive::<Int64Type>().values();
        let files = field(FILE_FIELD)?;
        // A batch is nearly always of one file, and then its dictionary has one value.
        let of_one_file = files.as_any_dictionary_opt().filter(|coded| coded.values().len() == 1);
        if let Some(coded) = of_one_file {
            let name = cast(coded.values(), &DataType::Utf8)?;
            return Ok(self.count_of_file(name.as_string::<i32>().value(0), offsets));
        }
        let files = cast(files, &DataType::Utf8)?;
        let files = files.as_string::<i32>();
        let (mut repeated, mut start) = (0, 0);
        while start < offsets.len() {
            let name = files.value(start);
            let end = (start..offsets.len()).find(|&row| files.value(row) != name).unwrap_or(offsets.len());
            repeated += self.count_of_file(name, &offsets[start..end]);
            start = end;
        }
        Ok(repeated)
    }

    fn count_of_file(&mut self, file: &str, offsets: &[i64]) -> u64 {
        if self.file != file {
            *self = Self { file: file.to_owned(), ..Self::default() };
        }
        let Some(&first) = offsets.first() else { return 0 };
        let ascends = offsets.is_sorted_by(|left, right| left < right);
        let repeated = if ascends && self.furthest.is_none_or(|furthest| first > furthest) {
            0
        } else {
            self.count_repeated(offsets)
        };
        self.furthest = self.furthest.max(offsets.iter().max().copied());
        if self.recent.len() == REMEMBERED_BATCHES {
            self.recent.pop_front();
        }
        self.recent.push_back(offsets.to_vec());
        repeated
    }

    fn count_repeated(&self, offsets: &[i64]) -> u64 {
        let mut seen: HashSet<i64> = self.recent.iter().flatten().copied().collect();
        offsets.iter().map(|offset| u64::from(!seen.insert(*offset))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_repeats_across_batches_and_disorder_are_told_apart() {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.count_of_file("a", &[0, 10, 20]), 0);
        assert_eq!(repeats.count_of_file("a", &[20, 30, 30, 40]), 2);
        assert_eq!(repeats.count_of_file("a", &[60, 50, 70]), 0);
        assert_eq!(repeats.count_of_file("b", &[0, 10]), 0);
    }
}
