use super::{check, check_value, refusal, rows, session, unbound_session};

#[test]
fn spellings_of_a_code_become_the_code() {
    check(
        "SELECT currency_normalize(c) FROM (VALUES ('gbp '), ('GBX'), ('GBp'), ('gbp'), ('ZAc'), ('ILA'), ('Usd'), ('DEM')) AS t(c)",
        &["GBP", "GBP", "GBP", "GBP", "ZAR", "ILS", "USD", "DEM"],
    );
}

/// Nothing is guessed: a symbol, a name and a code of another market stay unknown.
#[test]
fn what_is_no_code_is_null() {
    check(
        "SELECT currency_normalize(c) FROM (VALUES (NULL), (''), (' '), ('£'), ('Euro'), ('CNH'), ('XXX'), ('ZZZ')) AS t(c)",
        &["NULL"; 8],
    );
    check_value("currency_normalize(NULL)", "NULL");
    check("SELECT c FROM (VALUES ('GBP'), ('ZZZ')) AS t(c) WHERE currency_normalize(c) IS NULL", &["ZZZ"]);
}

#[test]
fn a_code_that_only_the_rates_carry_is_known_where_they_are_bound() {
    assert_eq!(rows(&session(), "SELECT currency_normalize('btc')").unwrap(), ["BTC"]);
    assert_eq!(rows(&unbound_session(), "SELECT currency_normalize('btc')").unwrap(), ["NULL"]);
}

#[test]
fn a_number_is_no_code() {
    assert_eq!(
        refusal("SELECT currency_normalize(826)"),
        "Error during planning: currency_normalize: argument `code` is of type Int64; expected text"
    );
}
