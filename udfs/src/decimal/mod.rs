//! Exact decimal numbers: amounts and rates as a mantissa and a scale, read from text and written back
//! without loss.
//!
//! Invariants: fewer than 39 digits, at most [`MAX_SCALE`] decimals. Arithmetic is not here; amounts
//! meet rates in [`crate::convert`].

mod parse;
#[cfg(test)]
mod tests;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// The most decimals that an amount or a rate may have.
pub const MAX_SCALE: u8 = 18;

/// The first power of ten that no mantissa reaches: the range of a 38-digit decimal column.
pub const MANTISSA_LIMIT: u128 = 10_u128.pow(38);

/// Powers of ten that fit 128 bits: `POWERS_OF_TEN[n]` is 10^n.
pub(crate) const POWERS_OF_TEN: [u128; 39] = {
    let mut powers = [1_u128; 39];
    let mut index = 1;
    while index < powers.len() {
        powers[index] = powers[index - 1] * 10;
        index += 1;
    }
    powers
};

/// Why a text or a number is not a [`Decimal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DecimalError {
    /// The text is not a decimal number: correct the text.
    #[error(
        "not a decimal number; expected digits with an optional sign, point and exponent, as in `-1234.56` or `1.5e-3`"
    )]
    NotNumeric,
    /// The value needs more than 18 decimals: it is refused, never rounded.
    #[error("more than 18 decimals; expected at most 18")]
    ScaleExceeded,
    /// The value needs more than 38 digits.
    #[error("more than 38 digits; expected at most 38")]
    Overflow,
}

/// A decimal number, `mantissa / 10^scale`, that keeps the scale in which it was written.
///
/// Equality and hash are by value: 2.5 equals 2.50, though their scales differ. There is no order and
/// no arithmetic on purpose.
///
/// ```
/// use cambist_udfs::decimal::Decimal;
///
/// let price: Decimal = "2.50".parse()?;
/// assert_eq!((price.mantissa(), price.scale()), (250, 2));
/// assert_eq!(price, "2.5".parse()?);
/// assert_eq!(price.to_string(), "2.50");
/// # Ok::<(), cambist_udfs::decimal::DecimalError>(())
/// ```
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Decimal {
    mantissa: i128,
    scale: u8,
}

impl Decimal {
    /// The number 1, without decimals.
    pub const ONE: Self = Self { mantissa: 1, scale: 0 };

    /// Returns `mantissa / 10^scale`, or nothing if the mantissa has more than 38 digits or the scale
    /// is above [`MAX_SCALE`].
    pub const fn new(mantissa: i128, scale: u8) -> Option<Self> {
        if mantissa.unsigned_abs() >= MANTISSA_LIMIT || scale > MAX_SCALE {
            return None;
        }
        Some(Self { mantissa, scale })
    }

    /// Reads a decimal text: ASCII white space around it, a sign, digits with a point anywhere among
    /// them, an exponent of up to three digits; no group separators, no names of numbers.
    ///
    /// The scale stays as written. Only zeros at the end of the decimals may be dropped, and only
    /// where the number would not fit otherwise. The cost is about a nanosecond per digit for up to 18
    /// digits; nothing is allocated.
    ///
    /// # Errors
    ///
    /// [`DecimalError::NotNumeric`] for any other text, the blank one included;
    /// [`DecimalError::ScaleExceeded`] and [`DecimalError::Overflow`] for a number that would have to
    /// be rounded to fit.
    #[inline]
    pub fn from_bytes(text: &[u8]) -> Result<Self, DecimalError> {
        parse::parse(text)
    }

    /// Returns the digits as a whole number, with the sign.
    #[inline]
    pub const fn mantissa(self) -> i128 {
        self.mantissa
    }

    /// Returns the number of decimals.
    #[inline]
    pub const fn scale(self) -> u8 {
        self.scale
    }

    /// Returns the same value without zeros at the end of its decimals.
    #[must_use]
    pub const fn normalized(self) -> Self {
        let Self { mut mantissa, mut scale } = self;
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        Self { mantissa, scale }
    }

    /// Returns the mantissa that states the same value with `scale` decimals, or nothing if a decimal
    /// would be lost or the mantissa would have more than 38 digits.
    pub fn rescale(self, scale: u8) -> Option<i128> {
        let power = i128::try_from(*POWERS_OF_TEN.get(usize::from(scale.abs_diff(self.scale)))?).ok()?;
        if scale < self.scale {
            return (self.mantissa % power == 0).then(|| self.mantissa / power);
        }
        let mantissa = self.mantissa.checked_mul(power)?;
        (mantissa.unsigned_abs() < MANTISSA_LIMIT).then_some(mantissa)
    }
}

/// As text, since a JSON number may pass through a float on its way.
impl From<Decimal> for String {
    fn from(decimal: Decimal) -> Self {
        decimal.to_string()
    }
}

impl TryFrom<String> for Decimal {
    type Error = DecimalError;

    fn try_from(text: String) -> Result<Self, DecimalError> {
        text.parse()
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        Self::from_bytes(text.as_bytes())
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        let (left, right) = (self.normalized(), other.normalized());
        left.mantissa == right.mantissa && left.scale == right.scale
    }
}

impl Eq for Decimal {}

impl Hash for Decimal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { mantissa, scale } = self.normalized();
        (mantissa, scale).hash(state);
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scale == 0 {
            return self.mantissa.fmt(f);
        }
        let power = POWERS_OF_TEN[usize::from(self.scale)];
        let (whole, decimals) = (self.mantissa.unsigned_abs() / power, self.mantissa.unsigned_abs() % power);
        let width = usize::from(self.scale);
        f.pad_integral(self.mantissa >= 0, "", &format!("{whole}.{decimals:0width$}"))
    }
}
