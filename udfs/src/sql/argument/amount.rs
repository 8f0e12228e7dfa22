//! Amounts: text, integers or decimals, read to the last digit.

use arrow::array::{Array, AsArray, Decimal128Array, Int64Array};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::ScalarFunctionArgs;

use super::Column;
use super::text::Texts;
use crate::decimal::{Decimal, DecimalError, MAX_SCALE};
use crate::reason::RowReason;
use crate::sql::error::shown;

/// An amount: `mantissa / 10^scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sql) struct Amount {
    pub(in crate::sql) mantissa: i128,
    pub(in crate::sql) scale: u8,
}

impl Amount {
    /// A hundredth of it, which is what an amount in pence is in pounds.
    #[inline]
    pub(in crate::sql) fn hundredth(self) -> std::result::Result<Self, RowReason> {
        let written = Decimal::new(self.mantissa, self.scale).ok_or(RowReason::AmountOverflow)?;
        let shortest = if self.scale + 2 <= MAX_SCALE { written } else { written.normalized() };
        let scale = shortest.scale() + 2;
        if scale > MAX_SCALE {
            return Err(RowReason::AmountScaleExceeded);
        }
        Ok(Self { mantissa: shortest.mantissa(), scale })
    }
}

/// The values of an amount argument.
pub(in crate::sql) enum Amounts {
    Text(Texts),
    Integer(Int64Array, usize),
    Decimal(Decimal128Array, u8, usize),
}

impl Amounts {
    pub(in crate::sql) fn of(args: &ScalarFunctionArgs, position: usize) -> Result<Self> {
        let column = Column::of(args, position)?;
        Ok(match column.array.data_type() {
            DataType::Int64 => Self::Integer(column.array.as_primitive::<Int64Type>().clone(), column.stride),
            DataType::Decimal128(_, scale) => match u8::try_from(*scale) {
                Ok(scale) if scale <= MAX_SCALE => {
                    Self::Decimal(column.array.as_primitive::<Decimal128Type>().clone(), scale, column.stride)
                }
                _ => return internal_err!("an amount of {scale} decimals"),
            },
            _ => Self::Text(Texts::new(&column)?),
        })
    }

    /// Returns the amount of a row; nothing if it is null.
    ///
    /// A blank text is not null: it is an amount that somebody forgot.
    #[inline]
    pub(in crate::sql) fn get(&self, row: usize) -> std::result::Result<Option<Amount>, RowReason> {
        match self {
            Self::Integer(values, stride) => {
                let place = row * stride;
                Ok(values
                    .is_valid(place)
                    .then(|| Amount { mantissa: i128::from(values.value(place)), scale: 0 }))
            }
            Self::Decimal(values, scale, stride) => {
                let place = row * stride;
                Ok(values.is_valid(place).then(|| Amount { mantissa: values.value(place), scale: *scale }))
            }
            Self::Text(texts) => texts.get(row).map(read).transpose(),
        }
    }

    /// Says what is wrong with the amount of a row.
    pub(in crate::sql) fn explain(&self, row: usize, reason: RowReason) -> String {
        match self {
            Self::Text(texts) => {
                let text = texts.get(row).unwrap_or_default();
                match Decimal::from_bytes(text.as_bytes()) {
                    Err(_) if reason == RowReason::AmountMissing => {
                        "the amount is blank; expected a number".to_owned()
                    }
                    Err(error) => format!("amount `{}`: {error}", shown(text)),
                    Ok(_) => format!("amount `{}` does not fit the result", shown(text)),
                }
            }
            Self::Integer(values, stride) => {
                format!("amount `{}` does not fit the result", values.value(row * stride))
            }
            Self::Decimal(values, _, stride) => {
                format!("amount `{}` does not fit the result", values.value_as_string(row * stride))
            }
        }
    }
}

#[inline]
fn read(text: &str) -> std::result::Result<Amount, RowReason> {
    match Decimal::from_bytes(text.as_bytes()) {
        Ok(amount) => Ok(Amount { mantissa: amount.mantissa(), scale: amount.scale() }),
        Err(_) if text.trim_ascii().is_empty() => Err(RowReason::AmountMissing),
        Err(DecimalError::ScaleExceeded) => Err(RowReason::AmountScaleExceeded),
        Err(DecimalError::Overflow) => Err(RowReason::AmountOverflow),
        Err(DecimalError::NotNumeric) => Err(RowReason::AmountNotNumeric),
    }
}
