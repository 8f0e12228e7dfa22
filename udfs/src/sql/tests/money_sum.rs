use std::sync::Arc;

use arrow::array::{Decimal128Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::MemTable;
use datafusion::prelude::SessionContext;

use super::{check, check_value, refusal, refusal_of, rows, session_with};
use crate::rate::AsOfMode;

const LARGEST: i128 = 10_i128.pow(38) - 1;

const SUM: &str = "SELECT money_sum(amount, currency) FROM payments";

/// Payments of the largest precision in several partitions.
fn with_payments(partitions: usize, payments: &[&[(Option<i128>, Option<&str>)]]) -> SessionContext {
    let context = session_with(AsOfMode::Date, partitions);
    let fields = vec![
        Field::new("amount", DataType::Decimal128(38, 2), true),
        Field::new("currency", DataType::Utf8, true),
    ];
    let schema = Arc::new(Schema::new(fields));
    let batch = |payments: &&[(Option<i128>, Option<&str>)]| {
        let amounts: Decimal128Array = payments.iter().map(|payment| payment.0).collect();
        let currencies: StringArray = payments.iter().map(|payment| payment.1).collect();
        let amounts = amounts.with_precision_and_scale(38, 2).unwrap();
        vec![
            RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(amounts), Arc::new(currencies)]).unwrap(),
        ]
    };
    let table = MemTable::try_new(Arc::clone(&schema), payments.iter().map(batch).collect()).unwrap();
    context.register_table("payments", Arc::new(table)).unwrap();
    context
}

#[test]
fn sums_are_exact() {
    // 0.10 + 0.20 - 0.30: a float would leave 5.55e-17.
    check(
        "SELECT money_sum(parse_decimal(a), c) FROM (VALUES ('0.10', 'EUR'), ('0.20', 'eur '), ('-0.30', 'EUR')) AS t(a, c)",
        &["0.000000000000000000"],
    );
    check("SELECT money_sum(a, c) FROM (VALUES (1, 'JPY'), (2, 'JPY')) AS t(a, c)", &["3"]);
}

#[test]
fn the_result_keeps_the_scale_of_the_amount() {
    check_value("arrow_typeof(money_sum(CAST('1' AS DECIMAL(9, 4)), 'EUR'))", "Decimal128(38, 4)");
    check_value("arrow_typeof(money_sum(7, 'EUR'))", "Decimal128(38, 0)");
}

#[test]
fn nothing_adds_up_to_null() {
    check("SELECT money_sum(a, c) FROM (VALUES (1, 'EUR')) AS t(a, c) WHERE a > 1", &["NULL"]);
    check_value("money_sum(NULL, 'EUR')", "NULL");
    check(
        "SELECT money_sum(a, c) FROM (VALUES (NULL, 'EUR'), (NULL, NULL), (NULL, 'ZZZZ€'), (5, 'USD')) AS t(a, c)",
        &["5"],
    );
}

/// With L = 10^38 - 1: 3L needs more than 128 bits, and 3L - 2L - 1 fits again.
#[test]
fn partial_sums_may_have_more_than_38_digits() {
    let euro = |amount| (Some(amount), Some("EUR"));
    let (up, down) =
        ([euro(LARGEST), euro(LARGEST), euro(LARGEST)], [euro(-LARGEST), euro(-LARGEST), euro(-1)]);
    let expected = format!("{}.98", "9".repeat(36));
    for partitions in [1, 2, 8] {
        let context = with_payments(partitions, &[&up, &[], &[(None, None)], &down]);
        for sql in [
            SUM,
            "SELECT money_sum(amount, currency) FROM payments WHERE amount IS NOT NULL GROUP BY currency",
        ] {
            assert_eq!(rows(&context, sql).unwrap(), [expected.as_str()], "{partitions}: {sql}");
        }
    }
}

#[test]
fn a_sum_of_more_than_38_digits_is_refused() {
    let context = with_payments(2, &[&[(Some(LARGEST), Some("EUR"))], &[(Some(1), Some("EUR"))]]);
    assert_eq!(
        refusal_of(&context, SUM),
        "money_sum: RESULT_OVERFLOW: the sum in `EUR` has more than 38 digits; expected at most 38"
    );
}

#[test]
fn groups_are_added_up_on_their_own() {
    let payments: [&[(Option<i128>, Option<&str>)]; 3] = [
        &[(Some(100), Some("EUR")), (Some(250), Some("USD"))],
        &[(Some(-50), Some("EUR")), (None, Some("JPY"))],
        &[(Some(1), Some("USD"))],
    ];
    for partitions in [1, 2, 8] {
        let context = with_payments(partitions, &payments);
        let sql =
            "SELECT currency, money_sum(amount, currency) FROM payments GROUP BY currency ORDER BY currency";
        assert_eq!(rows(&context, sql).unwrap(), ["EUR | 0.50", "JPY | NULL", "USD | 2.51"]);
    }
}

#[test]
fn a_running_sum_in_a_window_is_a_sum() {
    check(
        "SELECT money_sum(a, 'EUR') OVER (ORDER BY a) FROM (VALUES (1), (2), (4)) AS t(a) ORDER BY a",
        &["1", "3", "7"],
    );
}

#[test]
fn two_currencies_are_refused_by_name_within_a_part_and_between_parts() {
    let expected = "money_sum: both `EUR` and `USD` in one sum; expected one currency: group by it, or convert the amounts first";
    assert_eq!(refusal("SELECT money_sum(a, c) FROM (VALUES (1, 'EUR'), (2, 'USD')) AS t(a, c)"), expected);
    let context = with_payments(2, &[&[(Some(1), Some("EUR"))], &[(Some(1), Some("USD"))]]);
    let error = rows(&context, SUM).unwrap_err().to_string();
    assert!(error.contains("in one sum") && error.contains("`EUR`") && error.contains("`USD`"), "{error}");
}

#[test]
fn pounds_and_pence_are_two() {
    let sum = |first: &str, second: &str| {
        format!("SELECT money_sum(a, c) FROM (VALUES (1, '{first}'), (2, '{second}')) AS t(a, c)")
    };
    check(&sum("GBX", "GBp"), &["3"]);
    check(&sum("ZAc", "ZAC"), &["3"]);
    check(&sum("gbp", "GBP"), &["3"]);
    assert!(refusal(&sum("GBP", "GBp")).contains("both `GBP` and `GBX` in one sum"));
}

#[test]
fn codes_beyond_the_standard_are_told_apart_by_their_text() {
    check("SELECT money_sum(a, c) FROM (VALUES (1, 'BTC'), (2, 'btc')) AS t(a, c)", &["3"]);
    let refused =
        |code: &str| refusal(&format!("SELECT money_sum(a, c) FROM (VALUES (1, {code})) AS t(a, c)"));
    assert_eq!(
        refused("'€'"),
        "money_sum: CURRENCY_UNKNOWN: unknown currency code `€`; expected an ISO 4217 code or one that the session's rates carry"
    );
    assert_eq!(
        refused("'XXX'"),
        "money_sum: CURRENCY_NOT_MONEY: code `XXX` stands for no currency; expected one that does"
    );
    assert_eq!(
        refused("NULL"),
        "money_sum: CURRENCY_MISSING: the currency is missing; expected an ISO 4217 code"
    );
}

#[test]
fn a_wrong_call_is_refused_when_it_is_planned() {
    let number = "an integer or a decimal of at most 18 decimals; a float is not exact, and text is read with `parse_decimal`";
    let refused = |call: &str| refusal(&format!("SELECT {call}"));
    assert!(
        refused("money_sum(CAST('1' AS DOUBLE), 'EUR')")
            .contains(&format!("argument `amount` is of type Float64; expected {number}"))
    );
    assert!(
        refused("money_sum('1', 'EUR')")
            .contains(&format!("argument `amount` is of type Utf8; expected {number}"))
    );
    assert!(refused("money_sum(1)").contains("1 argument given; expected money_sum(amount, currency)"));
    assert!(
        refused("money_sum(DISTINCT 1, 'EUR')")
            .contains("DISTINCT would drop equal amounts; expected a sum of all")
    );
}
