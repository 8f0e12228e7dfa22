//! Amounts as the source writes them: text, integers or decimals, read to the last digit.

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use cambist_udfs::decimal::{Decimal, DecimalError, MAX_SCALE};
use cambist_udfs::reason::RowReason;
use datafusion::common::{Result, internal_err};

use super::exec::Refused;

/// An amount: `mantissa * 10^-scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) mantissa: i128,
    pub(super) scale: u8,
}

impl Amount {
    /// A hundredth of it, which is what an amount in pence is in pounds.
    pub(super) fn hundredth(self) -> std::result::Result<Self, Refused> {
        if self.scale + 2 <= MAX_SCALE {
            return Ok(Self { scale: self.scale + 2, ..self });
        }
        let shorter = Decimal::new(self.mantissa, self.scale).map(|amount| amount.normalized());
        match shorter {
            Some(amount) if amount.scale() + 2 <= MAX_SCALE => {
                Ok(Self { mantissa: amount.mantissa(), scale: amount.scale() + 2 })
            }
            _ => Err(Refused::new(
                RowReason::AmountScaleExceeded,
                format!("a hundredth of the amount has more than {MAX_SCALE} decimals"),
            )),
        }
    }

    /// Its mantissa at the wider `scale`.
    #[inline]
    pub(super) fn at_scale(self, scale: u8) -> std::result::Result<i128, Refused> {
        let rescaled = match scale.checked_sub(self.scale) {
            Some(0) => Some(self.mantissa),
            Some(more) => self.mantissa.checked_mul(10_i128.pow(u32::from(more))),
            None => Decimal::new(self.mantissa, self.scale).and_then(|amount| amount.rescale(scale)),
        };
        rescaled.filter(|mantissa| mantissa.unsigned_abs() < 10_u128.pow(38)).ok_or_else(|| {
            Refused::new(
                RowReason::AmountOverflow,
                format!("the amount has more than {} integer digits", 38 - scale),
            )
        })
    }
}

/// The amounts of one batch.
pub(super) enum Amounts {
    Missing,
    Text(StringArray),
    Integer(Int64Array),
    Decimal(Decimal128Array, u8),
}

impl Amounts {
    pub(super) fn of(column: &ArrayRef) -> Result<Self> {
        Ok(match column.data_type() {
            DataType::Null => Self::Missing,
            DataType::Utf8 => Self::Text(column.as_string().clone()),
            DataType::LargeUtf8 | DataType::Utf8View => {
                Self::Text(cast(column, &DataType::Utf8)?.as_string().clone())
            }
            DataType::UInt64 => {
                let wide = cast(column, &DataType::Decimal128(20, 0))?;
                Self::Decimal(wide.as_primitive::<Decimal128Type>().clone(), 0)
            }
            integer if integer.is_integer() => {
                Self::Integer(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
            }
            DataType::Decimal128(_, scale) => match u8::try_from(*scale) {
                Ok(scale) => Self::Decimal(column.as_primitive::<Decimal128Type>().clone(), scale),
                Err(_) => return internal_err!("an amount of negative scale"),
            },
            other => return internal_err!("an amount of type {other}"),
        })
    }

    #[inline]
    pub(super) fn at(&self, row: usize) -> std::result::Result<Amount, Refused> {
        let missing = || Refused::new(RowReason::AmountMissing, "the amount is missing".to_owned());
        match self {
            Self::Decimal(values, scale) if values.is_valid(row) => {
                Ok(Amount { mantissa: values.value(row), scale: *scale })
            }
            Self::Integer(values) if values.is_valid(row) => {
                Ok(Amount { mantissa: i128::from(values.value(row)), scale: 0 })
            }
            Self::Text(values) if values.is_valid(row) => parse(values.value(row)),
            _ => Err(missing()),
        }
    }
}

fn parse(text: &str) -> std::result::Result<Amount, Refused> {
    match Decimal::from_bytes(text.as_bytes()) {
        Ok(amount) => Ok(Amount { mantissa: amount.mantissa(), scale: amount.scale() }),
        Err(_) if text.trim_ascii().is_empty() => {
            Err(Refused::new(RowReason::AmountMissing, "the amount is blank".to_owned()))
        }
        Err(error) => {
            let reason = match error {
                DecimalError::ScaleExceeded => RowReason::AmountScaleExceeded,
                DecimalError::Overflow => RowReason::AmountOverflow,
                _ => RowReason::AmountNotNumeric,
            };
            Err(Refused::new(reason, format!("amount `{}`: {error}", shown(text))))
        }
    }
}

/// The beginning of a user's text, short enough for a message.
pub(super) fn shown(text: &str) -> String {
    const MOST_CHARS: usize = 80;
    match text.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn of_text(text: &str) -> std::result::Result<(i128, u8), RowReason> {
        let column: ArrayRef = Arc::new(StringArray::from(vec![text]));
        let amount = Amounts::of(&column).unwrap().at(0);
        amount.map(|amount| (amount.mantissa, amount.scale)).map_err(|refused| refused.reason())
    }

    #[test]
    fn text_is_read_to_the_last_digit_or_refused_with_its_reason() {
        assert_eq!(of_text("0.1234567890123456789"), Err(RowReason::AmountScaleExceeded));
        assert_eq!(of_text(" -12.50 "), Ok((-1250, 2)));
        assert_eq!(of_text("1e3").map(|(mantissa, scale)| mantissa / 10_i128.pow(scale.into())), Ok(1000));
        assert_eq!(of_text("12,50"), Err(RowReason::AmountNotNumeric));
        assert_eq!(of_text("NaN"), Err(RowReason::AmountNotNumeric));
        assert_eq!(of_text(" "), Err(RowReason::AmountMissing));
        assert_eq!(of_text(&"9".repeat(39)), Err(RowReason::AmountOverflow));
    }

    #[test]
    fn a_hundredth_is_exact_or_refused() {
        let hundredth = |mantissa, scale| {
            let amount = Amount { mantissa, scale }.hundredth();
            amount.map(|amount| (amount.mantissa, amount.scale)).map_err(|refused| refused.reason())
        };
        assert_eq!(hundredth(150, 0), Ok((150, 2)));
        // 1.5 at 18 decimals has 17 zeros to spare.
        assert_eq!(hundredth(1_500_000_000_000_000_000, 18), Ok((15, 3)));
        assert_eq!(hundredth(1, 17), Err(RowReason::AmountScaleExceeded));
    }

    #[test]
    fn a_wider_scale_keeps_the_value_or_overflows() {
        let amount = Amount { mantissa: 10_i128.pow(21), scale: 0 };
        assert_eq!(amount.at_scale(18).map_err(|refused| refused.reason()), Err(RowReason::AmountOverflow));
        assert_eq!(Amount { mantissa: 25, scale: 1 }.at_scale(4).ok(), Some(25_000));
    }
}
