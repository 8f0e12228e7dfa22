//! Exact positive fractions, so that a rate exactly at a limit is told from one just beyond it.
//!
//! Rates have up to 38 digits and products of three of them with powers of ten are compared here, which
//! 256 bits do not hold; therefore the numbers have no fixed width. They are never reduced: a fraction
//! lives for a few operations.

use std::cmp::Ordering;
use std::fmt;

use num_bigint::BigUint;

use crate::decimal::{Decimal, POWERS_OF_TEN};

/// The digits with which a ratio is shown at least; nothing is computed from them.
const SHOWN_DIGITS: u32 = 6;

/// A positive fraction.
#[derive(Clone, Debug)]
pub(super) struct Ratio {
    numerator: BigUint,
    denominator: BigUint,
}

impl Ratio {
    /// Returns a rate as a fraction, or nothing if it is not positive.
    pub(super) fn of(rate: Decimal) -> Option<Self> {
        let numerator = u128::try_from(rate.mantissa()).ok().filter(|mantissa| *mantissa > 0)?;
        let denominator = POWERS_OF_TEN[usize::from(rate.scale())];
        Some(Self { numerator: numerator.into(), denominator: denominator.into() })
    }

    /// Returns `numerator / denominator`, two positive numbers.
    pub(super) fn new(numerator: u32, denominator: u32) -> Self {
        debug_assert!(numerator > 0 && denominator > 0);
        Self { numerator: numerator.into(), denominator: denominator.into() }
    }

    pub(super) fn one() -> Self {
        Self::new(1, 1)
    }

    pub(super) fn power_of_ten(exponent: u32) -> Self {
        Self { numerator: BigUint::from(10_u32).pow(exponent), denominator: 1_u32.into() }
    }

    pub(super) fn times(&self, other: &Self) -> Self {
        Self {
            numerator: &self.numerator * &other.numerator,
            denominator: &self.denominator * &other.denominator,
        }
    }

    pub(super) fn per(&self, other: &Self) -> Self {
        self.times(&other.inverse())
    }

    pub(super) fn inverse(&self) -> Self {
        Self { numerator: self.denominator.clone(), denominator: self.numerator.clone() }
    }

    /// Returns `1 + self * count`: a relative difference, so many times over, as a largest ratio.
    pub(super) fn one_and(&self, count: u32) -> Self {
        let numerator = &self.denominator + &self.numerator * count;
        Self { numerator, denominator: self.denominator.clone() }
    }

    /// Returns `self - 1`, or nothing if that is not positive.
    pub(super) fn excess(&self) -> Option<Self> {
        if self.numerator <= self.denominator {
            return None;
        }
        let numerator = &self.numerator - &self.denominator;
        Some(Self { numerator, denominator: self.denominator.clone() })
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        (&self.numerator * &other.denominator).cmp(&(&other.numerator * &self.denominator))
    }

    /// True if the ratio is `limit` at most, upwards and downwards: from `1 / limit` to `limit`.
    pub(super) fn is_within(&self, limit: &Self) -> bool {
        self.magnitude().compare(limit).is_le()
    }

    /// Returns the ratio or its inverse, whichever is 1 or more.
    pub(super) fn magnitude(&self) -> Self {
        if self.numerator < self.denominator { self.inverse() } else { self.clone() }
    }

    /// Returns the fraction times 10^`exponent`, rounded half up.
    fn scaled(&self, exponent: i64) -> BigUint {
        let power = BigUint::from(10_u32).pow(u32::try_from(exponent.unsigned_abs()).unwrap_or(u32::MAX));
        let (dividend, divisor) = match exponent {
            0.. => (&self.numerator * power, self.denominator.clone()),
            _ => (self.numerator.clone(), &self.denominator * power),
        };
        (&dividend + &divisor / 2_u32) / divisor
    }
}

fn digit_count(number: &BigUint) -> i64 {
    i64::try_from(number.to_string().len()).unwrap_or(i64::MAX)
}

/// Shows the first six or seven digits, all of a whole number, without an exponent and without zeros at the end of the decimals.
impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The fraction lies between 10^(magnitude - 1) and 10^(magnitude + 1).
        let magnitude = digit_count(&self.numerator) - digit_count(&self.denominator);
        let decimals = i64::from(SHOWN_DIGITS) - magnitude;
        let digits = self.scaled(decimals).to_string();
        let Ok(decimals) = usize::try_from(decimals) else {
            return write!(f, "{}", self.scaled(0));
        };
        let padded = format!("{digits:0>width$}", width = decimals + 1);
        let (whole, fraction) = padded.split_at(padded.len() - decimals);
        match fraction.trim_end_matches('0') {
            "" => f.write_str(whole),
            fraction => write!(f, "{whole}.{fraction}"),
        }
    }
}
