use super::*;

#[track_caller]
fn check_coverage(predecessor: &str, rates: &str, options: &GateOptions, expected: &str) {
    let before = dollars(99, predecessor);
    let context = GateContext { predecessors: &[&before], ..ALONE };
    assert_eq!(held(&dollars(100, rates), &context, options), expected, "{rates}");
}

#[test]
fn a_base_other_than_one_is_held() {
    let options = GateOptions::default();
    assert_eq!(held(&dollars(100, "EUR 0.8, USD 1"), &ALONE, &options), "");
    assert_eq!(held(&dollars(100, "EUR 0.8, USD 1.000"), &ALONE, &options), "");
    assert_eq!(held(&dollars(100, "EUR 0.8, USD 1.01"), &ALONE, &options), "* base_not_one");
}

#[test]
fn a_rate_that_is_not_positive_is_held() {
    let rates = "EUR 0.8, GBP 0, ZWD -1, INR 0.000000000000000001";
    assert_eq!(
        held(&dollars(100, rates), &ALONE, &GateOptions::default()),
        "GBP non_positive, ZWD non_positive"
    );
}

// The base counts as one of the currencies of each.
#[test]
fn half_of_the_currencies_must_be_there() {
    let options = GateOptions::default();
    check_coverage("EUR 0.8, GBP 0.5, INR 51", "EUR 0.8", &options, "");
    check_coverage("CHF 0.9, EUR 0.8, GBP 0.5, INR 51", "EUR 0.8", &options, "* coverage");
    check_coverage(
        "CHF 0.9, EUR 0.8, GBP 0.5, INR 51",
        "AUD 1, BRL 2, CAD 1, EUR 0.8",
        &options,
        "* coverage",
    );
    check_coverage("CHF 0.9, EUR 0.8", "AUD 1, BRL 2, CAD 1, CHF 0.9, EUR 0.8", &options, "");
}

#[test]
fn the_limits_of_the_share_are_none_and_all() {
    let all = GateOptions { coverage_permille_min: 1000, ..GateOptions::default() };
    check_coverage("EUR 0.8, GBP 0.5", "EUR 0.8, GBP 0.5, INR 51", &all, "");
    check_coverage("EUR 0.8, GBP 0.5", "EUR 0.8, INR 51", &all, "* coverage");
    let none = GateOptions { coverage_permille_min: 0, ..GateOptions::default() };
    check_coverage("EUR 0.8, GBP 0.5", "INR 51", &none, "");
}

#[test]
fn a_version_is_measured_by_the_one_it_would_replace() {
    let (before, replaced) = (dollars(99, "EUR 0.8"), dollars(100, "CHF 0.9, EUR 0.8, GBP 0.5, INR 51"));
    let context = GateContext { predecessors: &[&before], previous_version: Some(&replaced), ..ALONE };
    let findings = check(&dollars(100, "EUR 0.8"), &context, &GateOptions::default());
    assert_eq!(
        findings[0].to_string(),
        "whole snapshot: coverage: 2 of the 5 currencies of openexchangerates of 1970-04-11 are there; \
         at least 500 of 1000 are expected; missing: CHF, GBP, INR"
    );
}

#[test]
fn required_currencies_must_be_there() {
    let options =
        GateOptions { required: vec![code("USD"), code("INR"), code("EUR")], ..GateOptions::default() };
    assert_eq!(held(&dollars(100, "EUR 0.8, INR 51"), &ALONE, &options), "");
    let findings = check(&dollars(100, "GBP 0.5, INR 0"), &ALONE, &options);
    assert_eq!(
        findings[0].to_string(),
        "whole snapshot: required_missing: required currencies are missing: INR, EUR"
    );
}

#[test]
fn a_long_list_of_missing_currencies_is_cut() {
    let required = (0..12).map(|index| code(&format!("A{}", char::from(b'A' + index)))).collect();
    let findings =
        check(&dollars(100, "EUR 0.8"), &ALONE, &GateOptions { required, ..GateOptions::default() });
    assert!(
        findings[0].detail.ends_with("AA, AB, AC, AD, AE, AF, AG, AH, AI, AJ and 2 more"),
        "{}",
        findings[0]
    );
}
