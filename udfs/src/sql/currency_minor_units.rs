//! `currency_minor_units`: how many decimals amounts of a currency have.

use std::sync::Arc;

use arrow::array::Int32Builder;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, Volatility};

use super::argument::Texts;
use super::card::{Card, Parameter, ParameterKind};
use super::error::FunctionError;
use super::pair::explain_currency;
use super::scalar::{Constants, Kernel, OnRefusal, Rows};
use super::session_rates::{SessionRates, known_currencies};
use crate::currency::CurrencyTable;
use crate::reason::RowReason;

const CARD: Card = Card {
    name: "currency_minor_units",
    parameters: &[Parameter {
        name: "code",
        kind: ParameterKind::Text,
        text: "Utf8; a currency code, upper or lower case; nullable. Hundredths such as `GBX` have two decimals fewer than the whole currency.",
    }],
    required: 1,
    computes: "Returns the number of decimals that ISO 4217 gives to amounts of a currency.",
    result: "Int32; decimals; NULL for a currency without minor units: a metal (`XAU`), a withdrawn currency, one that only the session's rates carry.",
    shape: "One result per row, order kept; the argument may be a column or a constant.",
    nulls: "A NULL or blank code gives NULL.",
    rounding: "None.",
    errors: "The query fails at the first code that is no currency and names it: `CURRENCY_UNKNOWN`, or `CURRENCY_NOT_MONEY` for `XXX` and `XTS`.",
    cost: "Per row: one code look-up.",
    example: (
        "SELECT currency_minor_units('JPY') AS jpy, currency_minor_units('eur') AS eur, currency_minor_units('KWD') AS kwd",
        "+-----+-----+-----+\n| jpy | eur | kwd |\n+-----+-----+-----+\n| 0   | 2   | 3   |\n+-----+-----+-----+",
    ),
    source: "ISO 4217 list one, https://www.six-group.com/en/products-services/financial-information/data-standards.html",
};

/// The kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CurrencyMinorUnits {
    rates: Option<SessionRates>,
}

impl CurrencyMinorUnits {
    pub(super) const fn new(rates: Option<SessionRates>) -> Self {
        Self { rates }
    }
}

impl Kernel for CurrencyMinorUnits {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn rates(&self) -> Option<&SessionRates> {
        self.rates.as_ref()
    }

    fn volatility(&self) -> Volatility {
        Volatility::Stable
    }

    fn result_type(&self, _types: &[DataType], _constants: Constants<'_>) -> Result<DataType> {
        Ok(DataType::Int32)
    }

    fn invoke(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (codes, rows) = (Texts::of(args, 0)?, Rows::of(args));
        let table = known_currencies(self.rates.as_ref())?;
        let mut results = Int32Builder::with_capacity(rows.count());
        rows.compute(
            OnRefusal::Fail,
            |row| codes.get(row).map_or(Ok(None), |code| minor_units(table, code)),
            |row, reason| FunctionError::Row {
                function: CARD.name,
                reason,
                detail: explain_currency(codes.get(row).unwrap_or_default(), reason),
            },
            |result| results.append_option(result),
        )?;
        rows.finish(Arc::new(results.finish()))
    }
}

fn minor_units(table: &CurrencyTable, code: &str) -> std::result::Result<Option<i32>, RowReason> {
    match table.parse(code.as_bytes()) {
        Err(RowReason::CurrencyMissing) => Ok(None),
        Err(reason) => Err(reason),
        Ok(parsed) => {
            let minor_units = table.entry(parsed.currency).minor_units;
            let dropped = if parsed.hundredths { 2 } else { 0 };
            Ok(minor_units.map(|minor_units| i32::from(minor_units.saturating_sub(dropped))))
        }
    }
}
