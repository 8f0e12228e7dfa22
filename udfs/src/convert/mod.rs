//! The conversion of one amount: multiply fully, divide once, round once.
//!
//! Everything that depends only on the two rates and the scales is worked out once per [`Conversion`]:
//! the ratio, reduced by its greatest common divisor, and for ratios of 64 bits a reciprocal that makes
//! the one division per row a multiplication. Amounts or ratios that are too large for that go through
//! 256 bits. Both ways give the same bits.

mod narrow;
#[cfg(test)]
mod tests;
mod wide;

use crate::decimal::{Decimal, MANTISSA_LIMIT, MAX_SCALE, POWERS_OF_TEN};
use crate::rounding::RoundingMode;

pub(crate) use narrow::Narrow;
use wide::Wide;

/// An exact conversion from one currency to another for one pair of rates and one pair of scales.
///
/// With amount `A`, source rate `Rs` and target rate `Rt`, both in units per one unit of the same base,
/// the result is `A * Rt / Rs` in minor units of the target, rounded once.
///
/// ```
/// use cambist_udfs::convert::Conversion;
/// use cambist_udfs::rounding::RoundingMode;
///
/// // 10.00 GBP at 0.64 GBP and 51.20 INR per USD: 10 * 51.20 / 0.64 = 800 INR, in paise.
/// let (gbp, inr) = ("0.64".parse()?, "51.20".parse()?);
/// let conversion = Conversion::new(gbp, inr, 2, 2, RoundingMode::HalfEven);
/// assert_eq!(conversion.convert(1000), Some(80_000));
/// # Ok::<(), cambist_udfs::decimal::DecimalError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Conversion {
    narrow: Option<Narrow>,
    rounding: RoundingMode,
    wide: Wide,
}

impl Conversion {
    /// Reduces the ratio of `target` to `source` for amounts of `amount_scale` decimals and results of
    /// `minor_units` decimals.
    ///
    /// Rates are positive and scales at most [`MAX_SCALE`]; for anything else there is no such ratio,
    /// and the conversion gives no result for any amount.
    pub fn new(
        source: Decimal,
        target: Decimal,
        amount_scale: u8,
        minor_units: u8,
        rounding: RoundingMode,
    ) -> Self {
        let is_valid = amount_scale <= MAX_SCALE && minor_units <= MAX_SCALE;
        let wide =
            if is_valid { Wide::new(source, target, amount_scale, minor_units) } else { Wide::NOTHING };
        Self {
            narrow: wide.ratio_64().and_then(|(numerator, denominator)| Narrow::new(numerator, denominator)),
            rounding,
            wide,
        }
    }

    /// Converts an amount, given as its mantissa, to minor units of the target; nothing if the result
    /// has more than 38 digits.
    #[inline]
    pub fn convert(&self, amount_mantissa: i128) -> Option<i128> {
        let narrow = self.narrow.and_then(|narrow| narrow.convert(amount_mantissa, self.rounding));
        narrow.or_else(|| self.convert_wide(amount_mantissa))
    }

    /// Does the same as [`convert`](Self::convert), always in 256 bits: the reference of the fast way.
    pub fn convert_wide(&self, amount_mantissa: i128) -> Option<i128> {
        let magnitude = self.wide.convert(amount_mantissa.unsigned_abs(), self.rounding)?;
        within_limit(amount_mantissa < 0, magnitude)
    }

    /// Returns the fast way alone, if there is one.
    pub(crate) const fn narrow(&self) -> Option<Narrow> {
        self.narrow
    }

    /// Says whether amounts of 64 bits are converted without 256-bit arithmetic.
    pub const fn is_fast(&self) -> bool {
        self.narrow.is_some()
    }

    /// Returns, in decimal digits, the numerator of the reduced fraction by which an amount's mantissa
    /// is multiplied to give minor units of the target. Fewer than 75 digits.
    pub fn numerator(&self) -> String {
        self.wide.numerator().to_string()
    }

    /// Returns, in decimal digits, the denominator of the fraction of [`numerator`](Self::numerator).
    pub fn denominator(&self) -> String {
        self.wide.denominator().to_string()
    }

    /// Returns how exact halves are rounded.
    pub const fn rounding(&self) -> RoundingMode {
        self.rounding
    }
}

/// Brings an amount from one scale to another, rounding once where decimals are dropped; nothing if the
/// result has more than 38 digits.
///
/// ```
/// use cambist_udfs::convert::round_amount;
/// use cambist_udfs::rounding::RoundingMode;
///
/// assert_eq!(round_amount(2_345, 3, 2, RoundingMode::HalfEven), Some(234)); // 2.345 is a tie
/// assert_eq!(round_amount(2_345, 3, 2, RoundingMode::HalfUp), Some(235));
/// ```
#[inline]
pub fn round_amount(mantissa: i128, from_scale: u8, to_scale: u8, rounding: RoundingMode) -> Option<i128> {
    let magnitude = mantissa.unsigned_abs();
    let power = POWERS_OF_TEN.get(usize::from(from_scale.abs_diff(to_scale))).copied();
    let rounded = match power {
        Some(power) if to_scale >= from_scale => magnitude.checked_mul(power)?,
        Some(power) => {
            let (quotient, rest) = (magnitude / power, magnitude % power);
            let missing = power - rest;
            quotient + u128::from(rounding.rounds_up(quotient & 1 == 1, rest > missing, rest == missing))
        }
        // 128 bits stay below half of 10^39, so dropping more than 38 decimals leaves nothing.
        None if to_scale < from_scale || mantissa == 0 => 0,
        None => return None,
    };
    within_limit(mantissa < 0, rounded)
}

/// Puts the sign to a magnitude, if it has at most 38 digits.
#[inline]
fn within_limit(negative: bool, magnitude: u128) -> Option<i128> {
    if magnitude >= MANTISSA_LIMIT {
        return None;
    }
    let magnitude = magnitude.cast_signed();
    Some(if negative { -magnitude } else { magnitude })
}
