use super::*;

/// What is held of `rates` on day 100 after the given publications.
#[track_caller]
fn check_after(predecessors: &[&Snapshot], rates: &str, expected: &str) {
    let context = GateContext { predecessors, ..ALONE };
    assert_eq!(held(&dollars(100, rates), &context, &GateOptions::default()), expected, "{rates}");
}

#[test]
fn a_jump_beyond_the_limit_is_held_and_one_at_the_limit_is_not() {
    let before = dollars(99, "GBP 0.6, INR 50");
    check_after(&[&before], "GBP 0.9, INR 75", "");
    check_after(&[&before], "GBP 0.4, INR 33.333333333333333334", "");
    check_after(&[&before], "GBP 0.900000000000000001, INR 75.000000000000000001", "GBP jump, INR jump");
    check_after(&[&before], "GBP 0.399999999999999999, INR 33.333333333333333333", "GBP jump, INR jump");
}

#[test]
fn a_reciprocal_and_a_shifted_point_are_named() {
    let before = dollars(99, "GBP 0.64, IDR 9300, NZD 2.2, RUB 31");
    check_after(
        &[&before],
        "GBP 1.57, IDR 93, NZD 0.22, RUB 0.0323",
        "GBP inversion, IDR power_of_ten, NZD power_of_ten, RUB inversion",
    );
    check_after(&[&before], "GBP 0.64, IDR 930000, NZD 22, RUB 31", "IDR power_of_ten, NZD power_of_ten");
}

#[test]
fn a_currency_near_one_cannot_be_told_inverted() {
    check_after(&[&dollars(99, "CHF 0.93")], "CHF 1.07", "");
}

#[test]
fn a_currency_that_is_new_passes() {
    check_after(&[&dollars(99, "GBP 0.6")], "GBP 0.6, XAU 0.0005", "");
    check_after(&[], "GBP 600, XAU 5000", "");
}

#[test]
fn the_limit_grows_by_the_day_up_to_fivefold() {
    for (day, limit) in
        [(99, "150"), (98, "200"), (97, "250"), (96, "300"), (95, "350"), (94, "350"), (-9_999, "350")]
    {
        let before = dollars(day, "JPY 100");
        check_after(&[&before], &format!("JPY {limit}"), "");
        check_after(&[&before], &format!("JPY {limit}.000001"), "JPY jump");
    }
}

// 1.25 and 0.8 are 1.5625 times apart: more than one day allows, less than two.
#[test]
fn a_gap_does_not_excuse_a_reciprocal() {
    let before = dollars(90, "AUD 1.25, NZD 1.25");
    check_after(&[&before], "AUD 0.8, NZD 2.1", "AUD inversion");
}

// The bad rate of day 99 was held, so it is not among the predecessors: that of day 98 counts.
#[test]
fn the_second_bad_rate_of_a_run_is_compared_with_the_last_good_one() {
    let predecessors = [&dollars(97, "INR 5"), &dollars(98, "INR 50"), &dollars(99, "GBP 0.6")];
    check_after(&predecessors, "GBP 0.6, INR 0.5", "INR power_of_ten");
    check_after(&predecessors, "GBP 0.6, INR 50", "");
}

#[test]
fn a_correction_is_compared_with_the_version_it_would_replace_too() {
    let (before, replaced) = (dollars(99, "RUB 0.0312"), dollars(100, "RUB 31"));
    let context = GateContext { predecessors: &[&before], previous_version: Some(&replaced), ..ALONE };
    let corrected = |rates| held(&dollars(100, rates), &context, &GateOptions::default());
    assert_eq!(corrected("RUB 0.0313"), "RUB inversion");
    assert_eq!(corrected("RUB 31.1"), "RUB inversion");
    let context = GateContext { predecessors: &[], ..context };
    let findings = check(&dollars(100, "RUB 0.0313"), &context, &GateOptions::default());
    assert_eq!(
        findings[0].detail,
        "0.0313 per USD is about the reciprocal of 31 (the version of 1970-04-11 it would replace)"
    );
}

#[test]
fn rates_per_another_base_are_not_compared() {
    check_after(&[&snapshot("openexchangerates", "JPY", 99, "GBP 0.006, USD 0.01")], "GBP 0.6, JPY 100", "");
}

#[test]
fn the_smallest_and_the_largest_rates_are_compared_exactly() {
    let (small, large) = ("0.000000000000000001", "99999999999999999999.999999999999999999");
    check_after(
        &[&dollars(99, &format!("AAA {small}, BBB {large}"))],
        &format!("AAA {small}, BBB {large}"),
        "",
    );
    // 10^38 - 1 times too large: the reciprocal of 10^-18 is 10^18, and no power of ten is meant.
    check_after(&[&dollars(99, &format!("AAA {small}"))], &format!("AAA {large}"), "AAA power_of_ten");
    check_after(&[&dollars(99, &format!("AAA {large}"))], &format!("AAA {small}"), "AAA power_of_ten");
    check_after(&[&dollars(99, &format!("AAA {small}"))], "AAA 1000000000000000000", "AAA inversion");
    check_after(&[&dollars(99, &format!("AAA {small}"))], "AAA 0.000000000000000002", "AAA jump");
}
