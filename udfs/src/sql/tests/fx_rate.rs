use super::{check, check_value, refusal, refusal_of, unbound_session};

#[test]
fn both_rates_are_as_published_and_from_one_snapshot() {
    check_value(
        "fx_rate('GBP', 'INR', DATE '2024-05-04')",
        "{source_rate: 0.857500000000000000, target_rate: 89.600000000000000000, rate_date: 2024-05-03, snapshot: b3b3b3b3b3b3}",
    );
    // The later snapshot has GBP but not BTC: both rates are the earlier one's.
    check_value(
        "fx_rate('gbp', 'btc', DATE '2024-05-04')",
        "{source_rate: 0.855000000000000000, target_rate: 0.000017500000000000, rate_date: 2024-05-01, snapshot: a1a1a1a1a1a1}",
    );
}

#[test]
fn the_base_is_exactly_one() {
    check(
        "SELECT r['source_rate'], r['target_rate'] FROM (SELECT fx_rate('EUR', 'USD', DATE '2024-05-02') AS r)",
        &["1.000000000000000000 | 1.070000000000000000"],
    );
}

#[test]
fn a_currency_to_itself_is_one_without_a_snapshot() {
    check_value(
        "fx_rate('GBP', 'GBP', DATE '1999-01-01')",
        "{source_rate: 1.000000000000000000, target_rate: 1.000000000000000000, rate_date: , snapshot: }",
    );
}

#[test]
fn columns_give_a_struct_per_row() {
    check(
        "SELECT r['target_rate'], r['snapshot'], r IS NULL FROM (SELECT try_fx_rate(s, t, d) AS r FROM (VALUES \
         ('GBP', 'USD', DATE '2024-05-03'), ('GBP', 'ZZZ', DATE '2024-05-03'), (NULL, 'USD', DATE '2024-05-03'), ('GBP', 'JPY', DATE '2024-05-01')) AS v(s, t, d))",
        &[
            "1.075000000000000000 | b3b3b3b3b3b3 | false",
            "NULL | NULL | true",
            "NULL | NULL | true",
            "167.500000000000000000 | a1a1a1a1a1a1 | false",
        ],
    );
}

#[test]
fn a_row_without_rates_fails_with_its_reason_or_is_null() {
    let cases = [
        (
            "'ZZZ', 'INR', '2024-05-04'",
            "CURRENCY_UNKNOWN: unknown currency code `ZZZ`; expected an ISO 4217 code or one that the session's rates carry",
        ),
        ("'GBP', '', '2024-05-04'", "CURRENCY_MISSING: the currency is missing; expected an ISO 4217 code"),
        (
            "'GBX', 'INR', '2024-05-04'",
            "CURRENCY_UNKNOWN: no rate is published for a hundredth of a currency; expected a whole one, as `currency_normalize` gives",
        ),
        (
            "'GBP', 'ZAR', '2024-05-04'",
            "RATE_MISSING_TARGET: no snapshot up to 2024-05-04 has rates for both `GBP` and `ZAR`",
        ),
        (
            "'GBP', 'INR', '2024-04-30'",
            "EVENT_BEFORE_HISTORY: 2024-04-30 lies before the first snapshot of rates, 2024-05-01",
        ),
        ("'GBP', 'INR', NULL", "EVENT_TIME_MISSING: the event date is missing; expected a date"),
    ];
    for (arguments, expected) in cases {
        let expected = format!("fx_rate: {expected}; try_fx_rate gives NULL for such a row");
        assert_eq!(refusal(&format!("SELECT fx_rate({arguments})")), expected);
        check_value(&format!("try_fx_rate({arguments})"), "NULL");
    }
}

#[test]
fn a_session_without_rates_says_so() {
    assert_eq!(
        refusal_of(&unbound_session(), "SELECT fx_rate('GBP', 'INR', DATE '2024-05-04')"),
        "Error during planning: fx_rate: no rates are bound to this session; bind a rate book to it before the query is planned"
    );
}
