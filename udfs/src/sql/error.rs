//! What a SQL function refuses, and how the refusal travels through DataFusion.

use datafusion::common::DataFusionError;

use crate::reason::RowReason;

/// Why a call or a row of it was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FunctionError {
    /// The call itself is wrong, whatever the rows are: correct the query. Arrives as a planning error.
    #[error("{function}: {detail}")]
    Call {
        /// The function's name.
        function: &'static str,
        /// What was found, then what is allowed.
        detail: String,
    },
    /// The function needs a rate book and the session has none: bind one with
    /// [`register_rates`](super::register_rates). Arrives as a planning error.
    #[error(
        "{function}: no rates are bound to this session; bind a rate book to it before the query is planned"
    )]
    NoRates {
        /// The function's name.
        function: &'static str,
    },
    /// A row has no result: correct or filter the data. Arrives as the source of an external error.
    #[error("{function}: {reason}: {detail}")]
    Row {
        /// The function's name.
        function: &'static str,
        /// The stable reason code.
        reason: RowReason,
        /// What was found, then what is allowed.
        detail: String,
    },
    /// Amounts of two currencies met in one sum: group by currency or convert first. Arrives as the source
    /// of an external error.
    #[error(
        "{function}: both `{first}` and `{second}` in one sum; expected one currency: group by it, or convert the amounts first"
    )]
    MixedCurrencies {
        /// The function's name.
        function: &'static str,
        /// The code that came first.
        first: String,
        /// The code that differs from it.
        second: String,
    },
}

impl From<FunctionError> for DataFusionError {
    fn from(error: FunctionError) -> Self {
        match error {
            FunctionError::Call { .. } | FunctionError::NoRates { .. } => Self::Plan(error.to_string()),
            _ => Self::External(Box::new(error)),
        }
    }
}

/// The beginning of a user's text, short enough for a message.
pub(super) fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
