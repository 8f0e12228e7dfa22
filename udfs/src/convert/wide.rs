//! The way that is exact for every representable input: 256-bit products and divisions.

use ethnum::U256;

use crate::decimal::{Decimal, POWERS_OF_TEN};
use crate::rounding::RoundingMode;

/// The ratio `factor * power / divisor`, free of common divisors.
///
/// The two rates are below 10^38 and the powers of ten at most 10^36. Either the power is 1 and the
/// divisor is below 10^74, or the divisor is below 10^38; so neither an amount of 128 bits times the
/// factor nor a rest times the power leaves 256 bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wide {
    factor: u128,
    power: u128,
    divisor: U256,
}

impl Wide {
    /// The ratio that there is not: it gives no result.
    pub(super) const NOTHING: Self = Self { factor: 0, power: 1, divisor: U256::ZERO };

    pub(super) fn new(source: Decimal, target: Decimal, amount_scale: u8, minor_units: u8) -> Self {
        let (Ok(source_rate), Ok(target_rate)) =
            (u128::try_from(source.mantissa()), u128::try_from(target.mantissa()))
        else {
            return Self::NOTHING;
        };
        if source_rate == 0 || target_rate == 0 {
            return Self::NOTHING;
        }
        let common = greatest_common_divisor(source_rate, target_rate);
        let (factor, divisor) = (target_rate / common, source_rate / common);
        let (up, down) = (source.scale() + minor_units, target.scale() + amount_scale);
        let power = POWERS_OF_TEN[usize::from(up.abs_diff(down))];
        if up >= down {
            let common = greatest_common_divisor(power, divisor);
            return Self { factor, power: power / common, divisor: U256::new(divisor / common) };
        }
        let common = greatest_common_divisor(power, factor);
        Self { factor: factor / common, power: 1, divisor: U256::new(divisor) * U256::new(power / common) }
    }

    /// Returns the rounded product of a magnitude and the ratio, or nothing if it leaves 128 bits.
    pub(super) fn convert(&self, magnitude: u128, rounding: RoundingMode) -> Option<u128> {
        if self.divisor == U256::ZERO {
            return None;
        }
        let product = U256::new(magnitude) * U256::new(self.factor);
        let (quotient, rest) = div_rem(product, self.divisor);
        let (whole, (decimals, rest)) = match self.power {
            1 => (quotient, (U256::ZERO, rest)),
            power => {
                (quotient.checked_mul(U256::new(power))?, div_rem(rest * U256::new(power), self.divisor))
            }
        };
        let quotient = whole.checked_add(decimals)?;
        let missing = self.divisor - rest;
        let up = rounding.rounds_up(quotient & 1 == 1, rest > missing, rest == missing);
        u128::try_from(quotient).ok()?.checked_add(u128::from(up))
    }

    pub(super) fn numerator(&self) -> U256 {
        U256::new(self.factor) * U256::new(self.power)
    }

    pub(super) const fn denominator(&self) -> U256 {
        self.divisor
    }

    /// Returns numerator and denominator if both fit 64 bits.
    pub(super) fn ratio_64(&self) -> Option<(u64, u64)> {
        Some((u64::try_from(self.numerator()).ok()?, u64::try_from(self.divisor).ok()?))
    }
}

fn div_rem(dividend: U256, divisor: U256) -> (U256, U256) {
    let quotient = dividend / divisor;
    (quotient, dividend - quotient * divisor)
}

const fn greatest_common_divisor(mut left: u128, mut right: u128) -> u128 {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}
