//! `money_round`: an amount at the minor units of its currency.

use std::sync::Arc;

use arrow::array::Decimal128Builder;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, internal_datafusion_err};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, Volatility};

use super::argument::{Amount, Amounts, Texts, constant};
use super::card::{Card, Parameter, ParameterKind};
use super::error::{FunctionError, shown};
use super::pair::explain_currency;
use super::scalar::{
    Constants, Kernel, OnRefusal, Rewrite, Rows, constant_mode, constant_scale, constant_text,
};
use super::session_rates::{SessionRates, known_currencies};
use crate::convert::round_amount;
use crate::currency::{CurrencyTable, ParsedCurrency};
use crate::decimal::MAX_SCALE;
use crate::reason::RowReason;
use crate::rounding::RoundingMode;

const CURRENCY: usize = 1;
const MODE: usize = 2;
const SCALE: usize = 3;

const CARD: Card = Card {
    name: "money_round",
    parameters: &[
        Parameter {
            name: "amount",
            kind: ParameterKind::Amount,
            text: "Utf8, any integer, or Decimal with at most 18 decimals; units of the currency; nullable. A float is refused when the query is planned.",
        },
        Parameter {
            name: "currency",
            kind: ParameterKind::Text,
            text: "Utf8; a currency code with ISO 4217 minor units. An amount in hundredths (`GBX`) has two decimals fewer than one in the whole currency.",
        },
        Parameter {
            name: "mode",
            kind: ParameterKind::Text,
            text: "Utf8 literal; `half_even` (default) or `half_up`.",
        },
        Parameter {
            name: "scale",
            kind: ParameterKind::Integer,
            text: "integer literal from 0 to 18; decimals of the result's type. Default: the minor units of a literal currency; for a column of currencies those of the amount, 18 if it is text. Where it is below the minor units, it is what the amount is rounded to.",
        },
    ],
    required: 2,
    computes: "Rounds an amount to the minor units of its currency: 0 decimals for JPY, 2 for EUR, 3 for KWD.",
    result: "Decimal128(38, scale); units of the currency; nullable.",
    shape: "One result per row, order kept; amount and currency may be columns or constants, mode and scale are literals.",
    nulls: "A NULL amount gives NULL; a NULL currency with an amount is an error.",
    rounding: "Once, by `mode`: `half_even` brings a half to the even neighbour, `half_up` away from zero. Both are symmetric about zero.",
    errors: "The query fails at the first row that cannot be rounded and names the value and its reason: `AMOUNT_MISSING` (blank text), `AMOUNT_NOT_NUMERIC`, `AMOUNT_SCALE_EXCEEDED`, `AMOUNT_OVERFLOW`, `CURRENCY_MISSING`, `CURRENCY_UNKNOWN`, `CURRENCY_NOT_MONEY` (also for codes without minor units, such as `XAU`), `RESULT_OVERFLOW`. A literal currency is checked when the query is planned.",
    cost: "Per row: one code look-up and one division.",
    example: (
        "SELECT money_round('2.345', 'INR') AS even, money_round('2.345', 'INR', 'half_up') AS up, money_round('1234.5', 'JPY') AS yen",
        "+------+------+------+\n| even | up   | yen  |\n+------+------+------+\n| 2.34 | 2.35 | 1234 |\n+------+------+------+",
    ),
    source: "minor units: ISO 4217 list one, https://www.six-group.com/en/products-services/financial-information/data-standards.html",
};

/// The kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct MoneyRound {
    rates: Option<SessionRates>,
}

impl MoneyRound {
    pub(super) const fn new(rates: Option<SessionRates>) -> Self {
        Self { rates }
    }

    fn currencies(&self) -> Result<&CurrencyTable> {
        known_currencies(self.rates.as_ref())
    }

    /// Returns the scale of the result. A literal currency decides it, unless it is stated.
    fn scale(&self, types: &[DataType], constants: Constants<'_>) -> Result<u8> {
        if let Some(scale) = constant_scale(&CARD, constants, SCALE)? {
            return Ok(scale);
        }
        if constants.get(CURRENCY).is_none_or(Option::is_none) {
            return Ok(scale_of(types.first()));
        }
        let text = constant_text(&CARD, constants, CURRENCY)?;
        let table = self.currencies()?;
        let decimals = table.parse(text.as_bytes()).and_then(|parsed| decimals_of(table, parsed));
        Ok(decimals.map_err(|reason| CARD.refuse(format!("{reason}: {}", explain(text, reason))))?)
    }
}

impl Kernel for MoneyRound {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn rates(&self) -> Option<&SessionRates> {
        self.rates.as_ref()
    }

    fn volatility(&self) -> Volatility {
        Volatility::Stable
    }

    fn result_type(&self, types: &[DataType], constants: Constants<'_>) -> Result<DataType> {
        constant_mode(&CARD, constants, MODE)?;
        Ok(DataType::Decimal128(38, self.scale(types, constants)?.cast_signed()))
    }

    /// States the scale. The optimizer may put a literal in the place of a column of currencies, and the
    /// type of the result must not change by that.
    fn simplify(&self, mut arguments: Vec<Expr>, context: &SimplifyContext) -> Result<Rewrite> {
        if arguments.len() > SCALE || arguments.len() <= CURRENCY {
            return Ok(Rewrite::Unchanged(arguments));
        }
        let amount_type = context.get_data_type(&arguments[0])?;
        let literal = |argument: &Expr| match argument {
            Expr::Literal(value, _) => Some(value.clone()),
            _ => None,
        };
        let literals: Vec<Option<ScalarValue>> = arguments.iter().map(literal).collect();
        let constants: Vec<Option<&ScalarValue>> = literals.iter().map(Option::as_ref).collect();
        let scale = self.scale(&[amount_type], &constants)?;
        if arguments.len() == MODE {
            let mode = RoundingMode::default().name();
            arguments.push(Expr::Literal(ScalarValue::Utf8(Some(mode.to_owned())), None));
        }
        arguments.push(Expr::Literal(ScalarValue::Int64(Some(i64::from(scale))), None));
        Ok(Rewrite::Changed(arguments))
    }

    fn invoke(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constants: Vec<_> = (0..args.args.len()).map(|position| constant(args, position)).collect();
        let scale = match args.return_type() {
            DataType::Decimal128(38, scale) => u8::try_from(*scale).ok(),
            _ => None,
        };
        let scale =
            scale.ok_or_else(|| internal_datafusion_err!("a result of type {}", args.return_type()))?;
        let rounding = constant_mode(&CARD, &constants, MODE)?;
        let (amounts, codes, rows) = (Amounts::of(args, 0)?, Texts::of(args, CURRENCY)?, Rows::of(args));
        let table = self.currencies()?;
        let mut results =
            Decimal128Builder::with_capacity(rows.count()).with_data_type(args.return_type().clone());
        rows.compute(
            OnRefusal::Fail,
            |row| match amounts.get(row)? {
                Some(amount) => {
                    let code = codes.get(row).ok_or(RowReason::CurrencyMissing)?;
                    let decimals = decimals_of(table, table.parse(code.as_bytes())?)?;
                    round(amount, decimals, scale, rounding).map(Some)
                }
                None => Ok(None),
            },
            |row, reason| explain_row(&amounts, &codes, row, reason),
            |result| results.append_option(result),
        )?;
        rows.finish(Arc::new(results.finish()))
    }
}

/// Returns the decimals of an amount's type; text is read with as many as an amount may have.
fn scale_of(amount: Option<&DataType>) -> u8 {
    match amount {
        Some(DataType::Decimal128(_, scale)) => u8::try_from(*scale).unwrap_or(MAX_SCALE),
        Some(DataType::Int64) => 0,
        _ => MAX_SCALE,
    }
}

/// Returns the decimals of an amount in a currency.
#[inline]
fn decimals_of(table: &CurrencyTable, parsed: ParsedCurrency) -> std::result::Result<u8, RowReason> {
    let minor_units = table.entry(parsed.currency).minor_units.ok_or(RowReason::CurrencyNotMoney)?;
    Ok(if parsed.hundredths { minor_units.saturating_sub(2) } else { minor_units })
}

/// Rounds once, then writes the result with the decimals of its type.
#[inline]
fn round(
    amount: Amount,
    decimals: u8,
    scale: u8,
    rounding: RoundingMode,
) -> std::result::Result<i128, RowReason> {
    let decimals = decimals.min(scale);
    let rounded = round_amount(amount.mantissa, amount.scale, decimals, rounding);
    let written = rounded.and_then(|rounded| round_amount(rounded, decimals, scale, rounding));
    written.ok_or(RowReason::ResultOverflow)
}

fn explain(code: &str, reason: RowReason) -> String {
    match reason {
        RowReason::CurrencyNotMoney => {
            format!(
                "code `{}` has no minor unit in ISO 4217 to round to; expected a currency that has one",
                shown(code)
            )
        }
        _ => explain_currency(code, reason),
    }
}

fn explain_row(amounts: &Amounts, codes: &Texts, row: usize, reason: RowReason) -> FunctionError {
    let detail = match reason {
        RowReason::CurrencyMissing | RowReason::CurrencyUnknown | RowReason::CurrencyNotMoney => {
            explain(codes.get(row).unwrap_or_default(), reason)
        }
        RowReason::ResultOverflow => {
            "the rounded amount has more than 38 digits; expected at most 38".to_owned()
        }
        _ => amounts.explain(row, reason),
    };
    FunctionError::Row { function: CARD.name, reason, detail }
}
