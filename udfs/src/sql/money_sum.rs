//! `money_sum`: the exact sum of amounts in one currency.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, Field, FieldRef, Int64Type, i256};
use datafusion::common::{Result, ScalarValue, internal_datafusion_err, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Documentation, Signature, Volatility};

use super::argument::Texts;
use super::card::{Card, Parameter, ParameterKind};
use super::error::FunctionError;
use super::pair::explain_currency;
use crate::currency::{CurrencyCode, CurrencyTable};
use crate::decimal::MANTISSA_LIMIT;
use crate::reason::RowReason;

/// Digits of a partial sum: as many as 256 bits hold. 2^64 amounts of 38 digits have 58.
const STATE_PRECISION: u8 = 76;

const CARD: Card = Card {
    name: "money_sum",
    parameters: &[
        Parameter {
            name: "amount",
            kind: ParameterKind::Number,
            text: "any integer, or Decimal with at most 18 decimals; units of the currency; nullable. A float or a text is refused when the query is planned.",
        },
        Parameter {
            name: "currency",
            kind: ParameterKind::Text,
            text: "Utf8; a currency code, upper or lower case. Pounds (`GBP`) and pence (`GBX`) are two. A code that is not in ISO 4217 is accepted if it has the form of one.",
        },
    ],
    required: 2,
    computes: "Adds up amounts exactly and refuses to add two currencies.",
    result: "Decimal128(38, scale of the amount); units of the currency; NULL for no amounts.",
    shape: "One result per group, in any order of rows; in a window the frame must begin with its partition. Sums of parts are combined without loss.",
    nulls: "A row with a NULL amount does not count, whatever its currency; a NULL or blank currency with an amount is an error.",
    rounding: "None: the sum is kept in 256 bits.",
    errors: "The query fails when a second currency turns up, and names both; for `CURRENCY_MISSING`, `CURRENCY_NOT_MONEY`, and `CURRENCY_UNKNOWN` where a text has not the form of a code; and for `RESULT_OVERFLOW`, a sum of more than 38 digits. `DISTINCT` is refused when the query is planned.",
    cost: "Per row: one code look-up and one addition of 256 bits.",
    example: (
        "SELECT currency, money_sum(amount, currency) AS total FROM (VALUES (CAST('0.10' AS DECIMAL(9, 2)), 'EUR'), (CAST('0.20' AS DECIMAL(9, 2)), 'EUR'), (NULL, 'USD')) AS t(amount, currency) GROUP BY currency ORDER BY currency",
        "+----------+-------+\n| currency | total |\n+----------+-------+\n| EUR      | 0.30  |\n| USD      |       |\n+----------+-------+",
    ),
    source: "codes: ISO 4217 list one, https://www.six-group.com/en/products-services/financial-information/data-standards.html",
};

/// The function as DataFusion calls it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct MoneySum {
    signature: Signature,
    documentation: Documentation,
}

impl MoneySum {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
            documentation: CARD.documentation(),
        }
    }
}

impl AggregateUDFImpl for MoneySum {
    fn name(&self) -> &str {
        CARD.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(CARD.coerce(arg_types))
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        CARD.check(arg_types)?;
        let scale = match arg_types.first() {
            Some(DataType::Decimal128(_, scale)) => *scale,
            _ => 0,
        };
        Ok(DataType::Decimal128(38, scale))
    }

    fn accumulator(&self, acc_args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        refuse_distinct(acc_args.is_distinct)?;
        Ok(Box::new(MoneySumAccumulator {
            sum: i256::ZERO,
            currency: None,
            scale: scale_of(acc_args.return_type())?,
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        refuse_distinct(args.is_distinct)?;
        let sum = DataType::Decimal256(STATE_PRECISION, scale_of(args.return_type())?);
        Ok(vec![
            Field::new(format_state_name(args.name, "sum"), sum, true).into(),
            Field::new(format_state_name(args.name, "currency"), DataType::Utf8, true).into(),
        ])
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// Equal amounts are different payments, and a sum that drops one of them is wrong.
fn refuse_distinct(is_distinct: bool) -> Result<(), FunctionError> {
    if is_distinct {
        return Err(CARD.refuse("DISTINCT would drop equal amounts; expected a sum of all".to_owned()));
    }
    Ok(())
}

fn scale_of(result: &DataType) -> Result<i8> {
    match result {
        DataType::Decimal128(_, scale) => Ok(*scale),
        other => internal_err!("a sum of type {other}"),
    }
}

/// The sum of one group so far.
#[derive(Debug)]
struct MoneySumAccumulator {
    sum: i256,
    /// The currency of the amounts; none as long as there are none.
    currency: Option<CurrencyCode>,
    scale: i8,
}

impl MoneySumAccumulator {
    #[inline]
    fn add(&mut self, amount: i256, currency: Option<&str>) -> Result<()> {
        let text = currency.unwrap_or_default();
        let currency = code_of(text).map_err(|reason| FunctionError::Row {
            function: CARD.name,
            reason,
            detail: explain_currency(text, reason),
        })?;
        match self.currency {
            Some(first) if first != currency => {
                let (first, second) = (first.to_string(), currency.to_string());
                return Err(FunctionError::MixedCurrencies { function: CARD.name, first, second }.into());
            }
            _ => self.currency = Some(currency),
        }
        self.sum = self.sum.checked_add(amount).ok_or_else(|| overflow(currency))?;
        Ok(())
    }
}

impl Accumulator for MoneySumAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [amounts, currencies] = values else {
            return internal_err!("{} columns to add up", values.len());
        };
        let currencies = Texts::of_column(currencies)?;
        match amounts.data_type() {
            DataType::Int64 => {
                let amounts = amounts.as_primitive::<Int64Type>();
                for row in (0..amounts.len()).filter(|row| amounts.is_valid(*row)) {
                    self.add(i256::from_i128(i128::from(amounts.value(row))), currencies.get(row))?;
                }
            }
            DataType::Decimal128(_, _) => {
                let amounts = amounts.as_primitive::<Decimal128Type>();
                for row in (0..amounts.len()).filter(|row| amounts.is_valid(*row)) {
                    self.add(i256::from_i128(amounts.value(row)), currencies.get(row))?;
                }
            }
            other => return internal_err!("amounts of type {other}"),
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [sums, currencies] = states else {
            return internal_err!("{} columns of partial sums", states.len());
        };
        let sums = sums
            .as_primitive_opt::<Decimal256Type>()
            .ok_or_else(|| internal_datafusion_err!("partial sums of type {}", sums.data_type()))?;
        let currencies = Texts::of_column(currencies)?;
        for row in (0..sums.len()).filter(|row| sums.is_valid(*row)) {
            self.add(sums.value(row), currencies.get(row))?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let sum = self.currency.map(|_| self.sum);
        Ok(vec![
            ScalarValue::Decimal256(sum, STATE_PRECISION, self.scale),
            ScalarValue::Utf8(self.currency.map(|currency| currency.to_string())),
        ])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let Some(currency) = self.currency else {
            return Ok(ScalarValue::Decimal128(None, 38, self.scale));
        };
        let sum = self.sum.to_i128().filter(|sum| sum.unsigned_abs() < MANTISSA_LIMIT);
        let sum = sum.ok_or_else(|| overflow(currency))?;
        Ok(ScalarValue::Decimal128(Some(sum), 38, self.scale))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

#[cold]
fn overflow(currency: CurrencyCode) -> FunctionError {
    FunctionError::Row {
        function: CARD.name,
        reason: RowReason::ResultOverflow,
        detail: format!("the sum in `{currency}` has more than 38 digits; expected at most 38"),
    }
}

/// Returns the code under which amounts of one unit are added up: hundredths have their own.
#[inline]
fn code_of(text: &str) -> Result<CurrencyCode, RowReason> {
    let table = CurrencyTable::iso();
    match table.parse(text.as_bytes()) {
        Ok(parsed) => {
            let code = table.entry(parsed.currency).code;
            if parsed.hundredths { hundredths_code(code) } else { Ok(code) }
        }
        // A rate book may carry codes that ISO 4217 lacks; they can be told apart all the same.
        Err(RowReason::CurrencyUnknown) => CurrencyCode::parse(text).ok_or(RowReason::CurrencyUnknown),
        Err(reason) => Err(reason),
    }
}

/// Returns the usual code of the hundredths of a currency, upper case, so that it reads back as itself.
fn hundredths_code(whole: CurrencyCode) -> Result<CurrencyCode, RowReason> {
    let code = match whole.as_str() {
        "GBP" => "GBX",
        "ZAR" => "ZAC",
        "ILS" => "ILA",
        _ => return Err(RowReason::CurrencyUnknown),
    };
    CurrencyCode::parse(code).ok_or(RowReason::CurrencyUnknown)
}
