use super::{check, check_value, refusal, refusal_of, unbound_session};

#[test]
fn the_day_of_the_rates_is_the_newest_that_holds_both() {
    check_value("fx_rate_date('GBP', 'INR', DATE '2024-05-04')", "2024-05-03");
    check_value("fx_rate_date('GBP', 'INR', DATE '2024-05-03')", "2024-05-03");
    check_value("fx_rate_date('GBP', 'INR', DATE '2024-05-02')", "2024-05-01");
    check_value("fx_rate_date('GBP', 'BTC', DATE '2024-05-04')", "2024-05-01");
}

#[test]
fn hundredths_have_the_day_of_the_whole_currency() {
    check_value("fx_rate_date('GBX', 'INR', DATE '2024-05-04')", "2024-05-03");
}

#[test]
fn a_currency_to_itself_has_no_day() {
    check_value("fx_rate_date('INR', 'inr', DATE '2024-05-04')", "NULL");
}

#[test]
fn a_row_without_rates_fails_with_its_reason_or_is_null() {
    let refused = refusal("SELECT fx_rate_date('GBP', 'INR', DATE '2024-05-11')");
    let expected =
        "RATE_STALE: the newest snapshot with `GBP` and `INR` is more than 7 days older than 2024-05-11";
    assert_eq!(refused, format!("fx_rate_date: {expected}; try_fx_rate_date gives NULL for such a row"));
    check(
        "SELECT try_fx_rate_date(s, 'INR', d) FROM (VALUES ('GBP', '2024-05-11'), ('GBP', NULL), ('ZZZ', '2024-05-04'), ('USD', '2024-05-04')) AS v(s, d)",
        &["NULL", "NULL", "NULL", "2024-05-03"],
    );
}

#[test]
fn a_session_without_rates_says_so() {
    assert_eq!(
        refusal_of(&unbound_session(), "SELECT try_fx_rate_date('GBP', 'INR', DATE '2024-05-04')"),
        "Error during planning: try_fx_rate_date: no rates are bound to this session; bind a rate book to it before the query is planned"
    );
}
