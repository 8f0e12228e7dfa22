//! The fast way: a 64-bit amount times a 64-bit numerator, divided by a 64-bit denominator through a
//! stored reciprocal.
//!
//! The reciprocal is that of Möller and Granlund, "Improved division by invariant integers", IEEE
//! Transactions on Computers 60 (2011), algorithm 4: quotient and rest are exact, not approximations.

use std::num::NonZeroU64;

use crate::rounding::RoundingMode;

/// A reduced ratio of two 64-bit numbers with what its divisions share. 32 bytes, as an option too: tables of
/// them are looked up at random.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Narrow {
    numerator: u64,
    /// The denominator shifted left until its highest bit is set.
    divisor: NonZeroU64,
    /// floor((2^128 - 1) / divisor) - 2^64.
    reciprocal: u64,
    shift: u32,
}

impl Narrow {
    pub(super) fn new(numerator: u64, denominator: u64) -> Option<Self> {
        let shift = denominator.leading_zeros();
        let divisor = NonZeroU64::new(denominator.checked_shl(shift)?)?;
        let reciprocal = low(u128::MAX / u128::from(divisor.get()));
        Some(Self { numerator, divisor, reciprocal, shift })
    }

    /// Returns the rounded quotient with the amount's sign, or nothing if either may need more than 64 bits
    /// beside it.
    #[inline]
    pub(crate) fn convert(&self, amount_mantissa: i128, rounding: RoundingMode) -> Option<i128> {
        let magnitude = u64::try_from(amount_mantissa.unsigned_abs()).ok()?;
        let result = i128::from(self.convert_magnitude(magnitude, rounding)?);
        Some(if amount_mantissa < 0 { -result } else { result })
    }

    #[inline]
    fn convert_magnitude(&self, magnitude: u64, rounding: RoundingMode) -> Option<u64> {
        let denominator = self.divisor.get() >> self.shift;
        let product = u128::from(magnitude) * u128::from(self.numerator);
        if high(product) >= denominator {
            return None;
        }
        let (quotient, rest) = self.divide(product << self.shift);
        let rest = rest >> self.shift;
        let missing = denominator - rest;
        let up = rounding.rounds_up(quotient & 1 == 1, rest > missing, rest == missing);
        quotient.checked_add(u64::from(up))
    }

    /// Divides by the shifted denominator a dividend whose upper half is below it.
    #[inline]
    fn divide(&self, dividend: u128) -> (u64, u64) {
        let divisor = self.divisor.get();
        let estimate = (u128::from(self.reciprocal) * u128::from(high(dividend))).wrapping_add(dividend);
        let mut quotient = high(estimate).wrapping_add(1);
        let mut rest = low(dividend).wrapping_sub(quotient.wrapping_mul(divisor));
        if rest > low(estimate) {
            quotient = quotient.wrapping_sub(1);
            rest = rest.wrapping_add(divisor);
        }
        if rest >= divisor {
            quotient = quotient.wrapping_add(1);
            rest -= divisor;
        }
        (quotient, rest)
    }
}

/// Returns the upper 64 bits.
#[inline]
const fn high(number: u128) -> u64 {
    (number >> 64) as u64
}

/// Returns the lower 64 bits.
#[inline]
const fn low(number: u128) -> u64 {
    number as u64
}
