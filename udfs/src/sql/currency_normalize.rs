//! `currency_normalize`: the code that a cell of text stands for.

use std::sync::Arc;

use arrow::array::StringBuilder;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, Volatility};

use super::argument::Texts;
use super::card::{Card, Parameter, ParameterKind};
use super::scalar::{Constants, Kernel, Rows};
use super::session_rates::{SessionRates, known_currencies};

/// Bytes of a usual code, for the first allocation.
const CODE_BYTES: usize = 3;

const CARD: Card = Card {
    name: "currency_normalize",
    parameters: &[Parameter {
        name: "code",
        kind: ParameterKind::Text,
        text: "Utf8; a currency code as a source writes it; nullable.",
    }],
    required: 1,
    computes: "Returns the currency code that a text stands for: trimmed and in upper case, the whole currency for its hundredths (`GBX` and `GBp` give `GBP`).",
    result: "Utf8; an ISO 4217 code or one that the session's rates carry; nullable. That an amount is in hundredths is not told: convert such amounts by their code as it came.",
    shape: "One result per row, order kept; the argument may be a column or a constant.",
    nulls: "NULL, a blank text, an unknown code and a code that is no money (`XXX`, `XTS`) give NULL, so that `WHERE currency_normalize(code) IS NULL` finds them.",
    rounding: "None.",
    errors: "None.",
    cost: "Per row: one code look-up and a copy of the code.",
    example: (
        "SELECT currency_normalize(' gbp ') AS pound, currency_normalize('GBX') AS pence, currency_normalize('£') AS symbol",
        "+-------+-------+--------+\n| pound | pence | symbol |\n+-------+-------+--------+\n| GBP   | GBP   |        |\n+-------+-------+--------+",
    ),
    source: "ISO 4217 lists one and three, https://www.six-group.com/en/products-services/financial-information/data-standards.html",
};

/// The kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CurrencyNormalize {
    rates: Option<SessionRates>,
}

impl CurrencyNormalize {
    pub(super) const fn new(rates: Option<SessionRates>) -> Self {
        Self { rates }
    }
}

impl Kernel for CurrencyNormalize {
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
        Ok(DataType::Utf8)
    }

    fn invoke(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (codes, rows) = (Texts::of(args, 0)?, Rows::of(args));
        let table = known_currencies(self.rates.as_ref())?;
        let mut results = StringBuilder::with_capacity(rows.count(), rows.count() * CODE_BYTES);
        for row in 0..rows.count() {
            match codes.get(row).and_then(|code| table.parse(code.as_bytes()).ok()) {
                Some(parsed) => results.append_value(table.entry(parsed.currency).code.as_str()),
                None => results.append_null(),
            }
        }
        rows.finish(Arc::new(results.finish()))
    }
}
