use super::{check, check_value, refusal, refusal_of, rows, session, unbound_session};

/// The figures are ISO 4217 list one's.
#[test]
fn minor_units_are_those_of_the_standard() {
    check(
        "SELECT c, currency_minor_units(c) FROM (VALUES ('JPY'), ('eur'), (' KWD '), ('CLF'), ('UYW'), ('XAU')) AS t(c)",
        &["JPY | 0", "eur | 2", " KWD  | 3", "CLF | 4", "UYW | 4", "XAU | NULL"],
    );
    check_value("arrow_typeof(currency_minor_units('JPY'))", "Int32");
}

#[test]
fn hundredths_have_two_decimals_fewer() {
    check_value("currency_minor_units('GBX')", "0");
}

#[test]
fn missing_codes_and_withdrawn_currencies_have_none() {
    check(
        "SELECT currency_minor_units(c) FROM (VALUES (NULL), (''), ('DEM')) AS t(c)",
        &["NULL", "NULL", "NULL"],
    );
    check_value("currency_minor_units(NULL)", "NULL");
}

#[test]
fn what_is_no_currency_is_refused_by_its_name() {
    let unknown = "currency_minor_units: CURRENCY_UNKNOWN: unknown currency code `ZZZ`; expected an ISO 4217 code or one that the session's rates carry";
    assert_eq!(refusal("SELECT currency_minor_units('ZZZ')"), unknown);
    assert_eq!(
        refusal("SELECT currency_minor_units('xts')"),
        "currency_minor_units: CURRENCY_NOT_MONEY: code `xts` stands for no currency; expected one that does"
    );
    assert_eq!(
        refusal("SELECT currency_minor_units(1)"),
        "Error during planning: currency_minor_units: argument `code` is of type Int64; expected text"
    );
}

#[test]
fn a_code_that_only_the_rates_carry_is_known_where_they_are_bound() {
    assert_eq!(rows(&session(), "SELECT currency_minor_units('BTC')").unwrap(), ["NULL"]);
    assert!(
        refusal_of(&unbound_session(), "SELECT currency_minor_units('BTC')").contains("CURRENCY_UNKNOWN")
    );
}
