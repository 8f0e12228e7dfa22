//! The one registry: every SQL function of ours, and how a session gets them.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{AggregateUDF, Documentation, ScalarUDF};
use datafusion::prelude::SessionContext;

use super::currency_minor_units::CurrencyMinorUnits;
use super::currency_normalize::CurrencyNormalize;
use super::fx_convert::FxConvert;
use super::fx_rate::FxRate;
use super::fx_rate_date::FxRateDate;
use super::money_round::MoneyRound;
use super::money_sum::MoneySum;
use super::own::{OwnFunction, own_functions};
use super::parse_decimal::ParseDecimal;
use super::scalar::{self, OnRefusal, scalar_function};
use super::session_rates::SessionRates;
use crate::rate::RateBook;

/// How a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FunctionKind {
    /// Once per row.
    Scalar,
    /// Once per group of rows.
    Aggregate,
}

/// What a listing of the functions says of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionDescription {
    /// The name in SQL, lower case.
    pub name: String,
    /// How it is called.
    pub kind: FunctionKind,
    /// The call with its parameters, optional ones in brackets.
    pub signature: String,
    /// Everything else: arguments, result, errors, an example.
    pub doc: Documentation,
}

/// Returns every scalar function of ours, bound to `rates`.
///
/// Without rates the `fx_` functions refuse when a query is planned, and the others know the currencies of
/// ISO 4217 alone.
pub fn scalar_functions(rates: Option<&SessionRates>) -> Vec<Arc<ScalarUDF>> {
    let rates = || rates.cloned();
    vec![
        scalar_function(FxConvert::new(OnRefusal::Fail, rates())),
        scalar_function(FxConvert::new(OnRefusal::Null, rates())),
        scalar_function(FxRate::new(OnRefusal::Fail, rates())),
        scalar_function(FxRate::new(OnRefusal::Null, rates())),
        scalar_function(FxRateDate::new(OnRefusal::Fail, rates())),
        scalar_function(FxRateDate::new(OnRefusal::Null, rates())),
        scalar_function(MoneyRound::new(rates())),
        scalar_function(CurrencyMinorUnits::new(rates())),
        scalar_function(CurrencyNormalize::new(rates())),
        scalar_function(ParseDecimal),
    ]
}

/// Returns every aggregate function of ours.
pub fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    vec![Arc::new(AggregateUDF::new_from_impl(MoneySum::new()))]
}

/// Gives a session all functions, without rates; those of the program's own too.
///
/// # Errors
///
/// Where the session refuses a function.
pub fn register_all(context: &SessionContext) -> Result<()> {
    register(context, None)
}

/// Gives a session all functions, bound to a rate book. Queries that are planned from now on use it; it
/// takes the place of the book that was bound before.
///
/// # Errors
///
/// Where the session refuses a function.
pub fn register_rates(context: &SessionContext, book: Arc<RateBook>) -> Result<()> {
    register_session_rates(context, &SessionRates::new(book))
}

/// Does the same as [`register_rates`] for rates that know from where another process gets them.
///
/// # Errors
///
/// Where the session refuses a function.
pub fn register_session_rates(context: &SessionContext, rates: &SessionRates) -> Result<()> {
    register(context, Some(rates))
}

/// Returns the rates that one of our functions is bound to, if it is bound.
pub fn rates_of(function: &ScalarUDF) -> Option<&SessionRates> {
    scalar::rates_of::<FxConvert>(function)
        .or_else(|| scalar::rates_of::<FxRate>(function))
        .or_else(|| scalar::rates_of::<FxRateDate>(function))
        .or_else(|| scalar::rates_of::<MoneyRound>(function))
        .or_else(|| scalar::rates_of::<CurrencyMinorUnits>(function))
        .or_else(|| scalar::rates_of::<CurrencyNormalize>(function))
}

/// Returns the scalar function of this name, bound to `rates`.
pub fn scalar_function_named(name: &str, rates: Option<&SessionRates>) -> Option<Arc<ScalarUDF>> {
    scalar_functions(rates).into_iter().find(|function| function.name() == name)
}

fn register(context: &SessionContext, rates: Option<&SessionRates>) -> Result<()> {
    let state = context.state_ref();
    let mut state = state.write();
    for function in scalar_functions(rates) {
        state.register_udf(function)?;
    }
    for function in aggregate_functions() {
        state.register_udaf(function)?;
    }
    for function in own_functions() {
        match function {
            OwnFunction::Scalar(function) => state.register_udf(Arc::clone(function)).map(drop)?,
            OwnFunction::Aggregate(function) => state.register_udaf(Arc::clone(function)).map(drop)?,
        }
    }
    Ok(())
}

/// Returns the description of every function, in the order in which they are documented; those of the
/// program's own are last.
pub fn functions() -> Vec<FunctionDescription> {
    let scalar = scalar_functions(None)
        .into_iter()
        .filter_map(|function| describe(function.name(), FunctionKind::Scalar, function.documentation()));
    let aggregate = aggregate_functions()
        .into_iter()
        .filter_map(|function| describe(function.name(), FunctionKind::Aggregate, function.documentation()));
    scalar.chain(aggregate).chain(own_functions().iter().map(OwnFunction::describe)).collect()
}

fn describe(name: &str, kind: FunctionKind, doc: Option<&Documentation>) -> Option<FunctionDescription> {
    let doc = doc?.clone();
    Some(FunctionDescription { name: name.to_owned(), kind, signature: doc.syntax_example.clone(), doc })
}
