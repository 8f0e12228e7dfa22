use super::{check, check_value, refusal, refusal_of, row_error, rows, session, unbound_session};
use crate::reason::RowReason;
use crate::sql::FunctionError;

#[test]
fn converts_at_the_newest_rates_up_to_the_date() {
    // 100 * 89.60 / 0.8575 = 10448.97959…
    check_value("fx_convert('100.00', 'GBP', DATE '2024-05-04', 'INR')", "10448.98");
    // 100 * 89.25 / 0.8550 = 10438.59649…
    check_value("fx_convert('100.00', 'GBP', DATE '2024-05-02', 'INR')", "10438.60");
    check_value("fx_convert('100.00', 'GBP', '2024-05-01', 'INR')", "10438.60");
    check_value("fx_convert('100.00', 'GBP', TIMESTAMP '2024-05-02T23:59:59', 'INR')", "10438.60");
}

#[test]
fn the_target_decides_the_scale() {
    // 100 * 164.00 / 0.8575 = 19125.364…; 100 * 0.33 / 0.8575 = 38.48396…; 100 / 0.8575 = 116.618….
    check_value("fx_convert(100, 'GBP', DATE '2024-05-04', 'JPY')", "19125");
    check_value("fx_convert(100, 'GBP', DATE '2024-05-04', 'KWD')", "38.484");
    check_value("fx_convert(100, 'GBP', DATE '2024-05-04', 'EUR')", "116.62");
    check_value("arrow_typeof(fx_convert(100, 'GBP', DATE '2024-05-04', 'KWD'))", "Decimal128(38, 3)");
}

#[test]
fn a_stated_scale_takes_the_place_of_minor_units() {
    // 100 * 0.0000175 = 0.00175, at the rates of 2024-05-01: the later snapshot does not hold BTC.
    check_value("fx_convert('100', 'EUR', DATE '2024-05-04', 'BTC', 'half_even', 8)", "0.00175000");
    // 100 * 89.60 / 0.8575 = 10448.979591836734…
    check_value("fx_convert('100', 'GBP', DATE '2024-05-04', 'INR', 'half_even', 6)", "10448.979592");
    assert_eq!(
        refusal("SELECT fx_convert('100', 'EUR', DATE '2024-05-04', 'BTC')"),
        "Error during planning: fx_convert: target currency `BTC` has no minor unit in ISO 4217; expected the argument `scale`"
    );
    assert_eq!(
        refusal("SELECT fx_convert('100', 'EUR', DATE '2024-05-04', 'INR', 'half_even', 19)"),
        "Error during planning: fx_convert: argument `scale` is `19`; expected an integer literal from 0 to 18"
    );
}

/// 0.012109375 * 89.60 = 1.085 exactly.
#[test]
fn a_half_is_rounded_by_the_mode_and_symmetric_about_zero() {
    let convert =
        |amount: &str, mode: &str| format!("fx_convert('{amount}', 'EUR', DATE '2024-05-04', 'INR'{mode})");
    check_value(&convert("0.012109375", ""), "1.08");
    check_value(&convert("0.012109375", ", 'half_even'"), "1.08");
    check_value(&convert("0.012109375", ", 'half_up'"), "1.09");
    check_value(&convert("-0.012109375", ""), "-1.08");
    check_value(&convert("-0.012109375", ", 'half_up'"), "-1.09");
    assert_eq!(
        refusal(&format!("SELECT {}", convert("1", ", 'up'"))),
        "Error during planning: fx_convert: unknown rounding mode `up`; expected `half_even` or `half_up`"
    );
}

/// 2^64 - 1, and a decimal that is wider than a result.
#[test]
fn every_exact_type_of_amount_is_accepted() {
    let convert =
        |amount: &str| format!("fx_convert({amount}, 'JPY', DATE '2024-05-04', 'JPY', 'half_even', 2)");
    check_value(&convert("arrow_cast('18446744073709551615', 'UInt64')"), "18446744073709551615.00");
    check_value(&convert("arrow_cast('1.5', 'Decimal256(60, 2)')"), "1.50");
    check_value(&convert("arrow_cast('1.5', 'Decimal32(5, 1)')"), "1.50");
    check_value(&convert("arrow_cast('1.5', 'Dictionary(Int32, Utf8)')"), "1.50");
}

#[test]
fn zero_and_negative_amounts_convert() {
    check_value("fx_convert('0', 'GBP', DATE '2024-05-04', 'INR')", "0.00");
    check_value("fx_convert('-100', 'GBP', DATE '2024-05-04', 'INR')", "-10448.98");
}

#[test]
fn hundredths_are_a_hundredth() {
    check_value("fx_convert('10000', 'GBX', DATE '2024-05-04', 'INR')", "10448.98");
    check_value("fx_convert('10000', 'GBp', DATE '2024-05-04', 'GBP')", "100.00");
    assert_eq!(
        refusal("SELECT fx_convert('1', 'GBP', DATE '2024-05-04', 'GBX')"),
        "Error during planning: fx_convert: target currency `GBX` is a hundredth of `GBP`; expected a whole currency"
    );
}

/// No rate is needed, so the day need not be one that the rates cover.
#[test]
fn a_currency_to_itself_is_only_rounded() {
    check_value("fx_convert('2.345', 'GBP', DATE '1999-01-01', 'GBP')", "2.34");
    check_value("fx_convert('2.345', 'GBP', DATE '1999-01-01', 'GBP', 'half_up')", "2.35");
}

#[test]
fn the_largest_amounts_convert_exactly_or_are_refused() {
    // (10^20 - 10^-18) * 89.60 / 0.8575 = 10448979591836734693877.55102…
    check_value(
        "fx_convert('99999999999999999999.999999999999999999', 'GBP', DATE '2024-05-04', 'INR')",
        "10448979591836734693877.55",
    );
    // (10^38 - 1) yen / 164 = 609756097560975609756097560975609756.0914…: 38 digits with two decimals.
    check_value(
        "fx_convert('99999999999999999999999999999999999999', 'JPY', DATE '2024-05-04', 'EUR')",
        "609756097560975609756097560975609756.09",
    );
    assert_eq!(
        refusal(
            "SELECT fx_convert('99999999999999999999999999999999999999', 'GBP', DATE '2024-05-04', 'INR')"
        ),
        "fx_convert: RESULT_OVERFLOW: the converted amount has more than 38 digits; expected at most 38; try_fx_convert gives NULL for such a row"
    );
}

#[test]
fn a_null_amount_is_null_whatever_else_the_row_holds() {
    check_value("fx_convert(NULL, 'ZZZ', DATE '2024-05-04', 'INR')", "NULL");
    check(
        "SELECT fx_convert(a, c, DATE '2024-05-04', 'INR') FROM (VALUES ('100', 'GBP'), (NULL, 'ZZZ'), ('-100', 'gbp ')) AS t(a, c)",
        &["10448.98", "NULL", "-10448.98"],
    );
}

#[test]
fn a_row_that_cannot_be_converted_fails_with_its_reason_or_is_null() {
    let cases = [
        ("' '", "'GBP'", "'2024-05-04'", "AMOUNT_MISSING: the amount is blank; expected a number"),
        (
            "'1,5'",
            "'GBP'",
            "'2024-05-04'",
            "AMOUNT_NOT_NUMERIC: amount `1,5`: not a decimal number; expected digits with an optional sign, point and exponent, as in `-1234.56` or `1.5e-3`",
        ),
        (
            "'0.0000000000000000001'",
            "'GBP'",
            "'2024-05-04'",
            "AMOUNT_SCALE_EXCEEDED: amount `0.0000000000000000001`: more than 18 decimals; expected at most 18",
        ),
        (
            "'1e38'",
            "'GBP'",
            "'2024-05-04'",
            "AMOUNT_OVERFLOW: amount `1e38`: more than 38 digits; expected at most 38",
        ),
        (
            "'1'",
            "NULL",
            "'2024-05-04'",
            "CURRENCY_MISSING: the currency is missing; expected an ISO 4217 code",
        ),
        (
            "'1'",
            "'ZZZ'",
            "'2024-05-04'",
            "CURRENCY_UNKNOWN: unknown currency code `ZZZ`; expected an ISO 4217 code or one that the session's rates carry",
        ),
        (
            "'1'",
            "'XXX'",
            "'2024-05-04'",
            "CURRENCY_NOT_MONEY: code `XXX` stands for no currency; expected one that does",
        ),
        (
            "'1'",
            "'DEM'",
            "'2024-05-04'",
            "CURRENCY_NOT_VALID_AT_DATE: `DEM` or `INR` was withdrawn before 2024-05-04; expected currencies in force on that day",
        ),
        ("'1'", "'GBP'", "NULL", "EVENT_TIME_MISSING: the event date is missing; expected a date"),
        (
            "'1'",
            "'GBP'",
            "'2024-02-30'",
            "EVENT_TIME_INVALID: event date `2024-02-30`; expected a date of the calendar such as `2024-05-01`",
        ),
        (
            "'1'",
            "'GBP'",
            "'2024-04-30'",
            "EVENT_BEFORE_HISTORY: 2024-04-30 lies before the first snapshot of rates, 2024-05-01",
        ),
        (
            "'1'",
            "'ZAR'",
            "'2024-05-04'",
            "RATE_MISSING_SOURCE: no snapshot up to 2024-05-04 has a rate for `ZAR`",
        ),
        (
            "'1'",
            "'GBP'",
            "'2024-05-11'",
            "RATE_STALE: the newest snapshot with `GBP` and `INR` is more than 7 days older than 2024-05-11",
        ),
    ];
    for (amount, source, event, expected) in cases {
        let call = format!("fx_convert({amount}, {source}, {event}, 'INR')");
        let expected = format!("fx_convert: {expected}; try_fx_convert gives NULL for such a row");
        assert_eq!(refusal(&format!("SELECT {call}")), expected);
        check_value(&format!("try_{call}"), "NULL");
    }
    assert_eq!(
        refusal("SELECT fx_convert('1', 'GBP', '2024-05-04', 'ZAR')"),
        "fx_convert: RATE_MISSING_TARGET: no snapshot up to 2024-05-04 has rates for both `GBP` and `ZAR`; try_fx_convert gives NULL for such a row"
    );
    check_value("try_fx_convert('1', 'GBP', '2024-05-04', 'ZAR')", "NULL");
}

#[test]
fn rates_are_used_through_the_last_day_of_the_age_limit() {
    check_value("fx_convert('100', 'GBP', DATE '2024-05-10', 'INR')", "10448.98");
}

/// The caller branches on the reason, not on the text.
#[test]
fn the_refusal_is_found_inside_the_error() {
    let error = rows(&session(), "SELECT fx_convert('1', 'ZZZ', DATE '2024-05-04', 'INR')").unwrap_err();
    assert!(
        matches!(row_error(&error), Some(FunctionError::Row { reason: RowReason::CurrencyUnknown, .. })),
        "{error}"
    );
}

#[test]
fn the_first_bad_row_is_named_and_only_bad_rows_are_null() {
    let values = "(VALUES ('1', 'EUR'), ('x', 'EUR'), ('2', 'ZZZ'), (NULL, NULL), ('2', 'EUR')) AS t(a, c)";
    let refused = refusal(&format!("SELECT fx_convert(a, c, DATE '2024-05-04', 'INR') FROM {values}"));
    assert!(refused.starts_with("fx_convert: AMOUNT_NOT_NUMERIC: amount `x`"), "{refused}");
    // 1 * 89.60 and 2 * 89.60.
    check(
        &format!("SELECT try_fx_convert(a, c, DATE '2024-05-04', 'INR') FROM {values}"),
        &["89.60", "NULL", "NULL", "NULL", "179.20"],
    );
}

#[test]
fn a_wrong_call_is_refused_when_it_is_planned() {
    let cases = [
        (
            "fx_convert(CAST('1.5' AS DOUBLE), 'GBP', DATE '2024-05-04', 'INR')",
            "argument `amount` is of type Float64; expected text, an integer or a decimal of at most 18 decimals; a float is not exact: write the number as text, '12.34', or as a decimal",
        ),
        (
            "fx_convert(CAST('1' AS DECIMAL(38, 20)), 'GBP', DATE '2024-05-04', 'INR')",
            "argument `amount` is of type Decimal128(38, 20); expected text, an integer or a decimal of at most 18 decimals; a float is not exact: write the number as text, '12.34', or as a decimal",
        ),
        (
            "fx_convert('1', 'GBP', 20240504, 'INR')",
            "argument `event_date` is of type Int64; expected a date, a timestamp, or text such as '2024-05-01'",
        ),
        (
            "fx_convert('1', 'GBP', DATE '2024-05-04')",
            "3 arguments given; expected fx_convert(amount, source_currency, event_date, target_currency [, mode [, scale]])",
        ),
        (
            "fx_convert('1', 'GBP', DATE '2024-05-04', NULL)",
            "argument `target_currency` is NULL; expected a text literal",
        ),
        (
            "fx_convert('1', 'GBP', DATE '2024-05-04', 'ZZZ')",
            "CURRENCY_UNKNOWN: target currency `ZZZ`; expected an ISO 4217 code or one that the session's rates carry",
        ),
    ];
    for (call, expected) in cases {
        assert_eq!(
            refusal(&format!("SELECT {call}")),
            format!("Error during planning: fx_convert: {expected}")
        );
    }
    assert_eq!(
        refusal("SELECT fx_convert('1', 'GBP', DATE '2024-05-04', c) FROM (VALUES ('INR')) AS t(c)"),
        "Error during planning: fx_convert: argument `target_currency` is not a literal; expected one, since the type of the result depends on it"
    );
}

#[test]
fn a_session_without_rates_says_so() {
    let expected = "no rates are bound to this session; bind a rate book to it before the query is planned";
    for call in [
        "fx_convert('1', 'GBP', DATE '2024-05-04', 'INR')",
        "try_fx_convert('1', 'GBP', DATE '2024-05-04', 'INR')",
    ] {
        let name = call.split('(').next().unwrap();
        assert_eq!(
            refusal_of(&unbound_session(), &format!("SELECT {call}")),
            format!("Error during planning: {name}: {expected}")
        );
    }
}
