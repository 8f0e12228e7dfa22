//! The functions through SQL and by direct calls, over one small rate book.
//!
//! Expected figures are worked out by hand; the calculation stands beside them.

mod columns;
mod currency_minor_units;
mod currency_normalize;
mod fx_convert;
mod fx_rate;
mod fx_rate_date;
mod instant;
mod money_round;
mod money_sum;
mod parse_decimal;
mod registry;
mod retail;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::Field;
use arrow::util::display::array_value_to_string;
use datafusion::common::{DataFusionError, Result};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs};
use datafusion::prelude::{SessionConfig, SessionContext};

use super::{FunctionError, SessionRates, register_all, register_rates, scalar_functions};
use crate::currency::CurrencyCode;
use crate::rate::{AsOfMode, BookOptions, InstantMicros, RateBook, RateDate, Snapshot, SnapshotId};

/// 2024-05-01: 19,723 days to 2024-01-01 and 31 + 29 + 31 + 30 to May.
const MAY_1: i32 = 19_844;

const HOUR_MICROS: i64 = 3_600_000_000;

/// Base EUR. On 2024-05-01 with BTC, on 2024-05-03 without; both from noon UTC.
pub(super) fn book(mode: AsOfMode) -> Arc<RateBook> {
    let first = [
        ("BTC", "0.0000175"),
        ("GBP", "0.8550"),
        ("INR", "89.25"),
        ("JPY", "167.50"),
        ("KWD", "0.3290"),
        ("USD", "1.0700"),
    ];
    let second =
        [("GBP", "0.8575"), ("INR", "89.60"), ("JPY", "164.00"), ("KWD", "0.3300"), ("USD", "1.0750")];
    let options = BookOptions { mode, max_age_days: Some(7), known_as_of: InstantMicros(i64::MAX) };
    Arc::new(
        RateBook::build(vec![snapshot(0xa1, MAY_1, &first), snapshot(0xb3, MAY_1 + 2, &second)], &options)
            .unwrap(),
    )
}

fn snapshot(id: u8, day: i32, rates: &[(&str, &str)]) -> Snapshot {
    Snapshot {
        id: SnapshotId([id; 32]),
        provider: "ecb".to_owned(),
        base: CurrencyCode::parse("EUR").unwrap(),
        rate_date: RateDate(day),
        valid_at: Some(InstantMicros((i64::from(day) * 24 + 12) * HOUR_MICROS)),
        known_at: InstantMicros(0),
        location: format!("{day}.json"),
        rates: rates
            .iter()
            .map(|(code, rate)| (CurrencyCode::parse(code).unwrap(), rate.parse().unwrap()))
            .collect(),
        expires: None,
        held: Vec::new(),
    }
}

/// A session with the settings of a job's: names in SQL resolve as written, several partitions.
fn empty_session(partitions: usize) -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(partitions)
        .set_bool("datafusion.sql_parser.enable_ident_normalization", false)
        .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false);
    SessionContext::new_with_config(config)
}

pub(super) fn session() -> SessionContext {
    session_with(AsOfMode::Date, 2)
}

pub(super) fn session_with(mode: AsOfMode, partitions: usize) -> SessionContext {
    let context = empty_session(partitions);
    register_rates(&context, book(mode)).unwrap();
    context
}

pub(super) fn unbound_session() -> SessionContext {
    let context = empty_session(2);
    register_all(&context).unwrap();
    context
}

pub(super) fn batches(context: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { context.sql(sql).await?.collect().await })
}

/// Every row as one text: values as DataFusion prints them, NULL for null, a bar between columns.
pub(super) fn rows(context: &SessionContext, sql: &str) -> Result<Vec<String>> {
    let mut rows = Vec::new();
    for batch in batches(context, sql)? {
        for row in 0..batch.num_rows() {
            let values: Vec<String> = batch.columns().iter().map(|column| value(column, row)).collect();
            rows.push(values.join(" | "));
        }
    }
    Ok(rows)
}

fn value(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return "NULL".to_owned();
    }
    array_value_to_string(column, row).unwrap()
}

/// Evaluates one SELECT over the usual session.
pub(super) fn check(sql: &str, expected: &[&str]) {
    assert_eq!(rows(&session(), sql).unwrap(), expected, "{sql}");
}

/// Evaluates one expression of constants.
pub(super) fn check_value(expression: &str, expected: &str) {
    check(&format!("SELECT {expression}"), &[expected]);
}

/// The text of the refusal of one SELECT, without the kinds that DataFusion puts before it.
pub(super) fn refusal(sql: &str) -> String {
    refusal_of(&session(), sql)
}

pub(super) fn refusal_of(context: &SessionContext, sql: &str) -> String {
    let error = match rows(context, sql) {
        Ok(rows) => panic!("{sql} gave {rows:?}"),
        Err(error) => error,
    };
    match row_error(&error) {
        Some(found) => found.to_string(),
        None => error.strip_backtrace(),
    }
}

/// Our own error inside DataFusion's, as a caller finds it.
pub(super) fn row_error(error: &DataFusionError) -> Option<&FunctionError> {
    match error.find_root() {
        DataFusionError::External(source) => source.downcast_ref(),
        _ => None,
    }
}

/// Calls a function directly, as an operator does, and returns its column.
pub(super) fn call(name: &str, arguments: Vec<ColumnarValue>, rows: usize) -> Result<ArrayRef> {
    let rates = SessionRates::new(book(AsOfMode::Date));
    let function =
        scalar_functions(Some(&rates)).into_iter().find(|function| function.name() == name).unwrap();
    let types: Vec<_> = arguments.iter().map(ColumnarValue::data_type).collect();
    let arg_fields: Vec<_> =
        types.iter().map(|data_type| Arc::new(Field::new("argument", data_type.clone(), true))).collect();
    let scalar_arguments: Vec<_> = arguments
        .iter()
        .map(|argument| match argument {
            ColumnarValue::Scalar(value) => Some(value),
            ColumnarValue::Array(_) => None,
        })
        .collect();
    let args = ReturnFieldArgs { arg_fields: &arg_fields, scalar_arguments: &scalar_arguments };
    let return_field = function.return_field_from_args(args)?;
    let config_options = Arc::new(ConfigOptions::new());
    let args = ScalarFunctionArgs {
        args: arguments.clone(),
        arg_fields: arg_fields.clone(),
        number_rows: rows,
        return_field: return_field.clone(),
        config_options,
    };
    let result = function.invoke_with_args(args)?.into_array(rows)?;
    assert_eq!(result.data_type(), return_field.data_type(), "{name} keeps the type it promised");
    Ok(result)
}

pub(super) fn texts(column: &ArrayRef) -> Vec<String> {
    (0..column.len()).map(|row| value(column, row)).collect()
}
