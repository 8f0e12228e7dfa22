//! The outer ring: Arrow kernels around the arithmetic, as SQL functions of a DataFusion session.
//!
//! [`functions`] lists them with their documentation. Scheduler, executor, command line and tests take
//! them from this registry and from nowhere else.
//!
//! A row that cannot be computed is an error that names the value and its reason code, never a silent null
//! or a rate of 1; the `try_` functions give null instead. Functions allocate their result once per batch,
//! read columns and constants in place, and never make a text per row.

mod argument;
mod card;
mod converter;
mod currency_minor_units;
mod currency_normalize;
mod error;
mod fx_convert;
mod fx_rate;
mod fx_rate_date;
mod money_round;
mod money_sum;
mod own;
mod pair;
mod parse_decimal;
mod reference;
mod registry;
mod scalar;
mod session_rates;
#[cfg(test)]
mod tests;

pub use error::FunctionError;
pub use own::{OwnFunction, install_functions};
pub use reference::reference_page;
pub use registry::{
    FunctionDescription, FunctionKind, aggregate_functions, functions, rates_of, register_all,
    register_rates, register_session_rates, scalar_function_named, scalar_functions,
};
pub use session_rates::{BookIdentity, SessionRates};
