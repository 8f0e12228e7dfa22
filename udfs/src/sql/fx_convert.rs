//! `fx_convert` and `try_fx_convert`: an amount in another currency, at the rates of a day.

use std::sync::Arc;

use arrow::array::Decimal128Builder;
use arrow::datatypes::DataType;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, Volatility};

use super::argument::{Amounts, constant};
use super::card::{Card, Parameter, ParameterKind};
use super::converter::{Call, Converters};
use super::error::FunctionError;
use super::pair::{PairPositions, Pairs};
use super::scalar::{Constants, Kernel, OnRefusal, Rows, constant_mode, constant_scale, constant_text};
use super::session_rates::SessionRates;
use crate::currency::Currency;
use crate::reason::RowReason;

const TARGET: usize = 3;
const MODE: usize = 4;
const SCALE: usize = 5;
const PAIR: PairPositions = PairPositions { source: 1, target: TARGET, event: 2 };

const CARD: Card = Card {
    name: "fx_convert",
    parameters: &[
        Parameter {
            name: "amount",
            kind: ParameterKind::Amount,
            text: "Utf8, any integer, or Decimal with at most 18 decimals; units of the source currency; nullable. A float is refused when the query is planned.",
        },
        Parameter {
            name: "source_currency",
            kind: ParameterKind::Text,
            text: "Utf8; a currency code, upper or lower case; `GBX`, `GBp`, `ZAc`, `ZAC`, `ILA` and `ILa` are hundredths.",
        },
        Parameter {
            name: "event_date",
            kind: ParameterKind::Event,
            text: "Date32, Date64, Timestamp (its date in UTC; its instant if the rates are chosen by instant), or Utf8 of the form `YYYY-MM-DD`.",
        },
        Parameter {
            name: "target_currency",
            kind: ParameterKind::Text,
            text: "Utf8 literal; a currency code. A literal, because its minor units are the scale of the result.",
        },
        Parameter {
            name: "mode",
            kind: ParameterKind::Text,
            text: "Utf8 literal; `half_even` (default) or `half_up`.",
        },
        Parameter {
            name: "scale",
            kind: ParameterKind::Integer,
            text: "integer literal from 0 to 18; decimals of the result. Default: the target's ISO 4217 minor units; needed for targets without them (`XAU`, `BTC`).",
        },
    ],
    required: 4,
    computes: "Converts an amount exactly: `amount * target rate / source rate`, divided once and rounded once, with both rates from the newest snapshot on or before the event date that holds both currencies.",
    result: "Decimal128(38, scale), by default with the minor units of the target; units of the target currency; nullable.",
    shape: "One result per row, order kept; arguments may be columns or constants, the last three are literals.",
    nulls: "A NULL amount gives NULL; a NULL currency or date with an amount is an error.",
    rounding: "Once, at the result's scale, by `mode`. From a currency to itself the rate is 1 and only rounding is done.",
    errors: "The query fails at the first row that cannot be converted and names the value and its reason: `AMOUNT_MISSING` (blank text), `AMOUNT_NOT_NUMERIC`, `AMOUNT_SCALE_EXCEEDED`, `AMOUNT_OVERFLOW`, `CURRENCY_MISSING`, `CURRENCY_UNKNOWN`, `CURRENCY_NOT_MONEY`, `CURRENCY_NOT_VALID_AT_DATE`, `EVENT_TIME_MISSING`, `EVENT_TIME_INVALID`, `EVENT_BEFORE_HISTORY`, `RATE_MISSING_SOURCE`, `RATE_MISSING_TARGET`, `RATE_STALE`, `RESULT_OVERFLOW`. A missing rate is never 1, 0 or NULL. `try_fx_convert` gives NULL instead.",
    cost: "Per row: one look at what an earlier row asked for, one multiplication and division; where none asked for the same currency on the same day, two code look-ups and one snapshot look-up. Each distinct pair of rates is reduced once per thread.",
    example: (
        "SELECT fx_convert('100.00', 'GBP', DATE '2024-05-04', 'INR') AS inr",
        "+----------+\n| inr      |\n+----------+\n| 10448.98 |\n+----------+",
    ),
    source: "minor units: ISO 4217 list one, https://www.six-group.com/en/products-services/financial-information/data-standards.html",
};

const TRY_CARD: Card = Card {
    name: "try_fx_convert",
    computes: "Does the same as `fx_convert`, but gives NULL for a row that cannot be converted.",
    nulls: "A row that cannot be converted gives NULL, whatever the reason; so does a NULL in any argument.",
    errors: "Only what is wrong with the call itself, when the query is planned.",
    example: (
        "SELECT try_fx_convert('n/a', 'GBP', DATE '2024-05-04', 'INR') AS inr",
        "+-----+\n| inr |\n+-----+\n|     |\n+-----+",
    ),
    ..CARD
};

/// The kernel of both functions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FxConvert {
    on_refusal: OnRefusal,
    rates: Option<SessionRates>,
    converters: Converters,
}

impl FxConvert {
    pub(super) fn new(on_refusal: OnRefusal, rates: Option<SessionRates>) -> Self {
        Self { on_refusal, rates, converters: Converters::default() }
    }

    fn bound(&self) -> Result<&SessionRates, FunctionError> {
        self.rates.as_ref().ok_or(FunctionError::NoRates { function: self.card().name })
    }

    /// Returns the target of a call, and the scale of its result.
    fn target(&self, constants: Constants<'_>) -> Result<(Currency, u8)> {
        let (card, table) = (self.card(), self.bound()?.book()?.currencies());
        let code = constant_text(card, constants, TARGET)?;
        let target = match table.parse(code.as_bytes()) {
            Ok(parsed) if !parsed.hundredths => parsed.currency,
            Ok(parsed) => {
                let whole = table.code(parsed.currency);
                let detail = format!(
                    "target currency `{code}` is a hundredth of `{whole}`; expected a whole currency"
                );
                return Err(card.refuse(detail).into());
            }
            Err(reason) => {
                let detail = format!(
                    "{reason}: target currency `{code}`; expected an ISO 4217 code or one that the session's rates carry"
                );
                return Err(card.refuse(detail).into());
            }
        };
        let scale = constant_scale(card, constants, SCALE)?.or(table.entry(target).minor_units);
        let refuse = || {
            card.refuse(format!(
                "target currency `{code}` has no minor unit in ISO 4217; expected the argument `scale`"
            ))
        };
        Ok(scale.map(|scale| (target, scale)).ok_or_else(refuse)?)
    }
}

impl Kernel for FxConvert {
    fn card(&self) -> &'static Card {
        match self.on_refusal {
            OnRefusal::Fail => &CARD,
            OnRefusal::Null => &TRY_CARD,
        }
    }

    fn rates(&self) -> Option<&SessionRates> {
        self.rates.as_ref()
    }

    fn volatility(&self) -> Volatility {
        Volatility::Stable
    }

    fn result_type(&self, _types: &[DataType], constants: Constants<'_>) -> Result<DataType> {
        constant_mode(self.card(), constants, MODE)?;
        let (_, scale) = self.target(constants)?;
        Ok(DataType::Decimal128(38, scale.cast_signed()))
    }

    fn invoke(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let book = self.bound()?.book()?;
        let constants: Vec<_> = (0..args.args.len()).map(|position| constant(args, position)).collect();
        let scale = match args.return_type() {
            DataType::Decimal128(38, scale) => u8::try_from(*scale).ok(),
            _ => None,
        };
        let scale =
            scale.ok_or_else(|| internal_datafusion_err!("a result of type {}", args.return_type()))?;
        let (amounts, pairs, rows) = (Amounts::of(args, 0)?, Pairs::of(book, args, PAIR)?, Rows::of(args));
        let rounding = constant_mode(self.card(), &constants, MODE)?;
        let (target, _) = self.target(&constants)?;
        let mut converter = self.converters.take(Call { target, scale, rounding });
        let mut results =
            Decimal128Builder::with_capacity(rows.count()).with_data_type(args.return_type().clone());
        rows.compute(
            self.on_refusal,
            |row| match amounts.get(row)? {
                Some(amount) => converter.convert(&pairs, row, amount).map(Some),
                None => Ok(None),
            },
            |row, reason| self.explain(&amounts, &pairs, row, reason),
            |result| results.append_option(result),
        )?;
        self.converters.give_back(converter);
        rows.finish(Arc::new(results.finish()))
    }
}

impl FxConvert {
    fn explain(&self, amounts: &Amounts, pairs: &Pairs<'_>, row: usize, reason: RowReason) -> FunctionError {
        let detail = match reason {
            RowReason::AmountMissing
            | RowReason::AmountNotNumeric
            | RowReason::AmountScaleExceeded
            | RowReason::AmountOverflow => amounts.explain(row, reason),
            RowReason::ResultOverflow => {
                "the converted amount has more than 38 digits; expected at most 38".to_owned()
            }
            _ => pairs.explain(row, reason),
        };
        let detail = format!("{detail}; try_fx_convert gives NULL for such a row");
        FunctionError::Row { function: self.card().name, reason, detail }
    }
}
