//! `fx_rate_date` and `try_fx_rate_date`: the day whose rates a conversion uses.

use std::sync::Arc;

use arrow::array::Date32Builder;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, Volatility};

use super::card::Card;
use super::error::FunctionError;
use super::fx_rate::{CARD as RATE_CARD, PAIR};
use super::pair::{Pairs, Quote};
use super::scalar::{Constants, Kernel, OnRefusal, Rows};
use super::session_rates::SessionRates;

const CARD: Card = Card {
    name: "fx_rate_date",
    computes: "Returns the day that the rates of a conversion are for: that of the newest snapshot on or before the event date that holds both currencies.",
    result: "Date32; nullable. NULL from a currency to itself, where no rate is looked up.",
    rounding: "None.",
    errors: "The query fails at the first row without rates and names the value and its reason: `CURRENCY_MISSING`, `CURRENCY_UNKNOWN`, `CURRENCY_NOT_MONEY`, `CURRENCY_NOT_VALID_AT_DATE`, `EVENT_TIME_MISSING`, `EVENT_TIME_INVALID`, `EVENT_BEFORE_HISTORY`, `RATE_MISSING_SOURCE`, `RATE_MISSING_TARGET`, `RATE_STALE`. `try_fx_rate_date` gives NULL instead.",
    cost: "Per row: two code look-ups and one snapshot look-up.",
    example: (
        "SELECT fx_rate_date('GBP', 'INR', DATE '2024-05-04') AS rate_date",
        "+------------+\n| rate_date  |\n+------------+\n| 2024-05-03 |\n+------------+",
    ),
    ..RATE_CARD
};

const TRY_CARD: Card = Card {
    name: "try_fx_rate_date",
    computes: "Does the same as `fx_rate_date`, but gives NULL for a row without rates.",
    nulls: "A row without rates gives NULL, whatever the reason; so does a NULL in any argument.",
    errors: "Only what is wrong with the call itself, when the query is planned.",
    example: (
        "SELECT try_fx_rate_date('GBP', 'ZZZ', DATE '2024-05-04') AS rate_date",
        "+-----------+\n| rate_date |\n+-----------+\n|           |\n+-----------+",
    ),
    ..CARD
};

/// The kernel of both functions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FxRateDate {
    on_refusal: OnRefusal,
    rates: Option<SessionRates>,
}

impl FxRateDate {
    pub(super) const fn new(on_refusal: OnRefusal, rates: Option<SessionRates>) -> Self {
        Self { on_refusal, rates }
    }

    fn bound(&self) -> Result<&SessionRates, FunctionError> {
        self.rates.as_ref().ok_or(FunctionError::NoRates { function: self.card().name })
    }
}

impl Kernel for FxRateDate {
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

    fn result_type(&self, _types: &[DataType], _constants: Constants<'_>) -> Result<DataType> {
        self.bound()?;
        Ok(DataType::Date32)
    }

    fn invoke(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let book = self.bound()?.book()?;
        let (pairs, rows) = (Pairs::of(book, args, PAIR)?, Rows::of(args));
        let mut results = Date32Builder::with_capacity(rows.count());
        rows.compute(
            self.on_refusal,
            |row| match pairs.quote(&pairs.get(row)?)? {
                Quote::Same => Ok(None),
                Quote::Published(snapshot) => {
                    Ok(book.snapshots().get(snapshot.index()).map(|snapshot| snapshot.rate_date.0))
                }
            },
            |row, reason| FunctionError::Row {
                function: self.card().name,
                reason,
                detail: format!("{}; try_fx_rate_date gives NULL for such a row", pairs.explain(row, reason)),
            },
            |date| results.append_option(date),
        )?;
        rows.finish(Arc::new(results.finish()))
    }
}
