//! A hash of rows that does not depend on their order, on files or on encodings.
//!
//! Every cell is hashed to 64 bits, every row's cells are folded in column order into 128 bits, and the
//! rows' values are added modulo 2^128. It detects accidents, not forgers: it has no key.

use std::fmt;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, PrimitiveArray, RecordBatch, StringArray,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use datafusion::common::{Result, internal_err};
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

/// The order-free hash of a set of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContentHash(u128);

/// The fractional bits of the square roots of 2 and 3, and of the golden ratio: odd, without pattern.
const LANE_A: u64 = 0x6a09_e667_f3bc_c909;
const LANE_B: u64 = 0xbb67_ae85_84ca_a73b;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a null hashes to; no value of 64 bits is excluded, so this is as good as any.
const NULL: u64 = 0x3c6e_f372_fe94_f82b;

impl ContentHash {
    /// Hashes the rows of `batch`.
    ///
    /// # Errors
    /// Where a column is of a type that the table format does not have.
    pub fn of(batch: &RecordBatch) -> Result<Self> {
        let mut lanes = vec![(LANE_A, LANE_B); batch.num_rows()];
        for column in batch.columns() {
            fold(&mut lanes, column)?;
        }
        let add = |sum: u128, (a, b): &(u64, u64)| {
            sum.wrapping_add(u128::from(mix(*a, LANE_B)) << 64 | u128::from(mix(*b, LANE_A)))
        };
        Ok(Self(lanes.iter().fold(0, add)))
    }

    /// Adds the rows of another set.
    pub fn merge(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }

    /// Reads the 32 hex digits of a hash.
    pub fn parse(text: &str) -> Option<Self> {
        u128::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for ContentHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a hash of 32 hex digits")))
    }
}

/// Multiplies to 128 bits and folds the halves together.
#[inline]
fn mix(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    product as u64 ^ (product >> 64) as u64
}

#[inline]
fn fold_cell((a, b): &mut (u64, u64), cell: u64) {
    *a = mix(*a ^ cell, LANE_A | 1).wrapping_add(*b);
    *b = mix(*b ^ cell.rotate_left(32), GOLDEN).wrapping_add(cell);
}

fn fold(lanes: &mut [(u64, u64)], column: &ArrayRef) -> Result<()> {
    match column.data_type() {
        DataType::Decimal128(_, _) => {
            fold_primitive::<Decimal128Type>(lanes, column, |value| {
                mix(value as u64 ^ GOLDEN, LANE_A) ^ (value >> 64) as u64
            });
        }
        DataType::Int64 => fold_primitive::<Int64Type>(lanes, column, |value| value.cast_unsigned()),
        DataType::Int32 => {
            fold_primitive::<Int32Type>(lanes, column, |value| i64::from(value).cast_unsigned())
        }
        DataType::Date32 => {
            fold_primitive::<Date32Type>(lanes, column, |value| i64::from(value).cast_unsigned())
        }
        DataType::Float32 => fold_primitive::<Float32Type>(lanes, column, |value| u64::from(value.to_bits())),
        DataType::Float64 => fold_primitive::<Float64Type>(lanes, column, f64::to_bits),
        DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, _) => {
            fold_primitive::<TimestampMicrosecondType>(lanes, column, |value| value.cast_unsigned());
        }
        DataType::Boolean => {
            let values = column.as_boolean();
            fold_rows(lanes, |row| values.is_valid(row).then(|| u64::from(values.value(row))));
        }
        DataType::Utf8 => {
            let values: &StringArray = column.as_string();
            fold_rows(lanes, |row| values.is_valid(row).then(|| hash_bytes(values.value(row).as_bytes())));
        }
        DataType::Binary => {
            let values: &BinaryArray = column.as_binary();
            fold_rows(lanes, |row| values.is_valid(row).then(|| hash_bytes(values.value(row))));
        }
        DataType::Dictionary(_, _) => {
            let Some(coded) = column.as_dictionary_opt::<Int32Type>() else {
                return internal_err!("a dictionary with keys of another type than Int32");
            };
            let texts: &StringArray = coded.values().as_string();
            let hashes: Vec<u64> =
                (0..texts.len()).map(|code| hash_bytes(texts.value(code).as_bytes())).collect();
            let keys = coded.keys();
            fold_rows(lanes, |row| keys.is_valid(row).then(|| hashes[keys.value(row) as usize]));
        }
        other => return internal_err!("a column of type {other} in a table"),
    }
    Ok(())
}

fn fold_primitive<T: ArrowPrimitiveType>(
    lanes: &mut [(u64, u64)],
    column: &ArrayRef,
    bits: impl Fn(T::Native) -> u64,
) {
    let values: &PrimitiveArray<T> = column.as_primitive();
    if values.null_count() == 0 {
        for (lane, value) in lanes.iter_mut().zip(values.values()) {
            fold_cell(lane, bits(*value));
        }
    } else {
        fold_rows(lanes, |row| values.is_valid(row).then(|| bits(values.value(row))));
    }
}

#[inline]
fn fold_rows(lanes: &mut [(u64, u64)], cell: impl Fn(usize) -> Option<u64>) {
    for (row, lane) in lanes.iter_mut().enumerate() {
        fold_cell(lane, cell(row).unwrap_or(NULL));
    }
}

#[inline]
fn hash_bytes(bytes: &[u8]) -> u64 {
    XxHash3_128::oneshot(bytes) as u64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{DictionaryArray, Int64Array, StringArray};

    use super::*;

    fn batch(ids: &[i64], names: &[Option<&str>]) -> RecordBatch {
        let ids: ArrayRef = Arc::new(Int64Array::from(ids.to_vec()));
        let names: ArrayRef = Arc::new(StringArray::from(names.to_vec()));
        RecordBatch::try_from_iter([("id", ids), ("name", names)]).unwrap()
    }

    #[test]
    fn order_of_rows_does_not_matter_and_parts_add_up() {
        let whole = ContentHash::of(&batch(&[1, 2, 3], &[Some("a"), None, Some("")])).unwrap();
        let turned = ContentHash::of(&batch(&[3, 1, 2], &[Some(""), Some("a"), None])).unwrap();
        let mut parts = ContentHash::of(&batch(&[2], &[None])).unwrap();
        parts.merge(ContentHash::of(&batch(&[3, 1], &[Some(""), Some("a")])).unwrap());
        assert_eq!(whole, turned);
        assert_eq!(whole, parts);
    }

    #[test]
    fn values_swapped_between_rows_change_the_hash() {
        let right = ContentHash::of(&batch(&[1, 2], &[Some("a"), Some("b")])).unwrap();
        let swapped = ContentHash::of(&batch(&[1, 2], &[Some("b"), Some("a")])).unwrap();
        let doubled = ContentHash::of(&batch(&[1, 1], &[Some("a"), Some("a")])).unwrap();
        assert_ne!(right, swapped);
        assert_ne!(doubled, ContentHash::default());
    }

    #[test]
    fn dictionary_coding_does_not_matter() {
        let plain = batch(&[1, 2], &[Some("a"), None]);
        let coded: DictionaryArray<Int32Type> = [Some("a"), None].into_iter().collect();
        let columns: Vec<ArrayRef> = vec![Arc::clone(plain.column(0)), Arc::new(coded)];
        let coded =
            RecordBatch::try_from_iter([("id", columns[0].clone()), ("name", columns[1].clone())]).unwrap();
        assert_eq!(ContentHash::of(&plain).unwrap(), ContentHash::of(&coded).unwrap());
    }
}
