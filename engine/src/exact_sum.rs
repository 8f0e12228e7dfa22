//! Sums of decimal amounts that neither round nor overflow: 256-bit integers at a fixed scale.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use arrow::datatypes::i256;
use serde::{Deserialize, Serialize};

/// The exact sum of decimals of one scale.
///
/// 2^255 holds more than 10^38 amounts of 38 digits each, so no run can overflow it.
#[derive(Clone, Copy, Debug)]
pub struct ExactSum {
    /// What did not fit the lower part any more.
    carried: i256,
    /// Sums of everyday size never leave 128 bits.
    low: i128,
    scale: u8,
}

impl PartialEq for ExactSum {
    fn eq(&self, other: &Self) -> bool {
        self.equals(other)
    }
}

impl Eq for ExactSum {}

impl ExactSum {
    /// Returns zero at `scale`.
    pub const fn zero(scale: u8) -> Self {
        Self { carried: i256::ZERO, low: 0, scale }
    }

    /// Adds `mantissa * 10^-scale`, where the scale is the sum's own.
    #[inline]
    pub fn add(&mut self, mantissa: i128) {
        match self.low.checked_add(mantissa) {
            Some(low) => self.low = low,
            None => {
                self.carried = self.total();
                self.low = mantissa;
            }
        }
    }

    /// Adds another sum, whatever its scale.
    pub fn merge(&mut self, other: &Self) {
        let scale = self.scale.max(other.scale);
        let carried = self.at_scale(scale).wrapping_add(other.at_scale(scale));
        *self = Self { carried, low: 0, scale };
    }

    /// Reads a sum back from its decimal text.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let scale = u8::try_from(decimals.len()).ok()?;
        let carried = i256::from_string(&format!("{whole}{decimals}"))?;
        Some(Self { carried, low: 0, scale })
    }

    /// Tells whether two sums have the same value.
    pub fn equals(&self, other: &Self) -> bool {
        let scale = self.scale.max(other.scale);
        self.at_scale(scale) == other.at_scale(scale)
    }

    /// Returns this sum less another.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let scale = self.scale.max(other.scale);
        let carried = self.at_scale(scale).wrapping_sub(other.at_scale(scale));
        Self { carried, low: 0, scale }
    }

    /// Tells whether the value is zero.
    pub fn is_zero(&self) -> bool {
        self.total() == i256::ZERO
    }

    /// Compares the values without their signs.
    pub fn cmp_magnitude(&self, other: &Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        self.at_scale(scale).wrapping_abs().cmp(&other.at_scale(scale).wrapping_abs())
    }

    /// Returns `mantissa * 10^-scale` times this sum, exactly; nothing where that has more than 76 digits.
    pub fn times(&self, mantissa: i128, scale: u8) -> Option<Self> {
        let carried = self.total().checked_mul(i256::from_i128(mantissa))?;
        Some(Self { carried, low: 0, scale: self.scale.checked_add(scale)? })
    }

    /// Returns the text with at least `decimals` decimals and no further trailing zeros.
    pub fn to_text(self, decimals: u8) -> String {
        let digits = self.total().to_string();
        let (sign, digits) = match digits.strip_prefix('-') {
            Some(rest) => ("-", rest.to_owned()),
            None => ("", digits),
        };
        let (scale, decimals) = (usize::from(self.scale), usize::from(decimals));
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let fraction = format!("{:0<decimals$}", fraction.trim_end_matches('0'));
        if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }

    fn total(&self) -> i256 {
        self.carried.wrapping_add(i256::from_i128(self.low))
    }

    fn at_scale(&self, scale: u8) -> i256 {
        (self.scale..scale).fold(self.total(), |sum, _| sum.wrapping_mul(i256::from_i128(10)))
    }
}

impl fmt::Display for ExactSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text(0))
    }
}

impl Serialize for ExactSum {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ExactSum {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!("`{text}` is not a decimal sum, expected digits and a point"))
        })
    }
}

/// Exact sums by currency code.
pub type CurrencySums = BTreeMap<String, ExactSum>;

/// Adds every sum of `more` to `sums`.
pub fn merge_sums(sums: &mut CurrencySums, more: &CurrencySums) {
    for (code, sum) in more {
        sums.entry(code.clone()).or_insert(ExactSum::zero(0)).merge(sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_beyond_38_digits_are_exact() {
        let mut sum = ExactSum::zero(2);
        let largest = 10_i128.pow(38) - 1;
        for _ in 0..1000 {
            sum.add(largest);
        }
        // 1000 * (10^38 - 1) = 10^41 - 1000, at two decimals.
        assert_eq!(sum.to_string(), format!("{}0", "9".repeat(38)));
    }

    #[test]
    fn text_round_trips_and_keeps_asked_decimals() {
        for text in ["0", "-0.05", "9747747.934", "-12"] {
            assert_eq!(ExactSum::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(ExactSum::parse("12.500").unwrap().to_text(2), "12.50");
        assert_eq!(ExactSum::parse("12").unwrap().to_text(2), "12.00");
    }

    #[test]
    fn differences_and_shares_are_exact() {
        let sum = |text: &str| ExactSum::parse(text).unwrap();
        assert_eq!(sum("1.5").minus(&sum("2.25")).to_string(), "-0.75");
        assert!(sum("1.50").minus(&sum("1.5")).is_zero());
        assert_eq!(sum("-3").cmp_magnitude(&sum("2.99")), Ordering::Greater);
        assert_eq!(sum("-3").cmp_magnitude(&sum("3.00")), Ordering::Equal);
        // 0.01 % of 9,747,747.934 is 974.7747934.
        assert_eq!(sum("9747747.934").times(1, 4).unwrap().to_string(), "974.7747934");
        assert!(sum(&"9".repeat(70)).times(i128::MAX, 0).is_none());
    }

    #[test]
    fn sums_of_different_scales_compare_by_value() {
        let mut sum = ExactSum::parse("1.50").unwrap();
        sum.merge(&ExactSum::parse("0.005").unwrap());
        assert!(sum.equals(&ExactSum::parse("1.5050").unwrap()));
    }
}
