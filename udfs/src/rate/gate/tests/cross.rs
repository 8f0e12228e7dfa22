use proptest::prelude::*;

use super::*;

/// EUR per USD and others per EUR; 1 USD = 0.8 EUR.
const ECB: &str = "GBP 0.64, INR 64, JPY 125, RUB 38.75, USD 1.25";
/// The same in dollars.
const SAME: &str = "EUR 0.8, GBP 0.512, INR 51.2, JPY 100, RUB 31";

#[track_caller]
fn check_cross(rates: &str, cross: &str, expected: &str) {
    let cross = euros(99, cross);
    let context = GateContext { cross: Some(&cross), ..ALONE };
    assert_eq!(held(&dollars(100, rates), &context, &GateOptions::default()), expected, "{rates}");
}

#[test]
fn rates_of_another_base_agree() {
    check_cross(SAME, ECB, "");
}

#[test]
fn the_tolerance_itself_still_passes() {
    check_cross("EUR 0.8, GBP 0.512, INR 53.76, JPY 100, RUB 31", ECB, "");
    check_cross("EUR 0.8, GBP 0.512, INR 53.760000000000000001, JPY 100, RUB 31", ECB, "INR cross_check");
    // 100 / 1.05 = 95.238095…
    check_cross("EUR 0.8, GBP 0.512, INR 51.2, JPY 95.238095238095238096, RUB 31", ECB, "");
    check_cross("EUR 0.8, GBP 0.512, INR 51.2, JPY 95.238095238095238095, RUB 31", ECB, "JPY cross_check");
}

#[test]
fn a_reciprocal_and_a_shifted_point_are_named() {
    check_cross(
        "EUR 1.25, GBP 0.0512, INR 51200, JPY 0.01, RUB 0.0323",
        ECB,
        "EUR inversion, GBP power_of_ten, INR power_of_ten, JPY inversion, RUB inversion",
    );
}

#[test]
fn the_second_provider_overrules_the_day_before() {
    let bad_before = dollars(99, "EUR 0.8, RUB 0.0323");
    let cross = euros(100, ECB);
    let context = GateContext { predecessors: &[&bad_before], cross: Some(&cross), ..ALONE };
    let options = GateOptions::default();
    assert_eq!(held(&dollars(100, "EUR 0.8, RUB 31"), &context, &options), "");
    assert_eq!(held(&dollars(100, "EUR 0.8, RUB 0.0323"), &context, &options), "RUB inversion");
    // What the second provider does not have is compared with the day before.
    let bad_before = dollars(99, "EUR 0.8, VND 2");
    let context = GateContext { predecessors: &[&bad_before], ..context };
    assert_eq!(held(&dollars(100, "EUR 0.8, VND 20000"), &context, &options), "VND power_of_ten");
}

#[test]
fn a_second_provider_from_long_before_is_not_asked() {
    let snapshot = dollars(100, "EUR 0.8, RUB 0.0323");
    for (day, expected) in [(95, "RUB inversion"), (94, ""), (105, "RUB inversion"), (106, "")] {
        let cross = euros(day, ECB);
        let context = GateContext { cross: Some(&cross), ..ALONE };
        assert_eq!(held(&snapshot, &context, &GateOptions::default()), expected, "{day}");
    }
}

#[test]
fn one_bad_figure_for_the_base_is_one_finding() {
    // The dollar of the second provider is ten times off: every other currency agrees on 0.8 EUR.
    check_cross(SAME, "GBP 0.64, INR 64, JPY 125, RUB 38.75, USD 12.5", "* cross_base");
    // The single slip is still found beside it.
    check_cross(
        "EUR 0.8, GBP 0.512, INR 5.12, JPY 100, RUB 31",
        "GBP 0.64, INR 64, JPY 125, RUB 38.75, USD 12.5",
        "* cross_base, INR power_of_ten",
    );
}

#[test]
fn rates_that_are_per_another_base_than_they_say_are_one_finding() {
    let cross = euros(100, ECB);
    let context = GateContext { cross: Some(&cross), ..ALONE };
    let findings =
        check(&dollars(100, "GBP 0.64, INR 64, JPY 125, RUB 38.75"), &context, &GateOptions::default());
    let texts: Vec<_> = findings.iter().map(Finding::to_string).collect();
    assert_eq!(
        texts,
        [
            "whole snapshot: cross_base: 4 of the 5 shared currencies agree on 1 EUR per USD, where ecb of 1970-04-11 \
         says 0.8; the base of one of the two is another, its figure is wrong, or the rates are of another day"
        ]
    );
}

// With two figures that differ there is no majority; the stated one for the base counts.
#[test]
fn without_a_majority_the_figure_for_the_base_counts() {
    check_cross("EUR 8", "USD 1.25", "EUR power_of_ten");
    check_cross("GBP 5.12", "GBP 0.64, USD 1.25", "GBP power_of_ten");
}

#[test]
fn a_base_that_the_second_provider_lacks_is_found_by_the_others() {
    let same_without_base = "GBP 0.64, INR 64, JPY 125, RUB 38.75";
    check_cross("EUR 0.8, GBP 0.512, INR 51.2, JPY 10, RUB 31", same_without_base, "JPY power_of_ten");
    // Two currencies cannot say which of them is wrong, and one would always agree with itself: then the
    // day before decides.
    let (before, cross) = (dollars(99, "JPY 100"), euros(100, "JPY 125"));
    let context = GateContext { predecessors: &[&before], cross: Some(&cross), ..ALONE };
    assert_eq!(held(&dollars(100, "JPY 1000"), &context, &GateOptions::default()), "JPY power_of_ten");
    assert_eq!(
        held(&dollars(100, "EUR 0.8, JPY 1000"), &context, &GateOptions::default()),
        "JPY power_of_ten"
    );
}

#[test]
fn providers_of_the_same_base_are_compared_directly() {
    let cross = snapshot("fixer", "USD", 100, SAME);
    let context = GateContext { cross: Some(&cross), ..ALONE };
    let rates = "EUR 0.8, GBP 0.0512, INR 51.2, JPY 100, RUB 31, VND 20000";
    assert_eq!(held(&dollars(100, rates), &context, &GateOptions::default()), "GBP power_of_ten");
}

#[test]
fn a_zero_of_the_second_provider_says_nothing() {
    check_cross(SAME, "GBP 0, INR 64, JPY 125, RUB 38.75, USD 1.25", "");
    check_cross(SAME, "GBP 0.64, INR 64, JPY 125, RUB 38.75, USD 0", "");
}

/// A mantissa of any length, with 18 decimals.
fn rate() -> impl Strategy<Value = i128> {
    (0..=38_u32).prop_flat_map(|digits| 1..=10_i128.pow(digits).max(2) - 1)
}

fn text(mantissa: i128) -> String {
    Decimal::new(mantissa, 18).unwrap().to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    // The definition, in numbers without limit: 100 * larger > 105 * smaller.
    #[test]
    fn the_limit_is_exact_for_every_representable_rate(expected in rate(), offset in -3..=3_i128, wild in rate(), near in any::<bool>()) {
        let found = if near { (expected / 100 * 105 + expected % 100 * 105 / 100 + offset).clamp(1, 10_i128.pow(38) - 1) } else { wild };
        let big = |mantissa: i128| num_bigint::BigInt::from(mantissa);
        let is_off = big(expected.max(found)) * 100 > big(expected.min(found)) * 105;
        let cross = snapshot("fixer", "USD", 100, &format!("AAA {}", text(expected)));
        let context = GateContext { cross: Some(&cross), ..ALONE };
        let findings = check(&dollars(100, &format!("AAA {}", text(found))), &context, &GateOptions::default());
        prop_assert_eq!(!findings.is_empty(), is_off, "{} {}", expected, found);
    }

    // Whatever base the second provider quotes: the same findings.
    #[test]
    fn the_base_of_the_second_provider_does_not_matter(factor in 1..1_000_000_i128, values in prop::collection::vec(1..10_000_000_i128, 3), slips in prop::collection::vec(0..4_usize, 3)) {
        let codes = ["AAA", "BBB", "CCC"];
        let line = |scale: u8, factors: [i128; 3]| {
            let rates = (0..3).map(|index| format!("{} {}", codes[index], Decimal::new(values[index] * factors[index], scale).unwrap()));
            rates.collect::<Vec<_>>().join(", ")
        };
        let slipped = line(4, std::array::from_fn(|index| [100, 101, 110, 1000][slips[index]]));
        let direct = snapshot("fixer", "USD", 100, &line(2, [1; 3]));
        let other = euros(100, &format!("{}, USD {factor}", line(2, [factor; 3])));
        let gates = |cross: &Snapshot| held(&dollars(100, &slipped), &GateContext { cross: Some(cross), ..ALONE }, &GateOptions::default());
        prop_assert_eq!(gates(&direct), gates(&other));
    }
}
