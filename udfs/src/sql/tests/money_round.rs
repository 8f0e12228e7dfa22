use std::sync::Arc;

use arrow::array::{Decimal128Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::prelude::SessionContext;

use super::{check, check_value, refusal, rows, session, unbound_session};

#[test]
fn a_literal_currency_decides_the_scale() {
    check_value("money_round('1234.5678', 'JPY')", "1235");
    check_value("money_round('1234.5678', 'INR')", "1234.57");
    check_value("money_round('1234.5678', 'KWD')", "1234.568");
    check_value("money_round(7, 'INR')", "7.00");
    check_value("arrow_typeof(money_round('1', 'KWD'))", "Decimal128(38, 3)");
}

#[test]
fn a_half_is_rounded_by_the_mode_and_symmetric_about_zero() {
    check_value("money_round('2.345', 'INR')", "2.34");
    check_value("money_round('2.355', 'INR')", "2.36");
    check_value("money_round('-2.345', 'INR')", "-2.34");
    check_value("money_round('2.345', 'INR', 'half_up')", "2.35");
    check_value("money_round('-2.345', 'INR', 'half_up')", "-2.35");
    check_value("money_round('0', 'INR', 'half_up')", "0.00");
}

#[test]
fn a_column_of_currencies_keeps_the_scale_of_the_amount() {
    let values = "(VALUES ('JPY'), ('INR'), ('KWD'), ('GBX'), ('CLF')) AS t(c)";
    check(
        &format!("SELECT money_round(CAST('12.3456' AS DECIMAL(9, 4)), c) FROM {values}"),
        &["12.0000", "12.3500", "12.3460", "12.0000", "12.3456"],
    );
    check(
        &format!("SELECT money_round(CAST('12.34' AS DECIMAL(9, 2)), c) FROM {values} WHERE c = 'KWD'"),
        &["12.34"],
    );
    check(&format!("SELECT money_round('0.5', c) FROM {values} WHERE c = 'JPY'"), &["0.000000000000000000"]);
    check(&format!("SELECT money_round(5, c) FROM {values} WHERE c = 'INR'"), &["5"]);
}

#[test]
fn a_stated_scale_is_the_result_s() {
    let values = "(VALUES ('JPY'), ('KWD')) AS t(c)";
    check(&format!("SELECT money_round('12.3456', c, 'half_even', 3) FROM {values}"), &["12.000", "12.346"]);
    check_value("money_round('12.3456', 'KWD', 'half_even', 2)", "12.35");
}

fn with_amounts(context: &SessionContext) {
    let schema = Schema::new(vec![
        Field::new("amount", DataType::Decimal128(18, 4), true),
        Field::new("currency", DataType::Utf8, true),
    ]);
    let amounts = Decimal128Array::from(vec![Some(123_456), None]).with_precision_and_scale(18, 4).unwrap();
    let currencies = StringArray::from(vec!["INR", "INR"]);
    let batch =
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(amounts), Arc::new(currencies)]).unwrap();
    context.register_batch("payments", batch).unwrap();
}

/// The optimizer puts the literal of a sub-query, or of a filter, where the column was.
#[test]
fn the_type_does_not_change_when_the_optimizer_finds_a_literal() {
    let context = session();
    with_amounts(&context);
    let expected = ["12.3500 | Decimal128(38, 4)", "NULL | Decimal128(38, 4)"];
    for query in [
        "SELECT money_round(amount, c) AS r FROM (SELECT amount, 'INR' AS c FROM payments)",
        "SELECT money_round(amount, currency) AS r FROM payments WHERE currency = 'INR'",
        "SELECT money_round(amount, c) AS r FROM payments CROSS JOIN (SELECT 'INR' AS c)",
    ] {
        assert_eq!(
            rows(&context, &format!("SELECT r, arrow_typeof(r) FROM ({query})")).unwrap(),
            expected,
            "{query}"
        );
    }
}

#[test]
fn a_null_amount_is_null_and_a_null_currency_is_refused() {
    check_value("money_round(NULL, 'INR')", "NULL");
    check("SELECT money_round(a, c) FROM (VALUES (NULL, NULL), (7, 'INR')) AS t(a, c)", &["NULL", "7"]);
    assert_eq!(
        refusal("SELECT money_round(a, c) FROM (VALUES (7, NULL), (7, 'INR')) AS t(a, c)"),
        "money_round: CURRENCY_MISSING: the currency is missing; expected an ISO 4217 code"
    );
}

#[test]
fn the_largest_amounts_are_rounded_or_refused() {
    let largest = "9".repeat(38);
    check_value(&format!("money_round('{largest}', 'JPY')"), &largest);
    assert_eq!(
        refusal(&format!("SELECT money_round('{largest}', 'INR')")),
        "money_round: RESULT_OVERFLOW: the rounded amount has more than 38 digits; expected at most 38"
    );
    // 20 nines and 18 more: up to 10^20, which is 21 digits before two decimals.
    check_value("money_round('99999999999999999999.999999999999999999', 'INR')", "100000000000000000000.00");
}

#[test]
fn a_row_that_cannot_be_rounded_fails_with_its_reason() {
    let cases = [
        (
            "'n/a', 'INR'",
            "AMOUNT_NOT_NUMERIC: amount `n/a`: not a decimal number; expected digits with an optional sign, point and exponent, as in `-1234.56` or `1.5e-3`",
        ),
        (
            "'1', 'ZZZ'",
            "CURRENCY_UNKNOWN: unknown currency code `ZZZ`; expected an ISO 4217 code or one that the session's rates carry",
        ),
        (
            "'1', 'XAU'",
            "CURRENCY_NOT_MONEY: code `XAU` has no minor unit in ISO 4217 to round to; expected a currency that has one",
        ),
    ];
    for (values, expected) in cases {
        let sql = format!("SELECT money_round(a, c) FROM (VALUES ({values})) AS t(a, c)");
        assert_eq!(refusal(&sql), format!("money_round: {expected}"));
    }
}

#[test]
fn a_wrong_call_is_refused_when_it_is_planned() {
    let cases = [
        (
            "money_round('1', 'ZZZ')",
            "CURRENCY_UNKNOWN: unknown currency code `ZZZ`; expected an ISO 4217 code or one that the session's rates carry",
        ),
        (
            "money_round('1', 'XAU')",
            "CURRENCY_NOT_MONEY: code `XAU` has no minor unit in ISO 4217 to round to; expected a currency that has one",
        ),
        (
            "money_round('1', 'INR', 'down')",
            "unknown rounding mode `down`; expected `half_even` or `half_up`",
        ),
        (
            "money_round(CAST('1' AS DOUBLE), 'INR')",
            "argument `amount` is of type Float64; expected text, an integer or a decimal of at most 18 decimals; a float is not exact: write the number as text, '12.34', or as a decimal",
        ),
        ("money_round('1')", "1 argument given; expected money_round(amount, currency [, mode [, scale]])"),
    ];
    for (call, expected) in cases {
        assert_eq!(
            refusal(&format!("SELECT {call}")),
            format!("Error during planning: money_round: {expected}")
        );
    }
}

#[test]
fn no_rates_are_needed() {
    assert_eq!(rows(&unbound_session(), "SELECT money_round('2.345', 'EUR')").unwrap(), ["2.34"]);
}
